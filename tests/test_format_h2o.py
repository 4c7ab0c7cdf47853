"""H2O trees: in and out again, and every way in which they can be wrong."""

import pickle
import re
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from handloom.errors import CalibrationError, InputError, OutputError
from handloom.formats.h2o import read_h2o, read_mano
from handloom.formats.h2o_classes import ACTIONS, SCENES, split_of
from handloom.formats.h2o_write import write_h2o
from handloom.geometry import KannalaBrandt, apply_rigid
from make_dataset import assert_pictures, assert_same, h2o_episode, hands, stream

MADE = [
    h2o_episode(),
    h2o_episode("subject3/k2/1", segments=h2o_episode().segments[:1]),
    h2o_episode("subject4/o1/10"),
    h2o_episode("subject4/o1/9", segments=()),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "h2o"
    write_h2o(root, MADE)
    return root


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "h2o")


def first(root, **options):
    return read_h2o(root, **options).read("subject1/h1/0")


def test_what_is_written_is_read_again(whole):
    source = read_h2o(whole)
    assert source.names == ("subject1/h1/0", "subject3/k2/1", "subject4/o1/9", "subject4/o1/10")
    found = {episode.name: episode for episode in source}
    for made in MADE:
        assert_same(found[made.name], made)
    assert [found[name].split for name in source.names] == ["train", "val", "test", "test"]
    assert_pictures(found["subject1/h1/0"].stream("cam0"), 0)
    assert_pictures(found["subject1/h1/0"].stream("cam4"), 1)


def test_sources_travel_to_other_processes(whole):
    again = pickle.loads(pickle.dumps(read_h2o(whole, cameras=["cam4"])))
    assert [item.name for item in again.read("subject1/h1/0").streams] == ["cam4"]


def test_files_have_the_official_form(whole):
    folder = whole / "subject1" / "h1" / "0" / "cam4"
    values = np.array((folder / "hand_pose" / "000000.txt").read_text().split(), float)
    assert len(values) == 128
    assert values[0] == values[64] == 1
    world_from_camera = np.array((folder / "cam_pose" / "000000.txt").read_text().split(), float).reshape(4, 4)
    world = apply_rigid(world_from_camera, values[65:].reshape(21, 3))  # the file's matrix is camera to world
    np.testing.assert_allclose(world, MADE[0].hands.joints_m[0, 1], atol=1e-6)
    assert float((folder / "hand_pose" / "000001.txt").read_text().split()[0]) == 0  # the missing left hand
    lines = (whole / "action_labels" / "action_train.txt").read_text().splitlines()
    assert lines[0] == "id path action_label start_act end_act start_frame end_frame"
    assert lines[1] == "1 subject1/h1/0 3 0 2 0 7"  # frames 0 ... 2: the last one included
    assert (folder / "action_label" / "000002.txt").read_text() == "3\n"
    assert (folder / "action_label" / "000003.txt").read_text() == "0\n"
    assert (folder / "verb_label" / "000007.txt").read_text() == "6\n"
    assert not (whole / "subject1" / "h1" / "0" / "cam0" / "action_label").exists()


def test_boxes_of_objects_are_written_where_sizes_are_known(tmp_path):
    episode = MADE[0]
    write_h2o(tmp_path, [episode], object_sizes_m=dict.fromkeys(episode.object_names, (0.2, 0.4, 0.6)))
    frame = int(np.flatnonzero(episode.object_labels >= 0)[0])
    folder = tmp_path / episode.name / episode.streams[0].name
    name = f"{episode.frame_ids[frame]:06d}.txt"
    box, whole = (np.loadtxt(folder / kind / name) for kind in ("obj_pose", "obj_pose_RT"))
    assert (len(box), box[0]) == (64, whole[0])
    pose, points = whole[1:].reshape(4, 4), box[1:].reshape(21, 3)
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    halves = np.abs(local) / (0.1, 0.2, 0.3)
    np.testing.assert_allclose(np.sort(halves.sum(1)), [0] + [2] * 12 + [3] * 8, atol=1e-9)
    np.testing.assert_allclose(local[0], 0, atol=1e-9)
    assert len(np.unique(local.round(6), axis=0)) == 21


