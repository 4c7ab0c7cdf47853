"""FPHA trees: in and out again, and every way in which they can be wrong."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from handloom.errors import InputError, OutputError
from handloom.formats.fpha import read_fpha
from handloom.formats.fpha_classes import ACTIONS, CAMERA, CAMERA_FROM_WORLD, OBJECT_OF_ACTION, OBJECTS
from handloom.formats.fpha_write import write_fpha
from handloom.geometry import Pinhole, apply_rigid, invert_rigid
from make_dataset import assert_pictures, assert_same, fpha_episode, hands, poses

SPLIT = "data_split_action_recognition.txt"
SKELETON = "Hand_pose_annotation_v1/Subject_1/put_salt/1/skeleton.txt"
MADE = [
    fpha_episode(),
    fpha_episode("Subject_2/open_juice_bottle/3", label=0, noun="juice", scene=""),
    fpha_episode("Subject_1/put_salt/2", split="test"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("whole") / "fpha"
    write_fpha(root, MADE)
    return root


@pytest.fixture
def tree(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "fpha")


def first(root, **options):
    return read_fpha(root, **options).read("Subject_1/put_salt/1")


def edit(tree, name, change):
    (tree / name).write_text(change((tree / name).read_text()))


def test_what_is_written_is_read_again(whole):
    source = read_fpha(whole)
    found = {episode.name: episode for episode in source}
    assert len(found) == len(source) == 3
    for made in MADE:
        assert_same(found[made.name], made)
        assert_pictures(found[made.name].stream("color"), 0)


def test_files_have_the_official_form(whole):
    lines = (whole / SKELETON).read_text().splitlines()
    row = np.array(lines[1].split(), float)
    assert row.shape == (64,)
    assert row[0] == 1
    assert set(lines[2].split()[1:]) == {"0"}  # the missing hand
    world_mm = row[1:].reshape(21, 3)
    order = (0, 1, 6, 7, 8, 2, 9, 10, 11, 3, 12, 13, 14, 4, 15, 16, 17, 5, 18, 19, 20)
    np.testing.assert_allclose(world_mm[list(order)] / 1000, MADE[0].hands.joints_m[1, 1], atol=1e-6)
    assert (whole / "Subjects_info/Subject_1_info.txt").read_text().splitlines()[3:] == ["put_salt 1 5", "put_salt 2 5"]
    expected = "Training 2\nSubject_1/put_salt/1 15\nSubject_2/open_juice_bottle/3 0\nTest 1\nSubject_1/put_salt/2 15\n"
    assert (whole / SPLIT).read_text() == expected
    assert (whole / "Video_files_480/Subject_1/put_salt/1/color/color_0004.jpeg").is_file()
    assert (whole / "action_object_info.txt").read_text().splitlines()[16] == "16 put_salt salt 0 kitchen"


def test_joints_project_with_the_published_numbers(whole):
    episode = first(whole)
    camera_from_world = invert_rigid(episode.stream("color").world_from_camera[0])
    published = [
        [0.999988496304, -0.00468848412856, 0.000982563360594, 0.0257],
        [0.00469115935266, 0.999985218048, -0.00273845880292, 0.00122],
        [-0.000969709653873, 0.00274303671904, 0.99999576807, 0.003902],
    ]
    np.testing.assert_allclose(camera_from_world[:3], published, atol=1e-9)
    np.testing.assert_allclose(CAMERA.matrix, [[1395.749023, 0, 935.732544], [0, 1395.749268, 540.68103], [0, 0, 1]])


def test_classes_are_the_built_in_table(tree):
    assert (len(ACTIONS), len(OBJECTS)) == (45, 26)
    assert OBJECTS[:9] == ("juice", "peanut_butter", "fork", "spoon", "milk", "mug", "tea_bag", "salt", "liquid_soap")
    assert OBJECTS[9:18] == (*("sponge", "soda_can", "spray", "pen", "paper", "letter", "book", "calculator", "match"),)
    assert OBJECTS[18:] == ("cell_charger", "glasses", "wallet", "coin", "card", "wine_bottle", "wine_glass", "hand")
    assert OBJECT_OF_ACTION["read_letter"] == "paper"
    assert (ACTIONS[0], ACTIONS[30], ACTIONS[44]) == ("open_juice_bottle", "read_letter", "high_five")
    (tree / "action_object_info.txt").unlink()
    assert_same(first(tree), replace(MADE[0], scene=""))


def test_the_table_of_the_download_counts_where_it_is_there(tree):
    edit(tree, "action_object_info.txt", lambda text: text.replace("put_salt salt 0", "put_salt shaker 0"))
    episode = first(tree)
    assert episode.segments[0].noun == "shaker"
    assert episode.object_names[episode.object_labels[0]] == "shaker"
    edit(tree, "action_object_info.txt", lambda text: text + "46 wave hand 0\n")
    with pytest.raises(InputError, match=r"action_object_info.txt, line 47: expected 5 columns .*, found 4"):
        read_fpha(tree)


def test_ignored_recordings_are_left_out_and_old_names_understood(tree):
    edit(tree, SPLIT, lambda text: text + "Subject_2/close_milk/4 11\nSubject_4/flip_sponge/2 20\n")
    old = "Subject_1/use_spray/1"
    edit(tree, SPLIT, lambda text: text + f"{old} 24\n")
    edit(tree, "Subjects_info/Subject_1_info.txt", lambda text: text + "\nuse_spray 1 5\n")
    for name in ("Hand_pose_annotation_v1", "Video_files_480"):
        shutil.copytree(tree / name / "Subject_1/put_salt/1", tree / name / old)
    source = read_fpha(tree)
    assert source.names[-1] == old
    assert len(source) == 4
    segment = source.read(old).segments[0]
    assert (segment.label, segment.noun, segment.label_id) == ("use flash", "spray", 24)


def test_the_other_name_of_the_skeleton_folder(tree):
    (tree / "Hand_pose_annotation_v1").rename(tree / "Hand_pose_annotation_v1_1")
    assert_same(first(tree), MADE[0])


def set_word(row, column, word):
    def change(text):
        rows = [line.split() for line in text.splitlines()]
        rows[row][column] = word
        return "\n".join(" ".join(words) for words in rows)

    return change


LOST = [
    ("letters", lambda t: edit(t, SKELETON, set_word(3, 5, "x")), r"skeleton.txt, line 4: 'x' is not a number"),
    ("nan", lambda t: edit(t, SKELETON, set_word(3, 5, "nan")), r"skeleton.txt, line 4: joints are not finite"),
    ("index", lambda t: edit(t, SKELETON, set_word(3, 0, "7")), r"line 4: frame 7 stands in row 3, from 0"),
    ("columns", lambda t: edit(t, SKELETON, set_word(3, 0, "3 3")), r"line 4: expected 64 numbers .*, found 65"),
    ("no skeleton", lambda t: (t / SKELETON).unlink(), r"skeleton.txt does not exist"),
    (
        "no length",
        lambda t: edit(t, "Subjects_info/Subject_1_info.txt", lambda s: s.replace("put_salt 1 5", "")),
        r"line 2: Subject_1/put_salt/1 does not stand in Subjects_info/Subject_1_info.txt",
    ),
    (
        "no pictures",
        lambda t: shutil.rmtree(t / "Video_files_480/Subject_1/put_salt/1"),
        r"put_salt/1/color: no such folder; finish the download",
    ),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in LOST], ids=[case[0] for case in LOST])
def test_a_recording_that_is_bad_stops_or_is_left_out(tree, change, message):
    change(tree)
    with pytest.raises(InputError, match=message):
        list(read_fpha(tree))
    source = read_fpha(tree, skip_bad=True)
    assert [episode.name for episode in source] == [made.name for made in MADE[1:]]
    (problem,) = source.problems
    assert re.search(message, str(problem))


KEPT = [
    (
        "subject",
        lambda t: add(t, "Subject_9/put_salt/1 15"),
        r"line 6: unknown subject 'Subject_9'; FPHA has",
    ),
    ("action", lambda t: add(t, "Subject_1/juggle/1 15"), r"line 6: unknown action 'juggle'"),
    (
        "twice",
        lambda t: add(t, "Subject_1/put_salt/2 15"),
        r"line 6: Subject_1/put_salt/2 is already given in .* 5",
    ),
    ("label", lambda t: add(t, "Subject_1/put_salt/3 14"), r"line 6: put_salt has label 14, but 15 before"),
    ("path", lambda t: add(t, "Subject_1/../1 15"), r"line 6: unknown action '..'"),
    ("columns", lambda t: add(t, "Subject_1/put_salt/3"), r"line 6: expected Subject/action/repetition and a label"),
    (
        "length",
        lambda t: edit(t, "Subjects_info/Subject_1_info.txt", lambda s: s.replace("put_salt 1 5", "put_salt 1 4")),
        r"skeleton.txt: 5 frames, but .*Subject_1_info.txt, line 4 says 4",
    ),
    (
        "length twice",
        lambda t: edit(t, "Subjects_info/Subject_1_info.txt", lambda s: s + "\nput_salt 1 5"),
        r"line 6: Subject_1/put_salt/1 is already given in line 4",
    ),
    (
        "picture",
        lambda t: (t / "Video_files_480/Subject_1/put_salt/1/color/color_0002.jpeg").unlink(),
        r"color: 4 pictures, but 5 labelled frames \(they differ at frame 2\)",
    ),
]


def add(tree, line):
    edit(tree, SPLIT, lambda text: f"{text}{line}\n")


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in KEPT], ids=[case[0] for case in KEPT])
def test_a_fault_stops_or_is_listed_and_all_recordings_are_read(tree, change, message):
    change(tree)
    with pytest.raises(InputError, match=message):
        list(read_fpha(tree))
    source = read_fpha(tree, skip_bad=True)
    episodes = list(source)
    assert [episode.name for episode in episodes] == [made.name for made in MADE]
    assert re.search(message, "\n".join(map(str, [*source.problems, *episodes[0].problems])))


def test_missing_folders_are_named(tmp_path, whole):
    with pytest.raises(InputError, match=r"nowhere: no such folder; give the folder that holds data_split"):
        read_fpha(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"Subjects_info: no such folder; it is part of the download"):
        read_fpha(tmp_path)
    shutil.copytree(whole / "Subjects_info", tmp_path / "Subjects_info")
    with pytest.raises(InputError, match=r"data_split_action_recognition.txt does not exist"):
        read_fpha(tmp_path)
    shutil.copy(whole / SPLIT, tmp_path)
    with pytest.raises(InputError, match=r"Hand_pose_annotation_v1: no such folder; unpack"):
        read_fpha(tmp_path)


def test_a_moving_camera_is_written_as_it_sees_the_hand(tmp_path):
    made = MADE[0]
    seen = replace(made.stream("color"), world_from_camera=poses(5, moving=True))
    write_fpha(tmp_path, [replace(made, streams=(seen,))])
    found = first(tmp_path)
    in_camera = [
        apply_rigid(invert_rigid(camera.world_from_camera), track.joints_m[:, 1].astype(float))
        for camera, track in ((found.stream("color"), found.hands), (seen, made.hands))
    ]
    np.testing.assert_allclose(*in_camera, atol=1e-5)
    np.testing.assert_allclose(found.stream("color").world_from_camera[3], invert_rigid(CAMERA_FROM_WORLD))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Subject_7/put_salt/1"}, r"recordings are called subject/action/repetition"),
        ({"split": "val"}, r"FPHA has the splits train and test"),
        ({"frame_ids": np.arange(1, 6)}, r"30 frames per second, numbered from 0"),
        ({"hands": hands(range(5), 30)}, r"labels the right hand only; mark the left one invalid"),
        ({"segments": ()}, r"expected one segment over all frames with label 15"),
        ({"streams": ()}, r"one camera, called 'color'"),
        (
            {"streams": (replace(MADE[0].streams[0], camera=Pinhole(128, 72, 90, 90, 64, 36)),)},
            r"FPHA has one camera, Pinhole\(width=128, height=72, fx=93.*; found Pinhole",
        ),
    ],
)
def test_what_the_layout_cannot_hold_is_refused(tmp_path, changes, message):
    with pytest.raises(OutputError, match=message):
        write_fpha(tmp_path, [replace(MADE[0], **changes)])
    assert not list(tmp_path.iterdir())
