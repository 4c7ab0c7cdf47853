"""Assembly101 trees: in and out again, and every way in which they can be wrong."""

import json
import re
import shutil
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from handloom.errors import HandloomError, InputError
from handloom.formats.assembly101 import read_assembly101
from handloom.formats.assembly101_write import write_assembly101
from handloom.formats.assembly_calibration import write_calib_text
from make_dataset import EGO, EXO, LENS, SEQUENCE, assembly101_episode, assert_pictures, assert_same, hands, stream

OTHER = SEQUENCE.replace("9012", "9081")
MADE = [
    assembly101_episode(),
    assembly101_episode(OTHER, split="val"),
    assembly101_episode(SEQUENCE[:-1], split="test"),
]
MADE[2] = replace(
    MADE[2],
    segments=tuple(
        replace(item, label=None, verb=None, noun=None, label_id=None, verb_id=None, noun_id=None)
        for item in MADE[2].segments
    ),
)
POSES = f"poses@60fps/{SEQUENCE}.json"
TABLE = "fine-grained-annotations/train.csv"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "assembly101"
    write_assembly101(root, MADE)
    return root


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "assembly101")


def first(root, **options):
    return read_assembly101(root, **options).read(SEQUENCE)


def edit(tree, name, change):
    (tree / name).write_text(change((tree / name).read_text()))


def edit_frame(tree, frame, change):
    values = json.loads((tree / POSES).read_text())
    change(values[frame])
    (tree / POSES).write_text(json.dumps(values))


def test_what_is_written_is_read_again(whole):
    found = {episode.name: episode for episode in read_assembly101(whole)}
    assert found.keys() == {made.name for made in MADE}
    for made in MADE:
        assert_same(found[made.name], made)
        np.testing.assert_allclose(found[made.name].hands.confidence, made.hands.confidence, atol=1e-6)
    assert_pictures(found[SEQUENCE].stream(EXO), 0)
    assert_pictures(found[SEQUENCE].stream(EGO), 1)
    assert found[SEQUENCE].stream(EGO).camera == MADE[0].stream(EGO).camera
    assert np.isnan(found[SEQUENCE].stream(EGO).world_from_camera).all()  # no file tells where the headset is


def test_files_have_the_official_form(whole):
    frames = json.loads((whole / POSES).read_text())
    assert len(frames) == 11  # 60 per second
    left = np.array(frames[0]["landmarks"]["0"])
    assert left.shape == (21, 3)
    joints = MADE[0].hands.joints_m[0, 0].astype(float)
    np.testing.assert_allclose(left[5] / 1000, joints[0], atol=1e-6)  # wrist
    np.testing.assert_allclose(left[[0, 1, 4]] / 1000, joints[[4, 8, 20]], atol=1e-6)  # tips
    np.testing.assert_allclose(left[[6, 7, 8, 17]] / 1000, joints[[2, 3, 5, 17]], atol=1e-6)
    np.testing.assert_allclose(left[20] / 1000, joints[[0, 5, 9, 13, 17]].mean(0), atol=1e-6)  # centre of the palm
    assert frames[0]["tracking_confidence"] == {"0": 0.75, "1": 0.75}
    rows = (whole / TABLE).read_text().splitlines()
    assert len(rows) == 1 + 2 * 2  # once per view
    assert rows[1] == f"0,{SEQUENCE}/{EXO}.mp4,0,2,380,7,22,pick up cabin,pick up,cabin,c07c,suv,0,1"
    assert rows[3].startswith(f"2,{SEQUENCE}/{EGO}.mp4,0,2,")
    assert rows[3].endswith(",0")


def test_the_base_of_the_thumb_does_not_exist(whole):
    track = first(whole).hands
    assert not track.valid[:, :, 1].any()
    assert track.valid[0].sum() == 40
    assert not track.valid[1, 0].any()


