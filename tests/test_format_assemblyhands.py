"""AssemblyHands trees and the raw rig: in and out again, and every way in which they can be wrong."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from handloom.errors import CalibrationError, HandloomError, InputError, OutputError
from handloom.formats.assembly_calibration import RigCamera, read_calib_text, read_rig, unrectified, write_rig
from handloom.formats.assemblyhands import read_assemblyhands
from handloom.formats.assemblyhands_files import file_of
from handloom.formats.assemblyhands_write import write_assemblyhands
from handloom.geometry import BrownConrady, KannalaBrandt, Pinhole, invert_rigid
from make_dataset import (
    EGO,
    EXO,
    FISHEYE,
    SEQUENCE,
    assemblyhands_episode,
    assert_pictures,
    assert_same,
    poses,
    project,
    stream,
)

OTHER = SEQUENCE.replace("9012", "9081").replace("c07c", "c11b")
TESTED = SEQUENCE.replace("9012", "9021").replace("c07c", "c10a")
MADE = [
    assemblyhands_episode(split="train"),
    assemblyhands_episode(OTHER, segments=(), scene="c11b"),
    assemblyhands_episode(TESTED, split="test", segments=(), scene="c10a"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "assemblyhands"
    write_assemblyhands(root, MADE)
    return root


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "assemblyhands")


def first(root, **options):
    return read_assemblyhands(root, **options).read(SEQUENCE)


def edit(tree, kind, change, split="train"):
    path = file_of(tree, split, kind)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_what_is_written_is_read_again(whole):
    source = read_assemblyhands(whole)
    found = {episode.name: episode for episode in source}
    assert source.names == (SEQUENCE, OTHER, TESTED)
    for made in MADE:
        assert_same(found[made.name], made)
    assert found[SEQUENCE].subject == "9012"
    assert_pictures(found[SEQUENCE].stream(EXO), 0)
    assert_pictures(found[SEQUENCE].stream(EGO), 1, frames={0, 1, 2, 3, 5})  # frame 4 shows no hand
    assert read_assemblyhands(whole, splits=["val"]).names == (OTHER,)


def test_files_have_the_official_form(whole):
    made = MADE[0]
    joints = json.loads(file_of(whole, "train", "joint_3d").read_text())["annotations"][SEQUENCE]
    assert list(joints) == ["000300", "000302", "000304", "000306", "000308", "000310"]  # 60 Hz ids, every second
    world = np.array(joints["000300"]["world_coord"])
    np.testing.assert_allclose(world[20] / 1000, made.hands.joints_m[0, 1, 0], atol=1e-6)  # right wrist
    np.testing.assert_allclose(world[41] / 1000, made.hands.joints_m[0, 0, 0], atol=1e-6)  # left wrist
    np.testing.assert_allclose(world[4] / 1000, made.hands.joints_m[0, 1, 8], atol=1e-6)  # right index tip
    np.testing.assert_allclose(world[32] / 1000, made.hands.joints_m[0, 0, 9], atol=1e-6)  # left third knuckle
    assert joints["000302"]["joint_valid"] == [1] * 21 + [0] * 21
    data = json.loads(file_of(whole, "train", "ego_data").read_text())
    image = data["images"][0]
    assert image["camera"] == "HMC_21179183"  # without the suffix that folder and calibration carry
    assert image["file_name"] == f"ego_images_rectified/train/{SEQUENCE}/{EGO}/000300.jpg"
    assert (whole / "images" / image["file_name"]).is_file()
    assert data["annotations"][1]["bbox"]["left"] is None
    x0, y0, x1, y1 = data["annotations"][0]["bbox"]["right"]
    pixels = project(made, made.stream(EGO))[0, 1]
    np.testing.assert_allclose([x0, y0, x1, y1], [*pixels.min(0), *pixels.max(0)], atol=1e-3)
    assert len(data["images"]) == len(data["annotations"]) == 5
    calibration = json.loads(file_of(whole, "train", "ego_calib").read_text())["calibration"][SEQUENCE]
    top = np.array(calibration["extrinsics"]["000304"][EGO])
    expected = invert_rigid(made.stream(EGO).world_from_camera[2])
    np.testing.assert_allclose(top[:, :3], expected[:3, :3], atol=1e-9)  # world to camera ...
    np.testing.assert_allclose(top[:, 3], 1000 * expected[:3, 3], atol=1e-6)  # ... in millimetres
    lines = (whole / "annotations/skeleton.txt").read_text().splitlines()
    assert len(lines) == 43
    assert lines[21] == "wrist_R 20 -1"
    assert lines[4] == "thumb_cmc_R 3 20"


def test_boxes_and_visibility_of_each_view(whole):
    found = first(whole).stream(EGO)
    assert np.isnan(found.boxes_px[1, 0]).all()
    assert np.isfinite(found.boxes_px[1, 1]).all()
    assert found.visible[0].all()
    assert found.visible[3, 1].sum() == 20
    assert not found.visible[3, 1, 8]
    assert first(whole).stream(EXO).boxes_px is None


def test_boxes_that_an_episode_has_are_kept(tmp_path):
    boxes = np.full((6, 2, 4), np.nan)
    boxes[2, 1] = 50, 20, 100, 70
    visible = np.zeros((6, 2, 21), bool)
    visible[2, 1, :5] = True
    made = MADE[0]
    ego = replace(made.stream(EGO), boxes_px=boxes, visible=visible)
    write_assemblyhands(tmp_path, [replace(made, streams=(ego,))])
    found = first(tmp_path).stream(EGO)
    np.testing.assert_array_equal(found.boxes_px, boxes)
    np.testing.assert_array_equal(found.visible, visible)
    assert_pictures(found, 1, frames={2})


def test_validity_may_stand_in_lists_of_its_own(tree):
    def nest(values):
        values["joint_valid"] = [[value] for value in values["joint_valid"]]

    edit(tree, "ego_data", lambda v: [nest(item) for item in v["annotations"]])
    edit(tree, "joint_3d", lambda v: [nest(item) for item in v["annotations"][SEQUENCE].values()])
    assert_same(first(tree), MADE[0])
    np.testing.assert_array_equal(first(tree).stream(EGO).visible[3], MADE[0].hands.valid[3])


def test_joints_of_the_test_split_may_be_withheld(tree):
    file_of(tree, "test", "joint_3d").unlink()
    episode = read_assemblyhands(tree).read(TESTED)
    assert not episode.hands.valid.any()
    assert episode.frame_ids.tolist() == [300, 302, 304, 306, 310]  # frame 308 has no image
    assert np.isfinite(episode.stream(EGO).boxes_px).any()
    file_of(tree, "val", "joint_3d").unlink()
    with pytest.raises(InputError, match=r"assemblyhands_val_joint_3d_v1-1.json: no such file"):
        read_assemblyhands(tree)


def test_a_tree_without_pictures_is_complete(tree):
    shutil.rmtree(tree / "images")
    shutil.rmtree(tree / "videos")
    episode = first(tree)
    assert [item.name for item in episode.streams] == [EGO]
    assert episode.streams[0].pictures is None


def test_actions_come_from_assembly101s_tables_at_30_hz(whole, tmp_path):
    assert (
        (whole / "fine-grained-annotations/train.csv")
        .read_text()
        .splitlines()[1]
        .startswith(f"0,{SEQUENCE}/{EGO}.mp4,150,152,380,7,22,pick up cabin")
    )
    table = tmp_path / "train.csv"
    labels = "action_id,verb_id,noun_id,action_cls,verb_cls,noun_cls"
    header = f"id,video,start_frame,end_frame,{labels},toy_id,toy_name,is_shared\n"
    rows = [
        "0,{},140,150,1,1,1,before,a,b,t,suv,0",
        "1,{},148,152,2,1,1,overlaps,a,b,t,suv,0",
        "2,{},156,160,3,1,1,after,a,b,t,suv,0",
    ]
    table.write_text(header + "\n".join(row.format(SEQUENCE) for row in rows))
    (segment,) = first(whole, actions=tmp_path).segments
    assert (segment.label, segment.start, segment.end) == ("overlaps", 0, 2)


def image(values, index=0):
    return values["images"][index]


def annotation(values, index=0):
    return values["annotations"][index]


FAULTS = [
    (
        "file gone",
        "",
        lambda t: (next(t.glob("images/*/train/*/*/000302.jpg"))).unlink(),
        r"000302.jpg does not exist \(1 of 5 images\)",
    ),
    ("twice", "ego_data", lambda v: image(v, 1).update(id=0), r"images\[1\]: id 0 is already that of images\[0\]"),
    (
        "no image",
        "ego_data",
        lambda v: annotation(v).update(image_id=99),
        r"annotations\[0\]: belongs to image 99, which",
    ),
    (
        "again",
        "ego_data",
        lambda v: annotation(v, 1).update(image_id=0),
        r"image 0 is already annotated by annotations\[0\]",
    ),
    (
        "lone",
        "ego_data",
        lambda v: v["annotations"].pop(),
        r"images\[4\]: has no annotation \(1 such images, 4 annotations\)",
    ),
    (
        "valid",
        "ego_data",
        lambda v: annotation(v)["joint_valid"].pop(),
        r"annotations\[0\]: joint_valid must have 42 values",
    ),
    (
        "box",
        "ego_data",
        lambda v: annotation(v)["bbox"].update(right=[9, 9, 2, 20]),
        r"bbox must give x0, y0, x1, y1 or null",
    ),
    ("size", "ego_data", lambda v: image(v).update(width=10**6), r"images\[0\]: an image of 1000000 x 72 pixels"),
    (
        "type",
        "ego_data",
        lambda v: image(v).update(frame_idx="7"),
        r"images\[0\]: frame_idx must be a whole number, found '7'",
    ),
    ("frame", "ego_data", lambda v: image(v).update(frame_idx=301), r"frame 301 of nusar.* has no 3D joints"),
    (
        "nan",
        "joint_3d",
        lambda v: joint(v)["world_coord"][2].__setitem__(1, float("nan")),
        r"frame 000302: joints that are marked",
    ),
    (
        "count",
        "joint_3d",
        lambda v: joint(v)["world_coord"].pop(),
        r"frame 000302: expected 42 x 3 coordinates .*found \(41, 3\)",
    ),
    (
        "words",
        "joint_3d",
        lambda v: joint(v).update(world_coord="?"),
        r"frame 000302: world_coord and joint_valid must be lists",
    ),
    (
        "key",
        "joint_3d",
        lambda v: v["annotations"][SEQUENCE].update({"x": {}}),
        r"frames are numbers like '000123', found 'x'",
    ),
    (
        "pose gone",
        "ego_calib",
        lambda v: pose(v).pop("000302"),
        r"frame 000302 has an image of HMC_21179183_mono10bit, but no ext",
    ),
    (
        "pose",
        "ego_calib",
        lambda v: pose(v)["000302"].update({EGO: [[9.0] * 4] * 3}),
        r"1 extrinsics are not rigid transforms",
    ),
]


def joint(values):
    return values["annotations"][SEQUENCE]["000302"]


def pose(values):
    return values["calibration"][SEQUENCE]["extrinsics"]


@pytest.mark.parametrize(("kind", "change", "message"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_fault_stops_or_is_listed_and_the_rest_is_read(tree, kind, change, message):
    edit(tree, kind, change) if kind else change(tree)
    with pytest.raises(InputError, match=message):
        list(read_assemblyhands(tree))
    source = read_assemblyhands(tree, skip_bad=True)
    episodes = list(source)
    assert [episode.name for episode in episodes] == [made.name for made in MADE]
    assert re.search(message, "\n".join(map(str, [*source.problems, *episodes[0].problems])))


LOST = [
    (
        "path",
        "ego_data",
        lambda v: image(v).update(file_name="../../../etc/passwd"),
        r"annotations\[0\]: '\.\./.* leaves the data",
    ),
    (
        "absolute",
        "ego_data",
        lambda v: image(v).update(file_name="/etc/passwd"),
        r"annotations\[0\]: '/etc/passwd' leaves",
    ),
    (
        "other headset",
        "ego_calib",
        lambda v: v["calibration"][SEQUENCE].update(
            intrinsics={"HMC_84358933_mono10bit": [[9, 0, 5], [0, 9, 5], [0, 0, 1]]}
        ),
        r"no camera HMC_21179183_mono10bit, of which there are images \(it has HMC_84358933_mono10bit\)",
    ),
    (
        "other poses",
        "ego_calib",
        lambda v: pose(v).update({f: {EGO: [[1, 0, 0, 900], [0, 1, 0, 0], [0, 0, 1, 0]]} for f in pose(v)}),
        r"the joints lie \d+ pixels from their boxes .* is it the calibration of another sequence",
    ),
    (
        "skew",
        "ego_calib",
        lambda v: v["calibration"][SEQUENCE]["intrinsics"][EGO][0].__setitem__(1, 3.0),
        r"has skew 3",
    ),
    (
        "no calibration",
        "ego_calib",
        lambda v: v["calibration"].pop(SEQUENCE),
        r"no calibration of nusar.*, which has labels",
    ),
]


@pytest.mark.parametrize(("kind", "change", "message"), [case[1:] for case in LOST], ids=[case[0] for case in LOST])
def test_a_recording_that_is_bad_stops_or_is_left_out(tree, kind, change, message):
    edit(tree, kind, change)
    with pytest.raises(HandloomError, match=message):
        list(read_assemblyhands(tree))
    source = read_assemblyhands(tree, skip_bad=True)
    assert [episode.name for episode in source] == [OTHER, TESTED]
    assert re.search(message, "\n".join(map(str, source.problems)))


def test_a_frame_given_twice_is_refused(tree):
    path = file_of(tree, "train", "joint_3d")
    path.write_text(path.read_text().replace('"000304"', '"000302"'))
    with pytest.raises(InputError, match=r"joint_3d_v1-1.json: '000302' is given twice; keep one"):
        read_assemblyhands(tree)
    path.write_text(path.read_text()[:2000])
    with pytest.raises(InputError, match=r"joint_3d_v1-1.json (ends in the middle|is not valid JSON).* line 1"):
        read_assemblyhands(tree)


def test_a_recording_belongs_to_one_split(tree):
    for kind in ("ego_data", "ego_calib", "joint_3d"):
        shutil.copy(file_of(tree, "train", kind), file_of(tree, "val", kind))
    with pytest.raises(InputError, match=r"is in the split train, too; a recording belongs to one"):
        read_assemblyhands(tree)


def test_exo_calibration_is_checked(tree):
    folder = tree / "videos/exo_videos_rectified" / SEQUENCE
    text = (folder / "calib.txt").read_text()
    lines = text.splitlines()
    (folder / "calib.txt").write_text("\n".join(lines[:-1]))
    with pytest.raises(CalibrationError, match=r"calib.txt: 7 lines that are not blank; expected blocks of 8"):
        first(tree)
    (folder / "calib.txt").write_text("\n".join([*lines[:2], "a b c", *lines[3:]]))
    with pytest.raises(CalibrationError, match=r"calib.txt, line 3: expected 3 numbers, found 'a b c'"):
        first(tree)
    (folder / "calib.txt").write_text(text.replace(EXO, "C10115_rgb"))
    with pytest.raises(CalibrationError, match=r"no camera C10095_rgb, of which there is a video"):
        first(tree)
    (folder / "calib.txt").write_text("\n".join([*lines[:5], "-1 0 0 0", "0 1 0 0", "0 0 -1 0"]))
    with pytest.raises(CalibrationError, match=r"all hands are behind this camera"):
        first(tree)


def test_exo_videos_start_at_the_first_annotated_frame(tree):
    pictures = first(tree).stream(EXO).pictures
    assert pictures.frames.tolist() == [0, 1, 2, 3, 4, 5]
    edit(tree, "joint_3d", lambda v: v["annotations"][SEQUENCE].update({"000320": joint(v)}))
    with pytest.raises(InputError, match=r"C10095_rgb.mp4: 6 frames, but 11 are labelled; finish the download"):
        first(tree)
    assert first(tree, skip_bad=True).stream(EXO).pictures.frames.tolist() == [0, 1, 2, 3, 4, 5, -1]


BROWN = BrownConrady(1920, 1080, 1192.66, 1193.1, 957.2, 530.3, (-0.13, 0.12, 4.8e-5, -1.8e-4, 0.007))


def test_raw_rigs_are_read_as_they_are_published(tmp_path):
    pose = [[0.0, -1.0, 0.0, 100.0], [1.0, 0.0, 0.0, -20.0], [0.0, 0.0, 1.0, 1117.0], [0.0, 0.0, 0.0, 1.0]]
    names = ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2", "p3", "p4")

    def entry(model, serial, place, values):
        size = {"ImageSizeX": 636, "ImageSizeY": 480}
        camera = {
            "DistortionModel": model,
            "ModelViewMatrix": pose,
            "SerialNo": serial,
            **size,
            **dict(zip(names, values)),
        }
        return {"Camera": camera, "MountingLocation": place, "Type": "CX3"}

    ego = (193.2, 193.1, 320.6, 237.4, 0.248, 0.189, -0.48, 0.38, -0.145, 0.0226, 2.66e-4, -8.49e-4, 0, 0)
    exo = (1192.6, 1193.1, 957.2, 530.3, -0.13, 0.12, 0.007, 0, 0, 0, 4.8e-5, -1.8e-4, 0, 0)
    entries = [
        entry("OpenCV", "C10095_rgb", "Exocentric", exo),
        entry("OVFishEye62", "84358933_mono10bit", "Egocentric", ego),
    ]
    path = tmp_path / "rig.json"
    path.write_text(json.dumps(entries))
    rig = read_rig(path)
    assert list(rig) == ["C10095_rgb", "HMC_84358933_mono10bit"]  # serials leave the prefix out
    fisheye = rig["HMC_84358933_mono10bit"]
    assert fisheye.egocentric
    assert fisheye.camera.distortion == (0.248, 0.189, -0.48, 0.38, 2.66e-4, -8.49e-4, -0.145, 0.0226)
    assert rig["C10095_rgb"].camera.distortion == (-0.13, 0.12, 4.8e-5, -1.8e-4, 0.007)
    np.testing.assert_allclose(fisheye.camera_from_parent[:3, 3], [0.1, -0.02, 1.117])

    # The published projection, step by step: the tangential terms come last and are swapped.
    x, y, z = 0.3, -0.2, 0.7
    angle = np.hypot(x, y)
    u, v = np.array([x, y]) / angle * np.arctan2(angle, z)
    r2 = u * u + v * v
    scale = 1 + 0.248 * r2 + 0.189 * r2**2 - 0.48 * r2**3 + 0.38 * r2**4 - 0.145 * r2**5 + 0.0226 * r2**6
    u, v = u * scale, v * scale
    r2, p1, p2 = u * u + v * v, 2.66e-4, -8.49e-4
    u, v = u + 2 * p2 * u * v + p1 * (r2 + 2 * u * u), v + 2 * p1 * u * v + p2 * (r2 + 2 * v * v)
    pixel, _ = fisheye.camera.project(np.array([x, y, z]))
    np.testing.assert_allclose(pixel, [193.2 * u + 320.6, 193.1 * v + 237.4], atol=1e-9)

    for field, value, message in (
        ("DistortionModel", "Magic", r"camera 0: unknown DistortionModel 'Magic'; known: OpenCV, OVFishEye62"),
        ("k4", 0.5, r"camera 0: OpenCV has no k4, found 0.5"),
        ("ImageSizeX", 1e9, r"camera 0: ImageSizeX must be a positive whole number of pixels"),
        ("ModelViewMatrix", [[1.0] * 4] * 4, r"camera 0: the 3 x 3 part is not a rotation"),
        ("SerialNo", "84358933_mono10bit", r"camera 1: HMC_84358933_mono10bit is given twice"),
    ):
        bad = json.loads(json.dumps(entries))
        bad[0]["Camera"][field] = value
        if field == "SerialNo":
            bad[0]["MountingLocation"] = "Egocentric"
        path.write_text(json.dumps(bad))
        with pytest.raises(CalibrationError, match=message):
            read_rig(path)
    del entries[1]["Camera"]["p2"]
    path.write_text(json.dumps(entries))
    with pytest.raises(CalibrationError, match=r"camera 1: lacks p2"):
        read_rig(path)


def test_rigs_are_written_as_they_are_read(tmp_path):
    rig = [RigCamera(EXO, BROWN, poses(1, False)[0]), RigCamera(EGO, FISHEYE, poses(1, False, 3)[0])]
    write_rig(tmp_path / "rig.json", rig)
    for made, found in zip(rig, read_rig(tmp_path / "rig.json").values()):
        assert (found.name, found.camera) == (made.name, made.camera)
        np.testing.assert_allclose(found.camera_from_parent, made.camera_from_parent, atol=1e-12)
    assert "HMC" not in (tmp_path / "rig.json").read_text()
    odd = RigCamera(EGO, KannalaBrandt(9, 9, 4, 4, 4, 4, (0.0,) * 4), np.eye(4))
    with pytest.raises(OutputError, match=r"a KannalaBrandt camera \(HMC_21179183_mono10bit\) has no place"):
        write_rig(tmp_path / "rig.json", [odd])


def test_the_headset_keeps_its_poses_in_the_raw_view():
    made = MADE[0]
    rig = {
        EXO: RigCamera(EXO, BROWN, poses(1, False, 7)[0]),
        EGO: RigCamera(EGO, FISHEYE, poses(1, False, 8)[0]),
    }
    ego, exo = (unrectified(made.stream(name), rig) for name in (EGO, EXO))
    np.testing.assert_array_equal(ego.world_from_camera, made.stream(EGO).world_from_camera)
    assert ego.camera == FISHEYE
    np.testing.assert_allclose(invert_rigid(exo.world_from_camera[3]), rig[EXO].camera_from_parent, atol=1e-12)
    with pytest.raises(
        CalibrationError, match=r"no camera 'C10095_rgb' in this calibration \(it has HMC_21179183_mono10bit\)"
    ):
        unrectified(made.stream(EXO), {EGO: rig[EGO]})


def test_calib_text_skips_blank_lines_and_the_row_that_says_nothing(tmp_path):
    block = "{}\n1171 0 956\n0 1170 530\n0 0 1\n{}0 0 0 0 0\n1 0 0 100\n0 1 0 -50\n0 0 1 1117\n"
    path = tmp_path / "calib.txt"
    path.write_text(block.format("C10095_rgb", "") + block.format("C10115_rgb", "\n") + "\n")
    cameras = read_calib_text(path)
    assert list(cameras) == ["C10095_rgb", "C10115_rgb"]
    K, camera_from_world = cameras["C10115_rgb"]
    assert K == [1171, 0, 956, 0, 1170, 530, 0, 0, 1]
    np.testing.assert_allclose(camera_from_world[:3, 3], [0.1, -0.05, 1.117])
    path.write_text(block.format("C10095_rgb", "").replace("1 0 0 100", "2 0 0 100"))
    with pytest.raises(CalibrationError, match=r"calib.txt, line 6: the 3 x 3 part is not a rotation"):
        read_calib_text(path)


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(InputError, match=r"annotations: no such folder; give the folder that holds annotations"):
        read_assemblyhands(tmp_path)
    (tmp_path / "annotations/train").mkdir(parents=True)
    with pytest.raises(InputError, match=r"ego_data_v1-1.json: no such file; the download is not complete"):
        read_assemblyhands(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "some recording"}, r"unknown subject in 'some recording'; recordings are called nusar"),
        ({"subject": "9999"}, r"the name gives another subject than '9999'"),
        ({"split": None}, r"this episode has no split"),
        ({"frame_ids": np.arange(6)}, r"ids that count 60: number them 0, 2, 4"),
        (
            {"streams": (stream(EGO, 6, FISHEYE),)},
            r"rectified, but HMC_.* is a OVFishEye62 camera; render it as a pinhole",
        ),
        ({"streams": (stream(EXO, 6, Pinhole(8, 8, 9, 9, 4, 4), moving=True),)}, r"C10095_rgb must stay where it is"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused(tmp_path, changes, message):
    with pytest.raises(HandloomError, match=message):
        write_assemblyhands(tmp_path, [replace(MADE[0], **changes)])
    assert not list(tmp_path.iterdir())
