"""Truth beside a track: out of a store or an earlier result, on the video's frames, through every output."""

from dataclasses import replace

import numpy as np
import pytest

import handloom
from handloom.cli import main
from handloom.datasets.frames import project_hands
from handloom.datasets.prepare import prepare_episodes
from handloom.datasets.store import Store
from handloom.errors import CalibrationError, InputError, OutputError
from handloom.formats.result import read_run, read_track, write_track
from handloom.geometry import Pinhole
from handloom.hands import CameraSource
from handloom.tracking import truth as truth_module
from handloom.tracking.camera_choice import choose_camera
from handloom.tracking.options import TrackOptions
from handloom.tracking.truth import camera_of_video, read_truth, truth_of_frames, truth_rows
from made_up_store import FRONT, MadeUp
from make_labels import make_truth


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp("truth") / "made:up"  # a colon in the path is not taken for a recording
    prepare_episodes(MadeUp(), out, (64, 36))
    return out


def video(root, recording=0, camera="front"):
    path, first = Store(root).recordings[recording].videos[camera]
    return path, first


@pytest.mark.parametrize("camera", ["front", "head"])
def test_a_recording_is_seen_from_its_camera(root, camera):
    truth = read_truth(f"{root}:1:{camera}", "elsewhere.mp4")
    made = MadeUp().read("subject1/take/1")
    stream = made.stream(camera)
    assert len(truth) == 25
    assert truth.frame == "camera"
    np.testing.assert_array_equal(truth.valid, made.hands.valid)
    np.testing.assert_allclose(truth.times_s, np.arange(25) / 30)
    back = np.einsum("tij,thkj->thki", stream.world_from_camera[:, :3, :3], truth.joints_m.astype(float))
    back += stream.world_from_camera[:, None, None, :3, 3]
    np.testing.assert_allclose(back[truth.valid], made.hands.joints_m[truth.valid], atol=1e-6)
    pixels, _ = project_hands(made.hands.joints_m, stream.world_from_camera, truth.camera)
    np.testing.assert_allclose(truth.keypoints_px, pixels, atol=1e-3)
    assert truth.camera_source == "calibrated"


def test_its_labels_are_objects_and_actions(root):
    truth = read_truth(f"{root}:subject1/take/0:front", "elsewhere.mp4")
    assert truth.object_names == ("box", "lid")
    assert truth.object_labels.tolist() == [-1] * 5 + [0] * 35
    found = [(action.label, round(30 * action.start_s), round(30 * action.end_s)) for action in truth.actions]
    assert found == [("open box", 2, 20), ("close box", 18, 40)]


def test_the_video_itself_says_which_recording_and_camera(root):
    shown = read_truth(str(root), str(video(root, 1)[0]))
    assert (len(shown), shown.camera) == (25, FRONT)
    assert read_truth(str(root), str(video(root, 2, "head")[0])).camera != FRONT


def test_times_of_a_shared_video_count_from_its_start(root, monkeypatch):
    """As in stores of LeRobot itself, whose video files hold several recordings."""

    class Shared(Store):
        def __init__(self, path):
            super().__init__(path)
            one, two, _ = self.recordings
            (path, _) = one.videos["front"]
            self.recordings = (one, replace(two, videos={"front": (path, 40)}))

    monkeypatch.setattr(truth_module, "Store", Shared)
    path = str(video(root)[0])
    shown = read_truth(f"{root}:1", path)
    np.testing.assert_allclose(shown.times_s, (40 + np.arange(25)) / 30)
    assert shown.actions[0].start_s == pytest.approx(42 / 30)
    assert read_truth(f"{root}:1:front", "clip.mp4").times_s[0] == 0
    with pytest.raises(InputError, match=r"say which recording is the truth, .*; there are 0 subject1/take/0, 1 s"):
        read_truth(str(root), path)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("", "say which recording is the truth, .*:RECORDING; there are 0 subject1/take/0, 1 subject1/take/1, 2"),
        (":7", "has no recording '7'; it has 0 subject1/take/0"),
        (":0", "say which camera took the video, .*:0:CAMERA; there are front, head"),
        (":0:side", "has no camera 'side'; it has front, head"),
        ("/nothing", "does not exist; the truth is a result folder, its hands.parquet, or STORE:recording:camera"),
    ],
)
def test_what_is_not_said_or_not_there(root, place, message):
    with pytest.raises(InputError, match=message):
        read_truth(f"{root}{place}", "elsewhere.mp4")


def test_an_earlier_result_is_a_truth(tmp_path):
    truth = make_truth(30)
    (tmp_path / "out").mkdir()
    write_track(tmp_path / "out" / "hands.parquet", truth)
    np.testing.assert_array_equal(read_truth(str(tmp_path / "out"), 0).joints_m, truth.joints_m)
    with pytest.raises(InputError, match="is no store, so '3:cam' says nothing"):
        read_truth(f"{tmp_path / 'out'}:3:cam", 0)
    write_track(tmp_path / "world.parquet", replace(truth, frame="world"))
    with pytest.raises(InputError, match="in world space and does not say where the camera was"):
        read_truth(str(tmp_path / "world.parquet"), 0)
    poses = np.tile(np.eye(4), (30, 1, 1))
    poses[:, 2, 3] = 1
    poses[4] = np.nan
    write_track(tmp_path / "world.parquet", replace(truth, frame="world", world_from_camera=poses))
    seen = read_truth(str(tmp_path / "world.parquet"), 0)
    np.testing.assert_allclose(seen.joints_m[0], truth.joints_m[0] - [0, 0, 1], atol=1e-6)
    assert not seen.valid[4].any()


