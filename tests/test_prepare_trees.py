"""Trees as downloaded into stores: nothing is lost in silence, and what is repaired or comes later is taken up."""

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handloom.cli import main
from handloom.datasets.check import check
from handloom.datasets.prepare import open_dataset, prepare
from handloom.datasets.store import Store
from handloom.datasets.verdicts import State
from handloom.errors import CalibrationError, InputError, OutputError
from handloom.formats.assembly101_write import write_assembly101
from handloom.formats.assembly_names import EGO_CAMERAS
from handloom.formats.assemblyhands_write import write_assemblyhands
from handloom.formats.fpha_write import write_fpha
from handloom.formats.h2o_write import write_h2o
from make_dataset import (
    EGO,
    SEQUENCE,
    assembly101_episode,
    assemblyhands_episode,
    fpha_episode,
    h2o_episode,
    project,
)

SIZE = (128, 72)
LATER = tuple(replace(segment, segment_id=segment.segment_id + 2) for segment in h2o_episode().segments)
H2O = [h2o_episode(), h2o_episode("subject1/h2/0", segments=LATER), h2o_episode("subject4/o1/0")]
OTHER = SEQUENCE.replace("9012", "9013")
TREES = {
    "h2o": (write_h2o, H2O, "subject1/h1/0/cam4/rgb/000000.png"),
    "fpha": (
        write_fpha,
        [fpha_episode(), fpha_episode("Subject_1/put_salt/2", split="test")],
        "Video_files/Subject_1/put_salt/1/color/color_0000.jpeg",
    ),
    "assemblyhands": (
        write_assemblyhands,
        [assemblyhands_episode(), assemblyhands_episode(OTHER, split="train")],
        "images/ego_images_rectified",
    ),
    "assembly101": (
        write_assembly101,
        [assembly101_episode(), assembly101_episode(OTHER, split="val")],
        f"recordings/{SEQUENCE}/C10095_rgb.mp4",
    ),
}


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write(dataset: str, root: Path, pictures: bool = True) -> Path:
    writer, episodes, _ = TREES[dataset]
    if not pictures:
        episodes = [replace(e, streams=tuple(replace(s, pictures=None) for s in e.streams)) for e in episodes]
    writer(root, episodes)
    return root


@pytest.fixture
def h2o(tmp_path):
    return write("h2o", tmp_path / "h2o")


@pytest.mark.parametrize("dataset", TREES)
def test_a_store_holds_what_its_tree_holds(tmp_path, dataset):
    root = write(dataset, tmp_path / "tree")
    store = Store(prepare(dataset, root, tmp_path / "store", SIZE).store)
    source = open_dataset(dataset, root)
    assert [recording.name for recording in store.recordings] == list(source.names)
    for number, episode in enumerate(source):
        stored = store.episode(number)
        assert (stored.split, stored.subject, stored.segments) == (episode.split, episode.subject, episode.segments)
        np.testing.assert_array_equal(stored.frame_ids, episode.frame_ids)
        np.testing.assert_array_equal(stored.hands.valid, episode.hands.valid)
        np.testing.assert_allclose(stored.hands.joints_m, episode.hands.joints_m, atol=1e-5)
        for stream in episode.streams:
            found = stored.stream(source.common_names.get(stream.name, stream.name))
            camera = stream.camera.resized(found.camera.width, found.camera.height)
            expected = project(episode, replace(stream, camera=camera))
            np.testing.assert_allclose(project(stored, found), expected, atol=0.1)