def test_classes_are_those_of_the_readme():
    assert len(ACTIONS) == 36
    chosen = {1: "grab book", 16: "place cappuccino", 17: "open lotion", 22: "close chips", 36: "squeeze lotion"}
    chosen |= {23: "pour milk", 27: "take out cappuccino", 28: "put in espresso", 34: "read espresso"}
    assert {number: " ".join(ACTIONS[number - 1]) for number in chosen} == chosen
    assert [split_of("subject3", scene) for scene in SCENES] == ["train"] * 3 + ["val"] * 3


def test_public_test_file_has_no_labels_and_the_private_one_appends_them(tree):
    path = tree / "action_labels" / "action_test.txt"
    header = "id path start_act end_act start_frame end_frame\n"
    path.write_text(header + "7 subject4/o1/10 0 2 0 7\n")
    (segment,) = read_h2o(tree).read("subject4/o1/10").segments
    assert (segment.label, segment.label_id, segment.segment_id, segment.start, segment.end) == (None, None, 7, 0, 3)
    path.write_text(header + "7 subject4/o1/10 0 2 0 7 36\n")
    (segment,) = read_h2o(tree).read("subject4/o1/10").segments
    assert (segment.label, segment.verb, segment.noun, segment.label_id) == ("squeeze lotion", "squeeze", "lotion", 36)


def test_an_unlabelled_test_split_is_written_like_the_public_one(tmp_path):
    bare = replace(MADE[2].segments[0], label=None, verb=None, noun=None, label_id=None)
    made = replace(MADE[2], segments=(bare,))
    write_h2o(tmp_path, [made])
    lines = (tmp_path / "action_labels" / "action_test.txt").read_text().splitlines()
    assert lines == ["id path start_act end_act start_frame end_frame", "1 subject4/o1/10 0 2 0 7"]
    assert_same(next(iter(read_h2o(tmp_path))), made)


def test_small_pictures_scale_the_camera(tmp_path):
    small = replace(stream("cam4", 8, index=1, moving=True), camera=MADE[0].stream("cam4").camera.resized(64, 36))
    made = h2o_episode(streams=(replace(small, pictures=None),))
    write_h2o(tmp_path, [made])
    folder = tmp_path / "subject1" / "h1" / "0" / "cam4"
    (folder / "cam_intrinsics.txt").write_text("90.25 91.5 63.125 35.75 128 72")
    (folder / "rgb256").mkdir()
    for frame in range(8):
        cv2.imwrite(str(folder / "rgb256" / f"{frame:06d}.jpg"), np.full((36, 64, 3), 99, np.uint8))
    found = first(tmp_path).stream("cam4")
    assert (found.camera.width, found.camera.height) == (64, 36)
    assert found.camera.cx == pytest.approx((63.125 + 0.5) / 2 - 0.5)
    cv2.imwrite(str(folder / "rgb256" / "000000.jpg"), np.full((40, 64, 3), 99, np.uint8))
    with pytest.raises(CalibrationError, match=r"is for 128 x 72, but the pictures are 64 x 40; is it the calibration"):
        first(tmp_path)


def test_mano_has_62_values_per_hand(tmp_path):
    path = tmp_path / "000000.txt"
    path.write_text(" ".join(str(i) for i in range(124)))
    assert read_mano(tmp_path)[0, 1, 0] == 62
    path.write_text(" ".join(["1"] * 118))
    with pytest.raises(InputError, match=r"59 numbers per hand, as H2O's README says, but .* 62 .*manolabel_v1.1"):
        read_mano(tmp_path)
    path.write_text(" ".join(["1"] * 117))
    with pytest.raises(InputError, match=r"000000.txt: expected 124 numbers \(flag, 3 translation.*found 117"):
        read_mano(tmp_path)


HAND = "subject1/h1/0/cam4/hand_pose/000003.txt"
LABELS = "action_labels/action_train.txt"


def edit(tree, name, change):
    path = tree / name
    path.write_text(change(path.read_text()))


def set_word(index, word):
    return lambda text: " ".join((*text.split()[:index], word, *text.split()[index + 1 :]))


def add_label(tree, line):
    edit(tree, LABELS, lambda text: f"{text}{line}\n")


