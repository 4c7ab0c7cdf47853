import json
import shutil
import signal
import subprocess
import sys
import tracemalloc

import av
import cv2
import numpy as np
import pytest

from handloom.annotate import agreement as agreeing
from handloom.annotate import detect as detecting
from handloom.annotate.annotate import annotate
from handloom.annotate.capture import Captures
from handloom.annotate.labels import Labels
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.pool import local_engine
from handloom.annotate.run import STAGES
from handloom.annotate.source import annotated_episode
from handloom.benchmarks import annotate as benchmark
from handloom.cli import main
from handloom.datasets.store import Store
from handloom.errors import CalibrationError, InputError
from handloom.formats.assemblyhands import read_assemblyhands
from handloom.formats.assemblyhands_write import write_assemblyhands
from handloom.geometry import OVFishEye62, rigid, rotation_from_vector
from handloom.hands import ScaleSource
from made_up_capture import LENS, hands, make_capture, ring
from make_dataset import assemblyhands_episode

HERE = local_engine(1)
FISHEYE = OVFishEye62(320, 240, 120.0, 120.0, 159.5, 119.5, (0.01, -0.005, 0.001, 0, 0, 0, 0, 0))


USUAL = AnnotateOptions()


def run(monkeypatch, scene, root, out, options=USUAL, **more):
    monkeypatch.setattr(detecting, "MediaPipeDetector", scene.detector)
    done = annotate(root, out, options, **({"engine": HERE, "until": "label"} | more))
    return next(iter(done.reports.values()), None)


def labels(out):
    folder = next(path for path in out.with_name(out.name + ".stages").iterdir())
    return dict(np.load(folder / "labels.npz"))


def error_mm(found, world):
    off = np.linalg.norm(found["joints_m"] - world[: len(found["joints_m"])], axis=-1)[found["valid"]]
    return 1000 * float(np.median(off))


def test_both_hands_of_four_cameras_come_out_in_metres_with_what_they_rest_on(tmp_path, monkeypatch):
    world = hands(40)
    scene = make_capture(tmp_path / "take", world, ring(4), noise_px=0.8)
    for frame in range(10, 20):  # one camera calls left right, another sees a hand where none is
        a, b = scene.seen[1, frame]
        a, b = a.__dict__ | {"right_probability": 0.9}, b.__dict__ | {"right_probability": 0.1}
        scene.seen[1, frame] = [type(scene.seen[0, 0][0])(**a), type(scene.seen[0, 0][0])(**b)]
        moved = scene.seen[2, frame][0].__dict__ | {"keypoints_px": scene.seen[2, frame][0].keypoints_px + 40}
        scene.seen[2, frame][0] = type(scene.seen[0, 0][0])(**moved)
    report = run(monkeypatch, scene, tmp_path / "take", tmp_path / "store", until="store")
    episode = Store(tmp_path / "store").episode(0)
    off = 1000 * np.linalg.norm(episode.hands.joints_m - world, axis=-1)
    assert episode.hands.valid.all()
    assert np.median(off) < 2
    assert off.max() < 12
    assert episode.evidence.views.max() == 4
    assert (episode.evidence.views[10:20, 0] == 3).mean() > 0.9
    assert 0.3 < np.nanmedian(episode.evidence.reprojection_px) < 1.5
    assert report["hands"]["left"]["frames_seen_by_two_with_label"] == 40
    assert report["scale"] == "measured by several cameras or sensors"
    assert report["unit_m"] == 1.0
    assert episode.hands.confidence[0].mean() > episode.hands.confidence[10:20, 0].mean() > 0.5
    # The solution is nearer to the truth than the points that it starts from.
    points = np.load(tmp_path / "store.stages" / "take" / "points" / "00000000.npz")["joints"]
    assert np.nanmedian(np.linalg.norm(points - world, axis=-1)) * 1000 > 1.15 * np.median(off)