@pytest.mark.parametrize("dataset", TREES)
def test_without_pictures_prepare_stops_unless_poses_alone_are_asked_for(tmp_path, capsys, dataset):
    root, out = write(dataset, tmp_path / "tree", pictures=False), tmp_path / "store"
    shutil.rmtree(root / "images", ignore_errors=True)
    assert main(["prepare", dataset, str(root), "--out", str(out), "--workers", "1"]) == 2
    told = capsys.readouterr().err
    assert "no pictures of camera" in told
    assert TREES[dataset][2] in told
    assert "--no-pictures" in told
    assert not out.exists()

    command = ["prepare", dataset, str(root), "--out", str(out), "--workers", "1", "--no-pictures"]
    assert main(command) == 0
    assert re.search(r"pictures\s+none", capsys.readouterr().out)
    store = Store(out)
    assert not store.layout.pictures
    assert store.info["video_path"] is None
    assert not any(feature["dtype"] == "video" for feature in store.features.values())
    assert store.episode(0).streams[0].pictures is None
    videos = {verdict.item: verdict for verdict in check(out)}["videos"]
    assert (videos.state, videos.message) == (State.OK, "no videos in this store: poses alone")
    assert main(command) == 0  # the same again does nothing


def test_poses_alone_even_where_there_are_pictures(h2o, tmp_path):
    done = prepare("h2o", h2o, tmp_path / "store", SIZE, pictures=False)
    assert (done.pictures, Store(done.store).layout.video_keys) == ("none", [])
    assert not (done.store / "videos").exists()


def test_poses_of_assembly101_without_any_camera(tmp_path):
    root = write("assembly101", tmp_path / "tree")
    shutil.rmtree(root / "calib")
    shutil.rmtree(root / "recordings")
    with pytest.raises(InputError, match=r"no cameras, so no pictures; pictures belong to .*C10095_rgb.mp4"):
        prepare("assembly101", root, tmp_path / "store", SIZE)
    done = prepare("assembly101", root, tmp_path / "store", SIZE, pictures=False)
    assert (done.recordings, Store(done.store).layout.cameras) == (2, ())


@pytest.mark.parametrize("lacking", ["subject1/h1/0", "subject1/h2/0", "subject4/o1/0"])
def test_a_camera_that_one_recording_lacks_is_named(h2o, tmp_path, lacking):
    shutil.rmtree(h2o / lacking / "cam0")
    other = "subject1/h2/0" if lacking == "subject1/h1/0" else "subject1/h1/0"
    expected = rf"{lacking} has no camera 'cam0', which {other} has .* choose those that all have with --cameras cam4"
    with pytest.raises(InputError, match=expected):
        prepare("h2o", h2o, tmp_path / "store", SIZE)
    skipped = prepare("h2o", h2o, tmp_path / "skipped", SIZE, skip_bad=True)
    assert [problem.place for problem in skipped.left_out] == [lacking]
    assert "has no camera 'cam0'" in skipped.left_out[0].reason
    assert [camera.name for camera in Store(skipped.store).layout.cameras] == ["cam0", "cam4"]
    chosen = prepare("h2o", h2o, tmp_path / "chosen", SIZE, ("cam4",))
    assert (chosen.recordings, chosen.left_out) == (3, ())
    poses = prepare("h2o", h2o, tmp_path / "poses", SIZE, pictures=False)
    assert [str(problem) for problem in poses.left_out] == [
        f"camera cam0: is not in the store, because {lacking} has no such camera"
    ]
    assert prepare("h2o", h2o, tmp_path / "poses", SIZE, pictures=False) == replace(poses, found=3)


def test_a_camera_without_pictures_in_one_recording_is_named(h2o, tmp_path):
    shutil.rmtree(h2o / "subject1/h2/0/cam0/rgb")
    with pytest.raises(InputError, match="subject1/h2/0: no pictures of camera cam0; pictures belong to"):
        prepare("h2o", h2o, tmp_path / "store", SIZE)


def test_the_two_headsets_are_one_camera(tmp_path):
    """AssemblyHands has recordings with either of two headsets, of other serial numbers."""
    other = next(name for pair in EGO_CAMERAS if EGO in pair for name in pair if name != EGO)
    made = assemblyhands_episode(OTHER, split="train")
    streams = tuple(replace(s, name=other if s.name == EGO else s.name) for s in made.streams)
    write_assemblyhands(tmp_path / "tree", [assemblyhands_episode(), replace(made, streams=streams)])
    done = prepare("assemblyhands", tmp_path / "tree", tmp_path / "store", SIZE)
    assert [camera.name for camera in Store(done.store).layout.cameras] == ["e4", "C10095_rgb"]
    assert done.recordings == 2