def test_frames_take_the_nearest_row_within_a_quarter_of_a_frame():
    truth = make_truth(30)
    times = np.array([-1, 0.0, 0.0084 + 3 / 30, 7.8 / 30, 9.5 / 30, 29 / 30, 30 / 30])
    rows, near = truth_rows(truth, times)
    assert rows[near].tolist() == [0, 8, 29]
    assert near.tolist() == [False, True, False, True, False, True, False]
    track = replace(make_truth(7), times_s=times)
    matched = truth_of_frames(truth, track)
    np.testing.assert_array_equal(matched.times_s, times)
    np.testing.assert_array_equal(matched.present.any(1), near)
    np.testing.assert_array_equal(matched.joints_m[3], truth.joints_m[8])
    np.testing.assert_array_equal(matched.object_labels >= 0, near & (rows < 15))
    assert truth_rows(truth[:1], np.array([0.0, 0.5]))[1].tolist() == [True, False]


def test_what_does_not_match_is_refused():
    truth = make_truth(30)
    with pytest.raises(
        InputError, match=r"its frames lie at 5.00 \.\.\. 5.97 s, the truth's at 0.00 \.\.\. 0.97 s, none"
    ):
        truth_of_frames(truth, replace(truth, times_s=truth.times_s + 5, actions=()))
    with pytest.raises(
        InputError, match="pictures of 720 x 720, the video has 640 x 360; give the truth of this camera"
    ):
        truth_of_frames(truth, replace(truth, camera=Pinhole.from_fov(640, 360, 60.0)))
    with pytest.raises(InputError, match="these poses in world space"):
        truth_of_frames(truth, replace(truth, frame="world"))
    with pytest.raises(InputError, match="has no frames"):
        truth_of_frames(truth, truth[:0])


def test_every_output_shows_the_truth(root, tmp_path, capsys):
    """The truth of recording 0, moved by 1 cm, as the joints of another tracker on the store's own video."""
    source, _ = video(root)
    found = read_truth(f"{root}:0", str(source))
    write_track(tmp_path / "found.parquet", replace(found, joints_m=found.joints_m + np.array([0, 0, 0.01])))
    out = tmp_path / "out"
    arguments = ["track", str(source), "--out", str(out), "--estimator", "joints", "--max-frames", "40"]
    assert main([*arguments, "--joints", str(tmp_path / "found.parquet"), "--truth", f"{root}:0"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "error (MPJPE) 10.0 mm (left 10.0 mm, right 10.0 mm), camera space" in printed
    assert "right action in 100.0 % of the frames that the truth labels" in printed
    names = ["hands.parquet", "overlay.mp4", "report.html", "run.json", "truth.parquet"]
    assert sorted(path.name for path in out.iterdir()) == names

    run = read_run(out)
    assert run["truth"]["source"] == f"{root}:0"
    assert run["truth"]["mpjpe_mm"]["both"] == pytest.approx(10, abs=1e-3)
    assert run["truth"]["mpjpe_wrist_aligned_mm"]["both"] == pytest.approx(0, abs=1e-3)
    assert [action["label"] for action in run["actions"]] == ["open box", "close box"]
    assert run["objects"] == [{"name": "box", "frames": 35, "mean_probability": 1.0}]
    np.testing.assert_array_equal(read_track(out / "truth.parquet").joints_m, found.joints_m)
    assert "Against the truth" in (out / "report.html").read_text()

    assert main(["info", str(out)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "objects box in 35 frames (1.00)" in printed
    assert "actions open box 0.07 to 0.67 s (1.00), close box" in printed
    assert "error (MPJPE) 10.0 mm" in printed

    handloom.track(source, out, estimator="joints", joints=tmp_path / "found.parquet", overwrite=True, max_frames=9)
    assert not (out / "truth.parquet").exists()
    assert read_run(out)["truth"] is None


def test_a_wrong_truth_is_refused_before_any_work(root, tmp_path):
    source, _ = video(root)
    truth = make_truth(30)
    late = replace(truth, times_s=truth.times_s + 100, actions=())
    options = {"estimator": "joints", "joints": tmp_path / "late.parquet"}
    write_track(tmp_path / "late.parquet", late)
    with pytest.raises(InputError, match="no frame of the video has a truth"):
        handloom.track(source, tmp_path / "out", truth=late, **options)
    assert not (tmp_path / "out").exists()
    (tmp_path / "old").mkdir()
    write_track(tmp_path / "old" / "hands.parquet", truth)
    with pytest.raises(OutputError, match="is the input of this run and would be overwritten"):
        handloom.track(source, tmp_path / "old", truth=tmp_path / "old", overwrite=True, **options)


def test_a_store_lends_the_camera_of_its_own_video(root):
    source = str(video(root)[0])
    assert camera_of_video(root, None, source) == FRONT
    assert camera_of_video(root, None, str(video(root, 2, "head")[0])) != FRONT
    with pytest.raises(InputError, match=r"has no camera that took elsewhere.mp4; give a calibration file"):
        camera_of_video(root, None, "elsewhere.mp4")
    with pytest.raises(InputError, match="has no head that took"):
        camera_of_video(root, "head", source)
    options = TrackOptions(camera=root)
    choice = choose_camera(options, FRONT.width, FRONT.height, source)
    assert (choice.camera, choice.source) == (FRONT, CameraSource.CALIBRATED)
    with pytest.raises(CalibrationError, match="is for 64 x 36 but the video is 7 x 5; the shape differs"):
        choose_camera(options, 7, 5, source)
    halved = replace(options, rescale_camera=True)
    assert choose_camera(halved, FRONT.width // 2, FRONT.height // 2, source).camera.fx == FRONT.fx / 2
