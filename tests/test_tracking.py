"""`handloom.track` from end to end, with a detector that knows the answer, and once with the real one."""

import json
import os
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import handloom
from handloom.benchmarks.depth import measure_depth
from handloom.cli import main
from handloom.errors import HandloomError, InputError, MissingDependencyError, OutputError
from handloom.estimators import chunks
from handloom.estimators.detections import Detection
from handloom.formats.cameras import write_camera
from handloom.formats.result import read_run
from handloom.geometry import BrownConrady, Pinhole
from handloom.hands import CameraSource, ScaleSource
from handloom.tracking import live_mediapipe, recording
from handloom.tracking.live_mediapipe import LiveHands
from handloom.tracking.options import TrackOptions
from handloom.video import open_source
from made_up_hands import detect, moving_hand
from make_video import clip, damage, number_of, picture, rotate

CAMERA = Pinhole(160, 96, 120.0, 120.0, 79.5, 47.5)
FRAMES = 60
RIGHT_HAND = moving_hand(200, seed=1, start=(0.06, 0.05, 0.5))
LEFT_HAND = moving_hand(200, seed=2, start=(-0.06, 0.05, 0.5)) * 1.0
SHARED = Path(__file__).parents[2] / "shared"
CLIP = SHARED / "data/handpose3d-stereo/media/cam0_test.mp4"