def test_cameras_that_come_or_go_later_are_not_passed_over(h2o, tmp_path):
    out, elsewhere = tmp_path / "store", tmp_path / "later"
    for name in ("subject1/h1/0", "subject1/h2/0", "subject4/o1/0"):
        (elsewhere / name).mkdir(parents=True)
        (h2o / name / "cam0").rename(elsewhere / name / "cam0")
    before = prepare("h2o", h2o, out, SIZE)
    kept = digest(out)
    shutil.copytree(elsewhere, h2o, dirs_exist_ok=True)
    with pytest.raises(OutputError, match=r"store was begun when .* cameras cam4; now they have cam0, cam4"):
        prepare("h2o", h2o, out, SIZE)
    assert digest(out) == kept
    assert before.recordings == 3


def test_poses_of_recordings_that_have_no_camera_in_common(h2o, tmp_path):
    shutil.rmtree(h2o / "subject1/h1/0/cam0")
    shutil.rmtree(h2o / "subject1/h2/0/cam4")
    shutil.rmtree(h2o / "subject4")
    done = prepare("h2o", h2o, tmp_path / "store", SIZE, skip_bad=True, pictures=False)
    assert (done.recordings, Store(done.store).layout.cameras) == (2, ())
    assert [p.place for p in done.left_out if p.place.startswith("camera")] == ["camera cam4", "camera cam0"]


def spy(monkeypatch) -> list[str]:
    """Names of the recordings whose shards are written from now on."""
    from handloom.datasets import prepare as module

    written, write_shard = [], module.write_shard

    def noted(episode, *arguments):
        written.append(episode.name)
        write_shard(episode, *arguments)

    monkeypatch.setattr(module, "write_shard", noted)
    return written


def test_a_repaired_recording_is_made_again_and_it_alone(h2o, tmp_path, monkeypatch):
    picture, pose = (h2o / "subject1/h2/0/cam4" / name for name in ("rgb/000003.png", "hand_pose/000005.txt"))
    whole = picture.read_bytes(), pose.read_bytes()
    picture.write_bytes(whole[0][:50])
    pose.write_bytes(b"1 2 3")
    out = tmp_path / "store"
    first = prepare("h2o", h2o, out, SIZE, skip_bad=True)
    assert sorted(Path(problem.place).name for problem in first.left_out) == [
        "0, camera cam4, frame 3",
        "000005.txt",
    ]
    written = spy(monkeypatch)
    assert prepare("h2o", h2o, out, SIZE, skip_bad=True) == replace(first, found=3)
    assert written == []

    picture.write_bytes(whole[0])
    pose.write_bytes(whole[1])
    done = prepare("h2o", h2o, out, SIZE, skip_bad=True)
    assert (written, done.found, done.left_out) == (["subject1/h2/0"], 2, ())
    assert not out.with_name("store.part").exists()
    prepare("h2o", h2o, tmp_path / "fresh", SIZE, skip_bad=True)
    assert digest(out) == digest(tmp_path / "fresh")
    assert Store(out).columns(1)["camera.cam4.pictured"].all()


def test_recordings_that_were_bad_or_come_later_are_added(h2o, tmp_path, monkeypatch):
    bad, out = h2o / "subject1/h1/0/cam0/cam_intrinsics.txt", tmp_path / "store"
    whole = bad.read_bytes()
    bad.write_bytes(b"1 2 3")
    later = (h2o / "subject4").rename(tmp_path / "subject4")
    assert prepare("h2o", h2o, out, SIZE, skip_bad=True).recordings == 1
    written = spy(monkeypatch)
    later.rename(h2o / "subject4")
    assert prepare("h2o", h2o, out, SIZE, skip_bad=True).recordings == 2
    assert written == ["subject4/o1/0"]
    bad.write_bytes(whole)
    done = prepare("h2o", h2o, out, SIZE, skip_bad=True)
    assert (written[1:], done.recordings, done.left_out) == (["subject1/h1/0"], 3, ())
    prepare("h2o", h2o, tmp_path / "fresh", SIZE, skip_bad=True)
    assert digest(out) == digest(tmp_path / "fresh")