def test_a_late_camera_is_found_out_and_put_right(tmp_path, monkeypatch):
    world = hands(60)
    scene = make_capture(tmp_path / "take", world, ring(3), late={2: 4})
    report = run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    late = {name: camera["late_frames"] for name, camera in report["cameras"].items()}
    assert late == {"cam0": 0, "cam1": 0, "cam2": 4}
    assert report["cameras"]["cam2"]["epipolar_px"] < 0.5 < report["cameras"]["cam2"]["epipolar_px_without_offset"]
    assert report["cameras"]["cam2"]["frames_without_picture"] == 4
    assert error_mm(labels(tmp_path / "store"), world) < 1
    with pytest.raises(CalibrationError, match=r"camera cam2 does not agree .* are they out of sync"):
        run(monkeypatch, scene, tmp_path / "take", tmp_path / "other", AnnotateOptions(sync=False))


def test_exchanged_and_wrong_calibrations_are_named(tmp_path, monkeypatch):
    world, poses = hands(40), ring(4)
    scene = make_capture(tmp_path / "take", world, poses)
    path = tmp_path / "take" / "calibration.json"
    right = json.loads(path.read_text())
    wrong = json.loads(path.read_text())
    wrong["cameras"]["cam1"], wrong["cameras"]["cam3"] = wrong["cameras"]["cam3"], wrong["cameras"]["cam1"]
    path.write_text(json.dumps(wrong))
    with pytest.raises(CalibrationError, match=r"calibrations of cam1 and cam3 are exchanged.*cam1 \d+\.\d px"):
        run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    turned = poses[2] @ rigid(rotation_from_vector(np.array([0.1, 0, 0.4])), np.zeros(3))
    right["cameras"]["cam2"]["world_from_camera"] = turned.tolist()
    path.write_text(json.dumps(right))
    with pytest.raises(CalibrationError, match=r"camera cam2 does not agree with the others; .*cam2 \d+\.\d px"):
        run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    report = run(monkeypatch, scene, tmp_path / "take", tmp_path / "store", AnnotateOptions(trust_calibration=True))
    assert error_mm(labels(tmp_path / "store"), world) < 1
    assert report["cameras"]["cam2"]["reprojection_px"][0] > 8


def test_other_peoples_hands_are_left_out_and_counted(tmp_path, monkeypatch):
    world = hands(40)
    guest = np.array([0.05, 0.25, 0.1]) + hands(40, seed=7)[:25]
    four = np.concatenate([world, np.concatenate([guest, np.full((15, 2, 21, 3), 9.0)])], 1)
    scene = make_capture(tmp_path / "take", four, ring(4), sides=(0.05, 0.95, 0.05, 0.95))
    report = run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    found = labels(tmp_path / "store")
    assert found["valid"].all()
    assert error_mm(found, world) < 1
    assert report["detections_of_others"] > 25 * 2 * 2


def test_cameras_that_drop_out_end_early_or_see_a_hand_alone(tmp_path, monkeypatch):
    world = hands(50)
    scene = make_capture(tmp_path / "take", world, ring(3), lengths={1: 30})
    for frame in range(50):
        if 10 <= frame < 12 or frame >= 40:  # the left hand is seen by one camera only, first for a moment
            for camera in (0, 1):
                seen = scene.seen.get((camera, frame), [])
                scene.seen[camera, frame] = [hand for hand in seen if hand.right_probability > 0.5]
    (tmp_path / "take" / "cam2" / "0005.png").write_bytes(b"no picture")
    report = run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    found = labels(tmp_path / "store")
    assert error_mm(found, world) < 1
    assert found["valid"][:40].all()
    assert not found["valid"][40:, 0].any()
    assert (found["views"][10:12, 0] == 0).all()
    assert (found["confidence"][10:12, 0] < 0.2).all()
    assert found["valid"][40:, 1].all()
    assert (found["views"][30:, 1] == 2).all()
    assert (found["views"][5] == 2).all()
    assert report["hands"]["left"]["frames_seen_by_one"] == 12
    assert report["cameras"]["cam1"]["frames_without_picture"] == 20