class KnowingDetector:
    """Reads the frame number in the picture and returns the hands that are there. Frames 20 to 24 show none."""

    def __init__(self, min_confidence: float = 0.5):
        self.closed = False

    def detect(self, image: np.ndarray) -> list[Detection]:
        number = number_of(image)
        if 20 <= number < 25:
            return []
        wrong = number == 30
        return [
            detect(CAMERA, RIGHT_HAND[number], right_probability=0.05 if wrong else 0.95),
            detect(CAMERA, LEFT_HAND[number], right_probability=0.1),
        ]

    def reset(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def knowing(monkeypatch):
    for module in (recording, live_mediapipe):
        monkeypatch.setattr(module, "MediaPipeDetector", KnowingDetector)
        monkeypatch.setattr(module, "mediapipe_name", lambda: "knowing 1.0")


@pytest.fixture
def video(tmp_path):
    return clip(tmp_path / "clip.mp4", FRAMES)


@pytest.fixture
def calibration(tmp_path):
    write_camera(tmp_path / "camera.json", CAMERA)
    return tmp_path / "camera.json"


def test_four_outputs_and_the_right_hands(knowing, video, calibration, tmp_path):
    out = tmp_path / "out"
    track = handloom.track(video, out, camera=calibration)
    assert sorted(path.name for path in out.iterdir()) == [
        "hands.parquet",
        "overlay.mp4",
        "report.html",
        "run.json",
    ]
    assert len(track) == FRAMES
    assert track.camera_source is CameraSource.CALIBRATED
    assert not track.present[20:25].any()
    assert track.present[:20].all()
    assert track.present[25:].all()
    for hand, truth in enumerate((LEFT_HAND, RIGHT_HAND)):
        seen = track.present[:, hand]
        error = np.linalg.norm(track.joints_m[seen, hand] - truth[:FRAMES][seen], axis=-1)
        assert error.max() < 0.005
    loaded = handloom.load(out)
    np.testing.assert_array_equal(loaded.joints_m, track.joints_m)
    np.testing.assert_array_equal(loaded.times_s, track.times_s)

    run = read_run(out)
    assert run["counts"]["frames"] == FRAMES
    assert run["counts"]["frames_with_both"] == FRAMES - 5
    assert run["partial"] is False
    assert run["camera"]["source"] == "calibrated"
    assert len(run["input"]["sha256"]) == 64


def test_the_overlay_keeps_times_and_size_and_shows_the_hands(knowing, tmp_path, calibration):
    odd = clip(tmp_path / "vfr.mkv", 12, pts=[0, 1, 2, 5, 6, 7, 11, 12, 13, 17, 18, 20], time_base=Fraction(1, 30))
    handloom.track(odd, tmp_path / "out", camera=calibration)
    with open_source(odd) as before, open_source(tmp_path / "out/overlay.mp4") as after:
        np.testing.assert_allclose(after.info.times_s, before.info.times_s, atol=1e-9)
        assert (after.info.width, after.info.height) == (160, 96)
        for original, drawn in zip(before, after):
            change = np.abs(original.image.astype(int) - drawn.image).max(-1)
            assert (change > 60).mean() > 0.01  # two skeletons


def test_without_a_camera_the_guess_is_named_everywhere(knowing, video, tmp_path, capsys):
    assert main(["track", str(video), "--out", str(tmp_path / "out")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "guessed" in printed
    assert handloom.load(tmp_path / "out").camera_source is CameraSource.GUESSED
    assert read_run(tmp_path / "out")["camera"]["source"] == "guessed"
    assert "guessed" in (tmp_path / "out/report.html").read_text()


def test_field_of_view_and_hand_size(knowing, video):
    track = handloom.track(video, fov=2 * np.degrees(np.arctan(80 / 120.0)), hand_size_mm=100)
    assert track.camera_source is CameraSource.FIELD_OF_VIEW
    assert track.scale_source is ScaleSource.HAND_SIZE
    size = np.linalg.norm(track.joints_m[:, :, 9] - track.joints_m[:, :, 0], axis=-1)
    assert np.nanmedian(size) == pytest.approx(0.1, rel=1e-6)
    clean = handloom.track(video, hand_size_mm=100, constant_bones=True, smooth_hz=3.0)
    size = np.linalg.norm(clean.joints_m[:, :, 9] - clean.joints_m[:, :, 0], axis=-1)
    np.testing.assert_allclose(size[clean.present], 0.1, rtol=1e-5)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_result_does_not_depend_on_the_number_of_workers(knowing, monkeypatch, video, calibration, workers):
    """Short chunks, so that a small clip has many; a detector whose answer depends on what it saw before."""
    monkeypatch.setattr(chunks, "CHUNK_FRAMES", 7)
    monkeypatch.setattr(chunks, "WARM_UP_FRAMES", 2)

    class Remembering(KnowingDetector):
        seen = 0

        def reset(self):
            self.seen = 0

        def detect(self, image):
            self.seen += 1
            return [
                Detection(
                    d.keypoints_px + np.float32(0.1 * self.seen),
                    d.depth_px,
                    d.world_m,
                    d.score,
                    d.right_probability,
                )
                for d in super().detect(image)
            ]

    monkeypatch.setattr(recording, "MediaPipeDetector", Remembering)
    track = handloom.track(video, camera=calibration, workers=workers)
    shift = track.keypoints_px[:, 1, 0, 0] - [CAMERA.project(joints[0])[0][0] for joints in RIGHT_HAND[:FRAMES]]
    expected = 0.1 * (np.arange(FRAMES) % 7 + np.where(np.arange(FRAMES) < 7, 1, 3))
    seen = track.present[:, 1]
    np.testing.assert_allclose(shift[seen], expected[seen], atol=1e-3)


def test_smoothing_and_constant_bones(knowing, video, calibration):
    plain = handloom.track(video, camera=calibration)
    rigid = handloom.track(video, camera=calibration, constant_bones=True, smooth_hz=None)
    lengths = np.linalg.norm(rigid.joints_m[:, 1, 6] - rigid.joints_m[:, 1, 5], axis=-1)
    assert np.nanstd(lengths) < 1e-6
    moved = np.nanmax(np.abs(rigid.keypoints_px - plain.keypoints_px))
    assert moved < 2
    smooth = handloom.track(video, camera=calibration, smooth_hz=1.0)
    jerk = [np.nanmean(np.abs(np.diff(t.joints_m, n=3, axis=0))) for t in (plain, smooth)]
    assert jerk[1] < jerk[0]
    projected, _ = CAMERA.project(smooth.joints_m.astype(float))
    np.testing.assert_allclose(projected, smooth.keypoints_px, atol=1e-3)


def test_a_mirrored_video_is_turned_round(knowing, tmp_path, calibration):
    """Pictures flipped left to right give the same hands as the true scene."""
    with av.open(str(tmp_path / "selfie.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(10):
            image = np.ascontiguousarray(picture(number)[:, ::-1])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    straight = handloom.track(clip(tmp_path / "straight.mp4", 10), camera=calibration)
    mirrored = handloom.track(tmp_path / "selfie.mp4", camera=calibration, mirrored=True)
    np.testing.assert_allclose(mirrored.joints_m, straight.joints_m, atol=1e-6)


def test_corrupt_frames_keep_their_row_and_are_located(knowing, tmp_path, calibration):
    broken = damage(clip(tmp_path / "broken.mp4", 40), packet=15)
    track = handloom.track(broken, tmp_path / "out", camera=calibration)
    run = read_run(tmp_path / "out")
    assert len(track) == 40
    lost = [problem["index"] for problem in run["problems"]]
    assert 15 in lost
    assert not track.present[lost].any()
    assert run["counts"]["skipped"] == len(lost)
    np.testing.assert_allclose(
        track.joints_m[30, 1],
        handloom.track(clip(tmp_path / "whole.mp4", 40), camera=calibration).joints_m[30, 1],
        atol=0.02,
    )


def test_a_rotated_video_is_tracked_upright(knowing, tmp_path):
    track = handloom.track(rotate(clip(tmp_path / "r.mp4", 5), 90))
    assert (track.camera.width, track.camera.height) == (96, 160)


def test_an_existing_result_is_not_overwritten(knowing, video, tmp_path, capsys):
    out = tmp_path / "out"
    handloom.track(video, out)
    before = (out / "hands.parquet").read_bytes()
    with pytest.raises(OutputError, match=r"already holds a result .*add --overwrite"):
        handloom.track(video, out)
    assert (out / "hands.parquet").read_bytes() == before
    handloom.track(video, out, overwrite=True, overlay=False)
    assert not (out / "overlay.mp4").exists()  # none left over from the earlier run


@pytest.mark.parametrize("mistake", [{"source": "no.mp4"}, {"fov": 500.0}, {"camera": "no.json"}])
def test_a_run_that_fails_keeps_the_old_result(knowing, video, tmp_path, mistake):
    out = tmp_path / "out"
    handloom.track(video, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    arguments = {"source": video} | mistake
    with pytest.raises(HandloomError):
        handloom.track(arguments.pop("source"), out, overwrite=True, **arguments)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_input_is_never_overwritten(knowing, video, tmp_path):
    out = tmp_path / "out"
    handloom.track(video, out)
    with pytest.raises(OutputError, match=r"overlay\.mp4 is the input of this run"):
        handloom.track(out / "overlay.mp4", out, overwrite=True)
    with pytest.raises(OutputError, match=r"hands\.parquet is the input of this run"):
        handloom.track(out / "hands.parquet", out, overwrite=True, estimator="joints")
    assert len(list(out.iterdir())) == 4


def test_a_tilde_means_home(knowing, video, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    handloom.track("~/clip.mp4", "~/out", overlay=False)
    assert len(handloom.load(tmp_path / "out")) == FRAMES


def test_a_name_that_is_not_utf8(knowing, video, tmp_path):
    odd = tmp_path / os.fsdecode(b"cl\xefp.mp4")
    video.rename(odd)
    handloom.track(odd, tmp_path / "out")
    assert read_run(tmp_path / "out")["input"]["path"].endswith("p.mp4")


def test_a_live_hand_that_leaves_the_domain_of_the_lens():
    """One joint without a ray costs that joint, not the hand, its neighbours in time, or its depth."""
    lens = BrownConrady(640, 480, 500.0, 500.0, 320.0, 240.0, (-0.3, 0.0, 0.0, 0.0, 0.0))
    hands = LiveHands(lens, TrackOptions(smooth_hz=5.0))
    truth = moving_hand(20, start=(0.0, 0.0, 0.5), growth=0.0)
    for k in range(20):
        seen = detect(lens, truth[k])
        if k in (10, 11):
            seen.keypoints_px[4] = (-900, -900)
        joints, _, _ = hands.push(k, k / 30, [seen])
        missing = np.isnan(joints[1]).any(-1)
        assert missing.tolist() == [j == 4 and k in (10, 11) for j in range(21)]
        assert joints[1, 0, 2] == pytest.approx(truth[k, 0, 2], rel=0.05)


def test_max_frames(knowing, video, tmp_path):
    track = handloom.track(video, tmp_path / "out", max_frames=7)
    assert len(track) == 7
    assert read_run(tmp_path / "out")["partial"] is False
    with open_source(tmp_path / "out/overlay.mp4") as overlay:
        assert overlay.info.frame_count == 7


def test_interruption_leaves_whole_outputs_marked_partial(knowing, monkeypatch, video, tmp_path, calibration):
    """Ctrl-C in the middle: the frames done are there, in all four outputs, and every one says so."""
    monkeypatch.setattr(chunks, "CHUNK_FRAMES", 10)
    monkeypatch.setattr(chunks, "WARM_UP_FRAMES", 2)
    done = []

    def interrupt_at_40(stage, count, total):
        done.append(stage)
        if stage == "track" and count == 40:
            os.kill(os.getpid(), signal.SIGINT)
            # The handler runs in the main thread; give it the processor before the next frame.
            threading.Event().wait(0.2)

    track = handloom.track(video, tmp_path / "out", camera=calibration, progress=interrupt_at_40, workers=2)
    assert 0 < len(track) <= 45
    run = read_run(tmp_path / "out")
    assert run["partial"] is True
    assert run["counts"]["frames"] == len(track)
    with open_source(tmp_path / "out/overlay.mp4") as overlay:
        assert overlay.info.frame_count == len(track)
    assert "partial" in (tmp_path / "out/report.html").read_text().lower()
    whole = handloom.track(video, camera=calibration)
    part = slice(0, min(len(track), 15))
    np.testing.assert_allclose(track.joints_m[part, 1], whole.joints_m[part, 1], atol=5e-3)


def test_a_stream_is_tracked_as_it_comes(knowing, tmp_path, calibration):
    """A named pipe is read once, causally; the same hands come out, and an overlay of every frame."""
    whole = clip(tmp_path / "clip.ts", 40, container="mpegts")
    pipe = tmp_path / "pipe.ts"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(whole.read_bytes()))
    writer.start()
    track = handloom.track(str(pipe), tmp_path / "out", camera=calibration, smooth_hz=5.0)
    writer.join()
    assert len(track) == 40
    seen = track.present[:, 1]
    error = np.linalg.norm(track.joints_m[seen, 1] - RIGHT_HAND[:40][seen], axis=-1).mean(-1)
    assert np.median(error) < 0.03
    with open_source(tmp_path / "out/overlay.mp4") as overlay:
        assert overlay.info.frame_count == 40


def test_stored_joints_go_the_same_way(video, tmp_path, calibration):
    """Another tracker's camera-space joints: same outputs, no detector."""
    joints = np.stack([LEFT_HAND[:FRAMES], RIGHT_HAND[:FRAMES]], 1)
    joints[20:25] = np.nan
    stored = tmp_path / "joints.npz"
    np.savez(stored, joints=joints * 1000, order="mediapipe", unit="mm", space="camera", frame=np.arange(FRAMES))
    out = tmp_path / "out"
    track = handloom.track(video, out, estimator="joints", joints=stored, camera=calibration)
    np.testing.assert_allclose(track.joints_m, joints, atol=1e-6)
    np.testing.assert_allclose(track.keypoints_px, CAMERA.project(joints)[0], atol=1e-3)
    assert len(list(out.iterdir())) == 4
    alone = handloom.track(stored, tmp_path / "alone", estimator="joints")
    np.testing.assert_allclose(alone.joints_m, joints, atol=1e-6)
    assert sorted(p.name for p in (tmp_path / "alone").iterdir()) == [
        "hands.parquet",
        "report.html",
        "run.json",
    ]


def test_our_own_record_as_stored_joints_loses_nothing(knowing, video, tmp_path):
    first = handloom.track(video, tmp_path / "first", fov=50, hand_size_mm=90)
    for source, joints in ((video, tmp_path / "first/hands.parquet"), (tmp_path / "first/hands.parquet", None)):
        again = handloom.track(source, estimator="joints", joints=joints)
        np.testing.assert_array_equal(again.joints_m, first.joints_m)
        assert again.camera == first.camera
        assert again.camera_source is CameraSource.FIELD_OF_VIEW
        assert again.scale_source is ScaleSource.HAND_SIZE


def test_absurd_frame_numbers(tmp_path):
    stored = tmp_path / "joints.npz"
    frame = np.array([0, 300_000_000])
    np.savez(stored, joints=np.ones((2, 2, 21, 3)), frame=frame, order="mediapipe", unit="m", space="camera")
    with pytest.raises(InputError, match="the joints leap from frame 0 to frame 300000000 with 2 rows"):
        handloom.track(stored, estimator="joints")


def root_relative(folder: Path, joints: np.ndarray, pixels: np.ndarray) -> Path:
    """A file of wrist-relative joints with keypoints beside them."""
    path, relative = folder / "joints.npz", joints - joints[:, :, :1]
    np.savez(path, joints=relative, keypoints_px=pixels, order="mediapipe", unit="m", space="root_relative")
    return path


def test_stored_root_relative_joints_are_placed(video, tmp_path, calibration):
    joints = np.stack([LEFT_HAND[:FRAMES], RIGHT_HAND[:FRAMES]], 1)
    pixels, _ = CAMERA.project(joints)
    stored = root_relative(tmp_path, joints, pixels)
    track = handloom.track(video, estimator="joints", joints=stored, camera=calibration)
    np.testing.assert_allclose(track.joints_m, joints, atol=1e-5)


def test_stored_keypoints_alone_give_a_flat_hand_that_says_so(video, tmp_path, calibration):
    pixels, _ = CAMERA.project(np.stack([LEFT_HAND[:FRAMES], RIGHT_HAND[:FRAMES]], 1))
    stored = tmp_path / "joints.npz"
    np.savez(stored, keypoints_px=pixels, order="mediapipe")
    track = handloom.track(video, tmp_path / "out", estimator="joints", joints=stored, camera=calibration)
    depth = track.joints_m[:, 1, 0, 2] / RIGHT_HAND[:FRAMES, 0, 2]
    assert 0.8 < np.nanmedian(depth) < 1.25
    assert "2D joints only" in read_run(tmp_path / "out")["notes"][0]


def test_stored_joints_stop_with_max_frames_and_with_ctrl_c(video, tmp_path, calibration):
    joints = np.stack([LEFT_HAND[:FRAMES], RIGHT_HAND[:FRAMES]], 1)
    stored = tmp_path / "joints.npz"
    np.savez(stored, joints=joints, order="mediapipe", unit="m", space="camera")
    options = {"estimator": "joints", "joints": stored, "camera": calibration}
    assert len(handloom.track(video, max_frames=20, **options)) == 20

    def interrupt(stage, count, total):
        if stage == "track" and count == 30:
            os.kill(os.getpid(), signal.SIGINT)

    track = handloom.track(video, tmp_path / "out", progress=interrupt, **options)
    np.testing.assert_allclose(track.joints_m, joints[: len(track)], atol=1e-6)
    assert 30 <= len(track) < FRAMES
    assert read_run(tmp_path / "out")["partial"] is True


def test_ctrl_c_while_the_overlay_is_drawn(knowing, video, tmp_path):
    """All poses are there and not called partial; the overlay is whole as far as it goes, and the result says so."""

    def interrupt(stage, count, total):
        if stage == "overlay" and count == 10:
            os.kill(os.getpid(), signal.SIGINT)

    track = handloom.track(video, tmp_path / "out", progress=interrupt)
    run = read_run(tmp_path / "out")
    assert len(track) == FRAMES
    assert run["partial"] is False
    assert any("overlay was interrupted" in note for note in run["notes"])
    with open_source(tmp_path / "out/overlay.mp4") as overlay:
        assert overlay.info.frame_count == 10


def test_joints_too_far_to_have_a_depth_are_missing_and_counted(video, tmp_path, calibration):
    joints = np.stack([LEFT_HAND[:FRAMES], RIGHT_HAND[:FRAMES]], 1)
    pixels, _ = CAMERA.project(joints + np.array([0, 0, 60]))
    stored = root_relative(tmp_path, joints, pixels)
    track = handloom.track(video, tmp_path / "out", estimator="joints", joints=stored, camera=calibration)
    assert not track.present.any()
    assert read_run(tmp_path / "out")["notes"] == [
        "120 hands could not be placed: their depth is not determined, or no ray reaches them"
    ]


def test_joints_that_do_not_fit_the_video(video, tmp_path):
    stored = tmp_path / "joints.npz"
    np.savez(
        stored,
        joints=np.ones((90, 2, 21, 3)),
        order="mediapipe",
        unit="m",
        space="camera",
        frame=np.arange(90),
    )
    with pytest.raises(InputError, match="the joints go up to frame 89, but the video has 60 frames"):
        handloom.track(video, estimator="joints", joints=stored)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fov": 200.0}, "field of view must lie between 1 and 180 degrees, found 200"),
        ({"fov": 60.0, "camera": Path("c.json")}, "a camera file or a field of view, not both"),
        ({"hand_size_mm": 0.09}, "wrist to middle knuckle, about 70 to 110 mm; found 0.09"),
        ({"min_confidence": 2.0}, "between 0 and 1, found 2"),
        ({"smooth_hz": -1.0}, "at least 0.01 Hz, found -1"),
        ({"joints": Path("j.npz")}, "add the option --estimator joints"),
        ({"joint_order": "nope"}, "joints, their order, unit and space are for stored joints"),
        ({"workers": 0}, "at least 1, found 0"),
        ({"smooth_hz": np.inf}, "smooth_hz must be a finite number, found inf"),
        ({"max_frames": 0}, "at least 1, found 0"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(InputError, match=message):
        handloom.track("clip.mp4", **options)


def test_mediapipe_missing_is_said_plainly(monkeypatch, video):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingDependencyError, match=r"wheels for Python 3.11 and 3.12.*--estimator joints"):
        handloom.track(video)


def test_memory_does_not_grow_with_length(tmp_path):
    """4,000 frames take at most 50 MB more than 400, everything written."""
    pytest.importorskip("resource")
    script = """
import resource, sys
sys.path[:0] = [sys.argv[1]]
import test_tracking as t
t.recording.MediaPipeDetector = t.KnowingDetector
t.recording.mediapipe_name = lambda: "knowing"
t.RIGHT_HAND, t.LEFT_HAND = (t.np.resize(h, (1024, 21, 3)) for h in (t.RIGHT_HAND, t.LEFT_HAND))
t.handloom.track(sys.argv[2], sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    peaks = []
    for count in (400, 4000):
        video = clip(tmp_path / f"{count}.mp4", count)
        command = [
            sys.executable,
            "-c",
            script,
            str(Path(__file__).parent),
            str(video),
            str(tmp_path / str(count)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] <= 50, f"peak memory {peaks} MB"


@pytest.mark.skipif(not CLIP.exists(), reason="the shared recordings are not beside this checkout")
def test_a_real_hand(tmp_path):
    """The first 60 frames that show a hand, with the real detector."""
    pytest.importorskip("mediapipe")
    track = handloom.track(CLIP, max_frames=90, camera=CLIP.parents[1] / "camera_parameters/c0.dat")
    assert track.present[:, 1].sum() >= 60  # a right hand
    assert track.present[:, 0].sum() == 0
    size = np.linalg.norm(track.joints_m[:, 1, 9] - track.joints_m[:, 1, 0], axis=-1)
    assert 0.05 < np.nanmedian(size) < 0.12
    pixels, _ = track.camera.project(track.joints_m[track.present[:, 1], 1].astype(float))
    np.testing.assert_allclose(pixels, track.keypoints_px[track.present[:, 1], 1], atol=0.05)
    json.dumps(track.times_s.tolist())


@pytest.mark.skipif(not CLIP.exists(), reason="the shared recordings are not beside this checkout")
def test_depth_of_the_real_hand_from_one_view():
    """The promise of the README: within 7 % (median) of the depth from both views, in each view."""
    pytest.importorskip("mediapipe")
    folder = CLIP.parents[1]
    videos, cameras, poses = (
        (folder / name.format(0), folder / name.format(1))
        for name in ("media/cam{}_test.mp4", "camera_parameters/c{}.dat", "camera_parameters/rot_trans_c{}.dat")
    )
    rows = dict(measure_depth(videos, cameras, poses)[1])
    for view in ("view 0", "view 1"):
        error, baseline = (
            float(rows[f"{view}: depth error, {name}"].split()[0]) for name in ("Handloom", "one constant depth")
        )
        assert error < 7
        assert error < baseline


def test_a_video_without_hands(tmp_path, capsys):
    pytest.importorskip("mediapipe")
    assert main(["track", str(clip(tmp_path / "empty.mp4", 5)), "--out", str(tmp_path / "out")]) == 0
    assert not handloom.load(tmp_path / "out").present.any()
    assert "No hand was found" in capsys.readouterr().out


@pytest.mark.skipif(not CLIP.exists(), reason="the shared recordings are not beside this checkout")
def test_the_real_detector_gives_the_same_with_any_number_of_workers():
    pytest.importorskip("mediapipe")
    one, three = (handloom.track(CLIP, max_frames=200, workers=workers) for workers in (1, 3))
    np.testing.assert_array_equal(one.joints_m, three.joints_m)