FAULTS = [
    ("words", lambda t: edit(t, HAND, lambda s: s + " 1"), r"000003.txt: expected 128 numbers .*, found 129"),
    ("letters", lambda t: edit(t, HAND, set_word(9, "x1")), r"000003.txt: 'x1' is not a number"),
    ("nan", lambda t: edit(t, HAND, set_word(70, "nan")), r"000003.txt: joints of a labelled hand are not finite"),
    ("flag", lambda t: edit(t, HAND, set_word(0, "0.5")), r"000003.txt: a hand's flag must be 0 or 1, found \[0.5"),
    ("empty", lambda t: edit(t, HAND, lambda s: ""), r"000003.txt: expected 128 numbers .*, found 0"),
    ("huge", lambda t: edit(t, HAND, lambda s: s * 99), r"000003.txt: has more than 65536 bytes"),
    ("frame gone", lambda t: (t / HAND).unlink(), r"hand_pose: frame 4 follows 2; finish the download"),
    (
        "pose gone",
        lambda t: (t / "subject1/h1/0/cam4/cam_pose/000002.txt").unlink(),
        r"cam_pose/000002.txt: cannot be read: No such file",
    ),
    (
        "pose not rigid",
        lambda t: edit(t, "subject1/h1/0/cam4/cam_pose/000002.txt", set_word(0, "2")),
        r"cam_pose/000002.txt: not a rigid 4 x 4 transform",
    ),
    (
        "picture gone",
        lambda t: (t / "subject1/h1/0/cam0/rgb/000005.png").unlink(),
        r"cam0/rgb: 7 pictures, but 8 labelled frames \(frame 5 has no picture\)",
    ),
    (
        "object class",
        lambda t: edit(t, "subject1/h1/0/cam4/obj_pose_RT/000001.txt", set_word(0, "9")),
        r"obj_pose_RT/000001.txt: object class must lie in 0 ... 8, found 9",
    ),
    (
        "label columns",
        lambda t: add_label(t, "3 subject1/h1/0 3 0 2 0"),
        r"line 4: expected 7 columns",
    ),
    (
        "label id",
        lambda t: add_label(t, "2 subject1/h1/0 3 0 2 0 7"),
        r"line 4: id 2 is already that",
    ),
    (
        "label",
        lambda t: add_label(t, "3 subject1/h1/0 37 0 2 0 7"),
        r"action_label must lie in 1 ... 36",
    ),
    ("label turned", lambda t: add_label(t, "3 subject1/h1/0 3 5 2 0 7"), r"end_act 2 lies before"),
    (
        "number",
        lambda t: add_label(t, "3 subject1/h1/0 3 0 2.5 0 7"),
        r"must be a whole number, found '2.5'",
    ),
    (
        "label beyond",
        lambda t: add_label(t, "3 subject1/h1/0 3 5 8 0 8"),
        r"line 4: the segment covers frames 5 ... 8, but subject1/h1/0 has no frame 8 \(it has 0 ... 7\)",
    ),
    (
        "recording gone",
        lambda t: add_label(t, "3 subject2/h1/0 3 5 8 0 8"),
        r"line 4: the recording subject2/h1/0 is not in .*; finish the download",
    ),
    ("subject", lambda t: (t / "subject5/h1/0").mkdir(parents=True), r"subject5: unknown subject; H2O has subject1"),
    ("scene", lambda t: (t / "subject1/q1/0").mkdir(parents=True), r"q1: unknown scene; H2O has h1"),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_fault_stops_or_is_listed_and_the_rest_is_read(tree, change, message):
    change(tree)
    with pytest.raises(InputError, match=message):
        list(read_h2o(tree))
    source = read_h2o(tree, skip_bad=True)
    episodes = {episode.name: episode for episode in source}
    assert episodes.keys() == {made.name for made in MADE}
    found = [*source.problems, *episodes["subject1/h1/0"].problems]
    assert re.search(message, "\n".join(map(str, found)))
    assert len(found) <= 3  # one fault may entail others, but not one per frame


def test_a_bad_frame_is_no_valid_pose(tree):
    edit(tree, HAND, set_word(70, "inf"))
    edit(tree, "subject1/h1/0/cam4/cam_pose/000005.txt", lambda s: "")
    episode = first(tree, skip_bad=True)
    assert episode.hands.present[3].tolist() == [True, False]
    assert not episode.hands.valid[5].any()
    assert np.isnan(episode.stream("cam4").world_from_camera[5]).all()
    assert len(episode.problems) == 2


def test_a_frame_given_twice_is_refused(tree):
    shutil.copy(tree / HAND, (tree / HAND).with_name("3.txt"))
    with pytest.raises(InputError, match=r"hand_pose/3.txt and 000003.txt are the same frame; keep one"):
        first(tree)


def test_poses_of_another_sequence_are_found(tree):
    folder = tree / "subject1/h1/0"
    for frame in range(8):
        shutil.copy(folder / f"cam4/cam_pose/{frame:06d}.txt", folder / f"cam0/cam_pose/{frame:06d}.txt")
    with pytest.raises(
        CalibrationError, match=r"cam0/cam_pose: with these poses the hands are \d+ mm .* another sequence"
    ):
        first(tree)


def test_absurd_numbers_are_refused(tree):
    camera = tree / "subject1/h1/0/cam4/cam_intrinsics.txt"
    text = camera.read_text()
    camera.write_text("600 600 640 360 0 720")
    with pytest.raises(CalibrationError, match=r"cam_intrinsics.txt: width must be a positive whole number"):
        first(tree)
    camera.write_text(text)
    for frame in range(8):
        path = tree / f"subject1/h1/0/cam4/hand_pose/{frame:06d}.txt"
        values = np.array(path.read_text().split(), float).reshape(2, 64)
        values[:, 1:] *= 1000
        path.write_text(" ".join(map(str, values.ravel())))
    shutil.rmtree(tree / "subject1/h1/0/cam0")
    with pytest.raises(InputError, match=r"the left palm is [0-9.]+ m long .* a real one about 0.09 m"):
        first(tree)


def test_missing_folders_are_named(tmp_path, whole):
    with pytest.raises(InputError, match=r"nowhere: no such folder; give the folder that holds subject1"):
        read_h2o(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no action_train.txt.*copy the folder action_labels of github.com"):
        read_h2o(tmp_path)
    shutil.copytree(whole / "action_labels", tmp_path / "action_labels")
    with pytest.raises(InputError, match=r"no recording such as subject1/h1/0; unpack"):
        read_h2o(tmp_path)
    with pytest.raises(InputError, match=r"H2O has no camera 'cam5'; it has cam0"):
        read_h2o(whole, cameras=["cam5"])
    with pytest.raises(InputError, match=r"has no recording 'subject9/h1/0'"):
        read_h2o(whole).read("subject9/h1/0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "subject5/h1/0"}, r"recordings are called subject/scene/number"),
        ({"name": "subject1/h1/../0"}, r"recordings are called subject/scene/number"),
        ({"split": "test"}, r"H2O puts it into 'train' of subject1, found 'test'"),
        ({"frame_ids": np.arange(8) * 2}, r"30 frames per second without gaps"),
        ({"segments": (replace(MADE[0].segments[0], label_id=4),)}, r"'grab lotion' with number 4 is no action of H2O"),
        ({"streams": ()}, r"give at least one"),
        ({"streams": (stream("cam7", 8),)}, r"called cam0.*; found 'cam7'"),
        ({"streams": (stream("cam0", 8, KannalaBrandt(9, 9, 5, 5, 4, 4, (0.0,) * 4)),)}, r"cameras are pinholes"),
        ({"object_names": ("book",), "object_poses": None, "object_labels": None}, r"H2O's objects are book, espresso"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused(tmp_path, changes, message):
    with pytest.raises(OutputError, match=message):
        write_h2o(tmp_path, [replace(MADE[0], **changes)])
    assert not list(tmp_path.rglob("*.txt"))


def test_half_a_hand_is_refused_and_nothing_stays(tmp_path):
    track = hands(range(8), 30)
    valid = track.valid.copy()
    valid[4, 1, 7] = False
    with pytest.raises(OutputError, match=r"the right hand of frame 4 has 20 of 21 joints"):
        write_h2o(tmp_path, [h2o_episode(hands=replace(track, valid=valid))])
    assert not list(tmp_path.rglob("*.txt"))
    write_h2o(tmp_path, [MADE[3]])
    with pytest.raises(OutputError, match=r"subject4/o1/9 is already there; choose an empty folder"):
        write_h2o(tmp_path, [MADE[3]])