def test_a_headset_with_moving_fisheyes_beside_fixed_cameras(tmp_path, monkeypatch):
    world, T = hands(40), 40
    t = np.arange(T) / 30
    nod = rigid(rotation_from_vector(np.stack([0.2 * np.sin(4 * t), 0 * t, 0 * t], -1)), np.zeros((T, 3)))
    moving = [ring(3)[k] @ nod for k in (0, 2)]
    moving[1][3] = np.nan  # the headset lost itself for a frame
    scene = make_capture(tmp_path / "take", world, [*moving, ring(3)[1]], [FISHEYE, FISHEYE, LENS])
    run(monkeypatch, scene, tmp_path / "take", tmp_path / "store", until="store")
    found = labels(tmp_path / "store")
    assert found["valid"].all()
    assert error_mm(found, world) < 2.5
    assert (found["views"][3] == 2).all()
    stored = Store(tmp_path / "store").episode(0)
    assert np.allclose(stored.stream("cam0").world_from_camera, moving[0], atol=1e-6)


def test_a_calibration_without_unit_is_scaled_by_the_hand_or_by_the_user(tmp_path, monkeypatch):
    world = hands(30)
    scene = make_capture(tmp_path / "take", world, ring(3))
    path = tmp_path / "take" / "calibration.json"
    squares = json.loads(path.read_text())
    for entry in squares["cameras"].values():
        for row in entry["world_from_camera"][:3]:
            row[3] *= 40
    path.write_text(json.dumps(squares))
    with pytest.raises(
        InputError, match=r"the palm is 3\.\d* m long .* a unit of about 0\.02\d m would fit: give --unit"
    ):
        run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    run(monkeypatch, scene, tmp_path / "take", tmp_path / "store", AnnotateOptions(unit_m=1 / 40))
    assert error_mm(labels(tmp_path / "store"), world) < 1
    palm = 1000 * np.linalg.norm(world[0, 0, 9] - world[0, 0, 0])
    report = run(monkeypatch, scene, tmp_path / "take", tmp_path / "store", AnnotateOptions(hand_size_mm=palm))
    assert error_mm(labels(tmp_path / "store"), world) < 3
    assert report["scale"] == "hand size given"


def test_killed_runs_go_on_and_the_bytes_do_not_depend_on_workers(tmp_path, monkeypatch):
    options, world = AnnotateOptions(shard_frames=20), hands(45)
    scene = make_capture(tmp_path / "take", world, ring(3))
    shards = []

    def dying(function, tasks):
        for task in tasks:
            if len(shards) == 14:
                raise KeyboardInterrupt
            shards.append(function(task))
            yield

    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, scene, tmp_path / "take", tmp_path / "a", options, engine=dying)
    assert len(shards) == 14
    calls = []

    def counting(function, tasks):
        calls.append(len(tasks))
        return HERE(function, tasks)

    run(monkeypatch, scene, tmp_path / "take", tmp_path / "a", options, engine=counting, until="store")
    assert sum(calls) == 9 + 3 + 3 + 3 - 14
    # The detector is faked in this process only; all later stages run in two others.
    annotate(tmp_path / "take", tmp_path / "b", options, engine=HERE, until="detect")
    annotate(tmp_path / "take", tmp_path / "b", options, engine=local_engine(2))
    one, other = (tmp_path / name / "data/chunk-000/file-000.parquet" for name in "ab")
    assert one.read_bytes() == other.read_bytes()


def test_stages_stop_where_asked_and_are_done_again_on_demand(tmp_path, monkeypatch):
    scene = make_capture(tmp_path / "take", hands(20), ring(3))
    folder = tmp_path / "store.stages" / "take"
    assert run(monkeypatch, scene, tmp_path / "take", tmp_path / "store", until="triangulate") is None
    assert sorted(path.name for path in folder.iterdir()) == ["clusters", "detect", "hands", "points", "sync.npz"]
    run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    run(monkeypatch, scene, tmp_path / "take", tmp_path / "store", redo="solve")
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    changed = {str(path.relative_to(folder)).split("/")[0] for path in after if after[path] != before[path]}
    assert changed == {"bones.npz", "joints", "labels.npz"}