def test_all_frames_at_60_hz(tmp_path):
    made = assembly101_episode()
    ids = np.arange(6)
    track = hands(ids, 60)
    valid = track.valid.copy()
    valid[..., 1] = False
    fast = replace(made, frame_ids=ids, frame_rate=Fraction(60), hands=replace(track, valid=valid))
    fast = replace(fast, segments=(replace(made.segments[0], start=2, end=6),))
    write_assembly101(tmp_path, [fast])
    assert_same(first(tmp_path, rate=60), fast)
    assert_pictures(first(tmp_path, rate=60).stream(EXO), 0)
    slow = first(tmp_path)
    assert slow.frame_ids.tolist() == [0, 2, 4]
    assert slow.stream(EXO).pictures.frames.tolist() == [0, 2, 4]
    assert (slow.segments[0].start, slow.segments[0].end) == (1, 3)  # 30 Hz frames 1 ... 2
    odd = replace(fast, name=OTHER, subject="9081", segments=(replace(made.segments[0], start=1, end=4),))
    with pytest.raises(HandloomError, match=r"covers the 60 Hz frames 1 ... 3, but the tables count at 30 Hz"):
        write_assembly101(tmp_path, [odd])


def test_older_tables_name_the_recording_alone(tree):
    labels = "action_id,verb_id,noun_id,action_cls,verb_cls,noun_cls"
    old = f"id,video,start_frame,end_frame,{labels},toy_id,toy_name,is_shared"
    rows = (
        "0,{0},0,2,380,7,22,pick up cabin,pick up,cabin,c07c,suv,0\n1,{0},3,6,12,4,9,screw wheel,screw,wheel,c07c,suv,0"
    )
    (tree / TABLE).write_text(f"{old}\n{rows.format(SEQUENCE)}\n")
    assert_same(first(tree), MADE[0])
    newest = [f"{number},{line}" for number, line in enumerate(rows.format(f"{SEQUENCE}/{EXO}.mp4").splitlines())]
    (tree / TABLE).write_text("\n".join([f"row,{old},is_RGB", *(f"{line},1" for line in newest)]))
    assert_same(first(tree), MADE[0])


def test_calib_text_serves_where_the_raw_rig_is_missing(tree):
    (tree / f"calib/{SEQUENCE}.json").unlink()
    made = [MADE[0].stream(EXO), replace(MADE[0].stream(EGO), camera=LENS)]
    write_calib_text(tree / f"recordings/{SEQUENCE}/calib.txt", made)
    episode = first(tree)
    assert_same(episode, replace(MADE[0], streams=(made[0], replace(made[1], camera=LENS.cropped(0, 0, 128, 96)))))
    assert np.isnan(episode.stream(EGO).world_from_camera).all()
    (tree / f"recordings/{SEQUENCE}/calib.txt").unlink()
    assert first(tree).streams == ()


def test_videos_of_another_rate_or_length_are_refused(tree):
    folder = tree / "recordings" / SEQUENCE
    shutil.copy(tree / "recordings" / SEQUENCE / f"{EXO}.mp4", folder / "C10115_rgb.mp4")
    with pytest.raises(InputError, match=r"no camera C10115_rgb, of which there is a video"):
        first(tree)
    (folder / "C10115_rgb.mp4").unlink()
    values = json.loads((tree / POSES).read_text())
    (tree / POSES).write_text(json.dumps(values + values))
    with pytest.raises(InputError, match=r"C10095_rgb.mp4: 6 frames, but 11 have poses; finish the download"):
        first(tree)
    assert first(tree, skip_bad=True).stream(EXO).pictures.frames.tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1, -1, -1]


def row(tree, text):
    edit(tree, TABLE, lambda table: f"{table}{text}\n")