def test_an_interrupted_run_takes_up_what_changed_meanwhile(h2o, tmp_path, monkeypatch):
    bad, label = h2o / "subject1/h2/0/cam0/cam_intrinsics.txt", h2o / "action_labels/action_train.txt"
    whole, out = bad.read_bytes(), tmp_path / "store"
    bad.write_bytes(b"1 2 3")
    with pytest.raises(CalibrationError, match=r"h2/0/cam0/cam_intrinsics.txt"):
        prepare("h2o", h2o, out, SIZE)
    bad.write_bytes(whole)
    # The label of the recording that is done already: 3 (grab lotion) becomes 4.
    lines = label.read_text().splitlines()
    row = next(n for n, line in enumerate(lines) if "subject1/h1/0 3 " in line)
    lines[row] = lines[row].replace("h1/0 3 ", "h1/0 4 ")
    label.write_text("\n".join(lines) + "\n")
    written = spy(monkeypatch)
    prepare("h2o", h2o, out, SIZE)
    assert written == ["subject1/h1/0", "subject1/h2/0", "subject4/o1/0"]
    assert Store(out).recordings[0].segments[0].label_id == 4


def test_a_renewal_that_is_interrupted_leaves_the_store_and_goes_on(h2o, tmp_path, monkeypatch):
    out = tmp_path / "store"
    prepare("h2o", h2o, out, SIZE)
    before = digest(out)
    for name in ("subject1/h1/0", "subject1/h2/0"):
        (h2o / name / "cam0/hand_pose/000000.txt").touch()
    (h2o / "subject1/h2/0/cam0/cam_intrinsics.txt").write_bytes(b"1 2 3")
    with pytest.raises(CalibrationError, match=r"cam_intrinsics.txt"):
        prepare("h2o", h2o, out, SIZE)
    assert digest(out) == before
    shutil.copy(h2o / "subject1/h1/0/cam0/cam_intrinsics.txt", h2o / "subject1/h2/0/cam0")
    written = spy(monkeypatch)
    done = prepare("h2o", h2o, out, SIZE)
    assert (written, done.found) == (["subject1/h2/0"], 2)
    prepare("h2o", h2o, tmp_path / "fresh", SIZE)
    assert digest(out) == digest(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("dataset", "change"),
    [
        ("fpha", lambda root: next(root.rglob("color_0002.jpeg")).touch()),
        ("fpha", lambda root: (root / "Hand_pose_annotation_v1/Subject_1/put_salt/1/skeleton.txt").touch()),
        ("assemblyhands", lambda root: next((root / "images").rglob("*.jpg")).touch()),
        ("assemblyhands", lambda root: next((root / "annotations/val").glob("*calib*")).touch()),
        ("assemblyhands", lambda root: (root / f"videos/exo_videos_rectified/{SEQUENCE}/calib.txt").touch()),
        ("assembly101", lambda root: (root / f"poses@60fps/{SEQUENCE}.json").touch()),
        ("assembly101", lambda root: (root / f"calib/{SEQUENCE}.json").touch()),
        ("assembly101", lambda root: (root / f"recordings/{SEQUENCE}/C10095_rgb.mp4").touch()),
    ],
)
def test_every_file_of_a_recording_counts(tmp_path, dataset, change):
    root = write(dataset, tmp_path / "tree")
    before = {name: open_dataset(dataset, root).made_of(name) for name in open_dataset(dataset, root).names}
    change(root)
    source = open_dataset(dataset, root)
    after = {name: source.made_of(name) for name in source.names}
    assert len(after.items() - before.items()) == 1
    moved = open_dataset(dataset, Path(shutil.move(root, tmp_path / "elsewhere")))
    assert {name: moved.made_of(name) for name in moved.names} == after  # where the tree stands does not count