def test_an_assemblyhands_tree_goes_in_and_comes_out_with_other_labels(tmp_path):
    made = assemblyhands_episode()
    write_assemblyhands(tmp_path / "in", [made])
    captures = Captures(tmp_path / "in", USUAL)
    capture = captures.read(made.name)
    assert [camera.name for camera in capture.cameras] == [stream.name for stream in made.streams]
    assert captures.common_names[made.streams[0].name] == "e4"
    assert len(capture.cameras[0].camera_from_world) == len(made)
    assert len(capture.cameras[1].camera_from_world) == 1
    valid = made.hands.valid
    joints = made.hands.joints_m + np.float32(0.01)
    found = Labels(joints, valid, valid.astype(float), 2 * valid.astype(int), np.where(valid, 1.0, np.nan))
    index = np.tile(np.arange(len(made)), (2, 1))
    episode = annotated_episode(capture, found, index, made.times_s, 1.0, ScaleSource.MEASURED)
    write_assemblyhands(tmp_path / "out", [episode])
    again = read_assemblyhands(tmp_path / "out").read(made.name)
    np.testing.assert_array_equal(again.hands.valid, valid)
    np.testing.assert_allclose(again.hands.joints_m[valid], joints[valid], atol=1e-6)
    assert again.segments == made.segments
    assert len(again.streams) == 2


def test_the_command_line_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    def fails(*arguments: str) -> str:
        assert main(["annotate", *arguments, "--out", str(tmp_path / "out"), "--workers", "1"]) == 2
        return capsys.readouterr().err

    assert "no such folder" in fails(str(tmp_path / "nowhere"))
    (tmp_path / "clip.mp4").touch()
    assert "clip.mp4: is a file; give the folder" in fails(str(tmp_path / "clip.mp4"))
    assert "must be a number of seconds, 0 or more, found inf" in fails(str(tmp_path), "--max-offset-s", "inf")
    for given in (("--until", "label"), ("--layout", "assemblyhands")):  # before anything else is looked at
        assert "a review needs a native store" in fails(str(tmp_path / "nowhere"), "--review", *given)
    (tmp_path / "empty").mkdir()
    assert "no videos and no folders of pictures" in fails(str(tmp_path / "empty"))
    scene = make_capture(tmp_path / "take", hands(8), ring(2))
    monkeypatch.setattr(detecting, "MediaPipeDetector", scene.detector)
    assert "takes at least two" in fails(str(tmp_path / "take"), "--cameras", "cam1")
    scene.seen.clear()
    assert "no hand is seen by two cameras at the same time" in fails(str(tmp_path / "take"))
    (tmp_path / "take" / "calibration.json").rename(tmp_path / "elsewhere.json")
    assert "name the file or folder with --calibration" in fails(str(tmp_path / "take"))
    assert "calibrates the cameras cam0, cam1, but the capture has cam1, left" in fails(
        str(_renamed(tmp_path)), "--calibration", str(tmp_path / "elsewhere.json")
    )


def _renamed(tmp_path):
    (tmp_path / "take" / "cam0").rename(tmp_path / "take" / "left")
    return tmp_path / "take"


def as_video(folder, rate):
    """A folder of pictures as a video that keeps every bit."""
    with av.open(str(folder.with_suffix(".avi")), "w") as file:
        stream = file.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = LENS.width, LENS.height, "bgr0"
        for picture in sorted(folder.iterdir()):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(cv2.imread(str(picture)), "bgr24")))
        file.mux(stream.encode())
    shutil.rmtree(folder)