LABEL = "1,2,3,a b,a,b,c07c,suv,0,1"
FAULTS = [
    ("columns", lambda t: row(t, f"9,{SEQUENCE},1,2,{LABEL},7"), r"train.csv, line 6: expected 14 columns"),
    ("few", lambda t: row(t, f"9,{SEQUENCE},1"), r"train.csv, line 6: expected 14 columns"),
    ("id", lambda t: row(t, f"2,{SEQUENCE},1,2,{LABEL}"), r"line 6: id 2 is already that of line 4"),
    (
        "beyond",
        lambda t: row(t, f"9,{SEQUENCE},50,60,{LABEL}"),
        r"line 6: frames 50 ... 59, but the recording has 0 ... 5",
    ),
    ("end", lambda t: row(t, f"9,{SEQUENCE},2,2,{LABEL}"), r"line 6: end_frame 2 does not lie behind start_frame 2"),
    (
        "number",
        lambda t: row(t, f"9,{SEQUENCE},-1,2,{LABEL}"),
        r"line 6: start_frame must be a whole number, found '-1'",
    ),
    ("subject", lambda t: row(t, f"9,recording/{EXO}.mp4,1,2,{LABEL}"), r"line 6: unknown subject in 'recording'"),
    ("split", lambda t: row(t, f"9,{OTHER},1,2,{LABEL}"), r"validation.csv, line 2: nusar.* is in train.csv, too"),
    (
        "landmarks",
        lambda t: edit_frame(t, 4, lambda f: f.pop("landmarks")),
        r'frame 4: left hand: .* the field "landmarks"',
    ),
    (
        "joints",
        lambda t: edit_frame(t, 4, lambda f: f["landmarks"]["1"].pop()),
        r"frame 4: right hand: expected 21 x 3 finite",
    ),
    (
        "nan",
        lambda t: edit_frame(t, 4, lambda f: f["landmarks"]["1"][3].__setitem__(0, float("nan"))),
        r"frame 4: right hand: expected",
    ),
    (
        "confidence",
        lambda t: edit_frame(t, 4, lambda f: f["tracking_confidence"].update({"1": 7})),
        r"must lie in 0 ... 1, found 7",
    ),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_fault_stops_or_is_listed_and_the_rest_is_read(tree, change, message):
    change(tree)
    with pytest.raises(InputError, match=message):
        list(read_assembly101(tree))
    source = read_assembly101(tree, skip_bad=True)
    episodes = {episode.name: episode for episode in source}
    assert episodes.keys() == {made.name for made in MADE}
    assert re.search(message, "\n".join(map(str, [*source.problems, *episodes[SEQUENCE].problems])))


def test_a_hand_of_zeros_is_no_hand(tree):
    edit_frame(tree, 4, lambda frame: frame["landmarks"].update({"1": [[0.0, 0.0, 0.0]] * 21}))
    assert first(tree).hands.present[2].tolist() == [True, False]


def test_recordings_without_poses_are_known_to_be_missing(tree):
    (tree / POSES).unlink()
    source = read_assembly101(tree)
    assert SEQUENCE not in source.names
    (problem,) = source.problems
    assert (problem.place, problem.reason[:27]) == (SEQUENCE, "has actions but no poses in")
    with pytest.raises(InputError, match=r"has no recording 'nusar"):
        source.read(SEQUENCE)


def test_recordings_without_actions_are_in_no_split(tree):
    (tree / TABLE).unlink()
    episode = first(tree)
    assert episode.split is None
    assert episode.segments == ()
    assert episode.scene == "c07c"


def test_missing_folders_are_named(tmp_path, whole):
    with pytest.raises(InputError, match=r"poses@60fps: no such folder; give the folder that holds the poses"):
        read_assembly101(tmp_path)
    shutil.copytree(whole / "poses@60fps", tmp_path / "poses@60fps")
    with pytest.raises(InputError, match=r"no train.csv, validation.csv, test.csv; download them"):
        read_assembly101(tmp_path)
    with pytest.raises(InputError, match=r"the rate must be 30 or 60"):
        read_assembly101(whole, rate=25)
    (tmp_path / POSES).write_text("[]")
    shutil.copytree(whole / "fine-grained-annotations", tmp_path / "fine-grained-annotations")
    with pytest.raises(InputError, match=r"must hold a list of frames"):
        first(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_ids": np.arange(6)}, r"number 30 frames per second 0, 2, 4"),
        ({"frame_rate": Fraction(25)}, r"frame ids count 60 per second from 0 on"),
        ({"subject": "1"}, r"the name gives another subject than '1'"),
        ({"streams": (stream(EXO, 6, moving=True),)}, r"C10095_rgb must stay where it is"),
    ],
)
def test_what_the_layout_cannot_hold_is_refused(tmp_path, changes, message):
    with pytest.raises(HandloomError, match=message):
        write_assembly101(tmp_path, [replace(MADE[0], **changes)])
    assert not list(tmp_path.rglob("*.json"))