def test_cameras_of_other_frame_rates_and_lengths_share_the_slowest_ones_frames(tmp_path, monkeypatch):
    world = hands(80)  # 60 frames per second: the hands then move at twice their usual speed
    scene = make_capture(tmp_path / "take", world, ring(3), every={0: 2, 2: 3}, lengths={0: 40, 1: 70, 2: 26})
    for name, rate in (("cam0", 30), ("cam1", 60), ("cam2", 20)):
        as_video(tmp_path / "take" / name, rate)
    report = run(monkeypatch, scene, tmp_path / "take", tmp_path / "store")
    found = labels(tmp_path / "store")
    assert report["reference_camera"] == "cam2"
    assert {name: round(camera["rate"]) for name, camera in report["cameras"].items()} == {
        "cam0": 30,
        "cam1": 60,
        "cam2": 20,
    }
    assert report["frames"] == len(found["valid"]) == 26
    # 20 and 60 frames per second meet; those of 30 are half a frame off in every other one, and a view off is left out.
    assert error_mm(found, world[::3]) < 2.5
    assert (found["index"][1] == np.where(np.arange(26) * 3 < 70, np.arange(26) * 3, -1)).all()
    assert found["valid"][:23].all()


DYING = """
import os, signal, sys
import numpy as np

save, left = np.savez, int(sys.argv.pop(1))

def dying(file, **arrays):
    global left
    left -= 1
    if left:
        return save(file, **arrays)
    file.write(b"half a shard")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

np.savez = dying
from handloom.cli import main
main(sys.argv[1:])
"""


def test_killed_while_it_writes_a_shard_nothing_is_lost_and_nothing_comes_twice(tmp_path, monkeypatch):
    options, world = AnnotateOptions(shard_frames=15), hands(70)
    scene = make_capture(tmp_path / "take", world, ring(3))
    for name in "ab":
        run(monkeypatch, scene, tmp_path / "take", tmp_path / name, options, until="detect")
    folder = tmp_path / "b.stages" / "take"
    command = [
        "annotate",
        str(tmp_path / "take"),
        "--out",
        str(tmp_path / "b"),
        "--shard-frames",
        "15",
        "--workers",
        "1",
    ]
    for writes, died_in in ((4, "clusters"), (10, "points")):
        died = subprocess.run([sys.executable, "-c", DYING, str(writes), *command], capture_output=True, text=True)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert list((folder / died_in).glob("*.part"))
    assert not (tmp_path / "b").exists()
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npz")}
    assert len(kept) == 3 * 5 + 3 + 9
    annotate(tmp_path / "take", tmp_path / "b", options, engine=HERE)
    annotate(tmp_path / "take", tmp_path / "a", options, engine=HERE)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    one, other = (tmp_path / name / "data/chunk-000/file-000.parquet" for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert Store(tmp_path / "b").columns(0, ["frame_index"])["frame_index"].tolist() == list(range(70))


def test_memory_does_not_grow_with_the_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(agreeing, "SAMPLES", 10)  # of frames that are compared: as many in both, then
    options, peaks = AnnotateOptions(shard_frames=15), []
    for T in (16, 80, 140):  # the first one imports
        scene = make_capture(tmp_path / f"take{T}", hands(T), ring(2))
        tracemalloc.start()
        run(monkeypatch, scene, tmp_path / f"take{T}", tmp_path / f"store{T}", options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[2] - peaks[1]) / 60 < 10_000  # the two pictures of a frame take 460,800 bytes


def test_capacity_is_counted_from_what_one_capture_took(tmp_path, monkeypatch):
    scene = make_capture(tmp_path / "take", hands(20), ring(3))
    monkeypatch.setattr(detecting, "MediaPipeDetector", scene.detector)
    seconds, frames, pictures = benchmark._measured(tmp_path / "take", USUAL)
    assert (frames, pictures) == (20, 60)
    assert tuple(seconds) == STAGES
    assert all(spent > 0 for spent in seconds.values())
    rows = dict(benchmark.capacity({"detect": 3.0, "solve": 1.0}, 10, 40, 8_640_000, 12.0, 4))
    assert rows["detect"].split() == ["3.3", "frames/s", "13.3", "pictures/s", "75.0", "%"]
    assert rows["all stages"].split()[:4] == ["2.5", "frames/s", "10.0", "pictures/s"]
    assert rows["8,640,000 pictures"] == "240 core-hours"
    assert rows["in 12 h"] == "20 cores: 5 machines of 4"
