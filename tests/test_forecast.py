"""Refiner, Recogniser, Forecaster on tracks as trackers make them: rates, gaps, one hand, moving cameras, bad input."""

from dataclasses import replace

import numpy as np
import pytest

from handloom.errors import InputError
from handloom.geometry import apply_rigid, invert_rigid, rigid
from handloom.hands import HandTrack
from made_up_hands import rotations
from make_track import make_track
from with_torch import needs_torch, torch

pytestmark = needs_torch


def pose_block():
    from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

    torch.manual_seed(0)
    return PoseBlock(PoseBlockConfig(dim=32, heads=4, feedforward=64, layers=1)).eval()


def action_block(**changes):
    from handloom.models.ghtt_action import ActionBlock, ActionBlockConfig

    torch.manual_seed(1)
    config = {"label_dim": 16, "dim": 32, "heads": 4, "feedforward": 64, "layers": 1} | changes
    block = ActionBlock(ActionBlockConfig(("open box", "close box", "pour milk"), ("box", "milk"), **config)).eval()
    block.action_vectors.normal_()
    block.object_vectors.normal_()
    return block


@pytest.fixture(scope="module")
def refiner():
    from handloom.forecast.refine import Refiner

    return Refiner(pose_block())


@pytest.fixture(scope="module")
def forecaster():
    from handloom.forecast.forecaster import Forecaster

    return Forecaster(pose_block(), action_block())


@pytest.fixture(scope="module")
def recogniser():
    from handloom.forecast.recognise import Recogniser

    return Recogniser(pose_block(), action_block())


def without(track, hidden):
    return replace(track, valid=track.valid & ~hidden)


def moved_by(track, world_from_camera):
    """The same hands in the world, seen from cameras elsewhere."""
    camera_from_world = invert_rigid(world_from_camera)[:, None]
    joints = apply_rigid(camera_from_world, track.joints_m.astype(np.float64))
    return replace(track, joints_m=joints, world_from_camera=world_from_camera)


def wandering(frames):
    t = np.arange(frames) / 30
    turns = rotations(np.stack([0.3 * np.sin(t), 0.5 * np.cos(t), 0.1 * t], -1))
    return rigid(turns, np.stack([0.1 * t, 0.2 * np.sin(t), 0 * t], -1))


def test_a_perfect_encoder_gives_the_track_back():
    """With a block that returns its input, only the palm's size over time is evened out."""
    from handloom.forecast.refine import Refiner

    class Echo(type(pose_block())):
        def encode(self, features, known, seen):
            self.given = features
            return super().encode(features, known, seen)

        def refined(self, encoded):
            return self.given

    block = pose_block()
    block.__class__ = Echo
    track = make_track(90, gaps=False, noise_m=0)
    joints = track.joints_m.astype(np.float64)
    refined = Refiner(block).refine(track)
    assert np.abs(refined.joints_m - joints).max() < 2e-5
    world = moved_by(track, wandering(90))
    again = Refiner(block).refine(world)
    assert np.abs(again.joints_m - world.joints_m).max() < 2e-5


@pytest.mark.parametrize("rate", [10.0, 30.0, 120.0])
def test_refined_tracks_keep_times_and_gaps(refiner, rate):
    track = make_track(int(3 * rate), rate, gaps=False)
    seconds = track.times_s[:, None, None]
    short, long = (seconds > 1.0) & (seconds < 1.2), (seconds > 1.9) & (seconds < 2.6)
    hidden = np.zeros(track.valid.shape, bool)
    hidden |= (short | long) & (np.arange(2) == 0)[:, None]
    refined = refiner.refine(without(track, hidden))
    np.testing.assert_array_equal(refined.times_s, track.times_s)
    inside = (track.times_s > 1.0) & (track.times_s < 1.2)
    assert refined.valid[inside, 0].all()
    assert (refined.confidence[inside, 0] <= 0.5).all()
    deep = (track.times_s > 2.05) & (track.times_s < 2.45)
    assert not refined.valid[deep, 0].any()
    assert refined.valid[:, 1].all()
    pixels, _ = track.camera.project(refined.joints_m[:, 1].astype(np.float64))
    np.testing.assert_allclose(refined.keypoints_px[:, 1], pixels, atol=0.05)


def test_one_hand_and_a_joint_that_never_was(refiner):
    track = make_track(40, gaps=False)
    hidden = np.zeros(track.valid.shape, bool)
    hidden[:, 0] = hidden[:, 1, 1] = True
    refined = refiner.refine(without(track, hidden))
    np.testing.assert_array_equal(refined.valid, ~hidden)


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_forecasts_begin_where_the_track_ends(forecaster, seconds):
    track = make_track(60, gaps=False)
    found = forecaster.forecast(track, seconds, samples=4)
    frames = round(seconds * 30)
    assert found.joints_m.shape == (4, frames, 2, 21, 3)
    assert found.path == "a"
    np.testing.assert_allclose(found.times_s, track.times_s[-1] + np.arange(1, frames + 1) / 30)
    again = forecaster.forecast(track, seconds, samples=4)
    np.testing.assert_array_equal(found.joints_m, again.joints_m)
    assert np.ptp(found.joints_m, 0).max() > 1e-6
    alone = forecaster.forecast(track, seconds, samples=1)
    np.testing.assert_allclose(alone.joints_m[0], found.joints_m[0], atol=1e-6)


def test_futures_keep_the_shape_of_the_hands(forecaster):
    """What the network gets wrong about the hands' shape at the end is taken off every frame."""
    from handloom.datasets.motions import motion_of_track
    from handloom.forecast.forecaster import Forecaster
    from handloom.forecast.observed import last_clip, own_shape

    motion = motion_of_track(make_track(60, gaps=False), "track").motion
    plain = Forecaster(forecaster.pose, keep_shape=False)
    kept, bare = (f.predict(motion, 20, 1, "a")[0][0] for f in (forecaster, plain))
    wrong = np.linalg.norm(own_shape(forecaster.pose, last_clip(motion, 16)).reshape(2, 21, 3), axis=-1)
    assert wrong.mean() > 0.1
    sizes = motion.sizes_m[-16:].mean(0)
    np.testing.assert_allclose(
        np.linalg.norm(kept - bare, axis=-1), np.tile(wrong * sizes[:, None], (20, 1, 1)), atol=1e-9
    )
    unseen = motion.part(slice(-16, None)).without(np.ones((16, 2), bool))
    assert (own_shape(forecaster.pose, last_clip(unseen, 16)) == 0).all()


def test_the_long_path_goes_by_way_of_the_action(forecaster):
    track = make_track(200, gaps=False)
    found = forecaster.forecast(track, 3.0, samples=3)
    assert found.path == "b"
    assert found.joints_m.shape[1] == 90
    assert np.isfinite(found.joints_m).all()
    assert np.ptp(found.joints_m[:, :16], 0).max() == 0, "the first clip is that of the last observed one"
    assert np.ptp(found.joints_m[:, 16:], 0).max() > 1e-6
    told = forecaster.forecast(track, 3.0, samples=3, object_name="milk")
    assert np.abs(told.joints_m - found.joints_m).max() > 1e-9


def test_a_moving_camera_changes_nothing_but_the_frame(forecaster):
    track, poses = make_track(60, gaps=False), wandering(60)
    still = forecaster.forecast(track, 1.0, samples=3)
    moving = forecaster.forecast(moved_by(track, poses), 1.0, samples=3)
    expected = apply_rigid(invert_rigid(poses[-1])[None, None, None], still.joints_m)
    np.testing.assert_allclose(moving.joints_m, expected, atol=2e-5)


def test_hands_that_are_gone_are_not_predicted(forecaster):
    track = make_track(60, gaps=False)
    hidden = np.zeros(track.valid.shape, bool)
    hidden[40:, 0] = True
    found = forecaster.forecast(without(track, hidden), 0.5, samples=2)
    assert not found.valid[0].any()
    assert found.valid[1].all()
    assert np.isnan(found.joints_m[:, :, 0]).all()
    hidden[40:] = True
    with pytest.raises(InputError, match="needs a hand in the last 16 frames"):
        forecaster.forecast(without(track, hidden), 0.5)


def test_blended_mid_levels_lie_between(forecaster):
    track = make_track(120, gaps=False)
    first, second = track[:50], track[:110]
    ends = [forecaster.blend(first, second, share).joints_m[0] for share in (0.0, 0.5, 1.0)]
    assert ends[0].shape == (16, 2, 21, 3)
    apart = np.abs(ends[2] - ends[0]).mean()
    assert 0 < np.abs(ends[1] - ends[0]).mean() < apart
    assert 0 < np.abs(ends[2] - ends[1]).mean() < apart
    np.testing.assert_allclose(forecaster.blend(first, first, 0.7).joints_m[0], ends[0], atol=1e-6)
    with pytest.raises(InputError, match=r"lie in 0 \.\.\. 1"):
        forecaster.blend(first, second, 1.5)


def test_short_and_odd_requests(forecaster):
    track = make_track(60, gaps=False)
    few = forecaster.forecast(track[:5], 0.2, samples=1)
    assert np.isfinite(few.joints_m).all()
    for arguments, message in (
        ({"seconds": 0}, r"one frame \(1/30 s\) to 60 s ahead"),
        ({"seconds": float("nan")}, "found nan s"),
        ({"seconds": 1e6}, "found 1e"),
        ({"samples": 0}, "1 to 10000 samples"),
        ({"samples": 10**9}, "1 to 10000 samples"),
        ({"seed": -1}, "a seed of 0 or more"),
        ({"path": "a", "object_name": "cow"}, "does not know the object 'cow'"),
        ({"seconds": 10.0, "path": "b"}, "trained to look 9.07 s ahead"),
        ({"seconds": 3.0, "object_name": "cow"}, "does not know the object 'cow'"),
    ):
        with pytest.raises(InputError, match=message):
            forecaster.forecast(track, **arguments)


def test_actions_cover_the_clips_with_hands(recogniser):
    track = make_track(170, gaps=False)
    hidden = np.zeros(track.valid.shape, bool)
    hidden[64:96] = True
    found, scores = recogniser.recognise(without(track, hidden))
    assert scores.probabilities.shape == (11, 3)
    np.testing.assert_allclose(scores.probabilities.sum(-1), 1, atol=1e-5)
    assert not any(a.start_s < 2.7 and a.end_s > 2.6 for a in found.actions)
    assert {a.label for a in found.actions} <= {"open box", "close box", "pour milk"}
    whole, scores = recogniser.recognise(track, whole=True)
    assert len(whole.actions) == 1
    assert whole.actions[0].score == pytest.approx(scores.probabilities[0].max(), abs=1e-6)


def test_unknown_below_the_threshold_and_labels_of_ones_own():
    from handloom.forecast.recognise import Recogniser

    track, blocks = make_track(64, gaps=False), (pose_block(), action_block())
    sure, _ = Recogniser(*blocks, threshold=1.0).recognise(track)
    assert sure.actions == ()
    vectors = np.eye(2, 16, dtype=np.float32)
    named, scores = Recogniser(*blocks, labels=("wave", "point"), vectors=vectors).recognise(track)
    assert scores.labels == ("wave", "point")
    assert named.actions[0].label in scores.labels
    for arguments, message in (
        ({"labels": ("a", "a"), "vectors": vectors}, "'a' comes twice"),
        ({"labels": ("a", "b"), "vectors": vectors[:, :5]}, r"must have shape \(2, 16\)"),
        ({"labels": ("a", "b")}, "together with their vectors"),
        ({"threshold": 1.5}, "a probability"),
    ):
        with pytest.raises(InputError, match=message):
            Recogniser(*blocks, **arguments)
    with pytest.raises(InputError, match="do not belong together"):
        Recogniser(pose_block(), action_block(level="pose"))


def test_tracks_without_a_hand_are_refused(refiner, recogniser, forecaster):
    track = make_track(20, gaps=False)
    empty = without(track, np.ones(track.valid.shape, bool))
    assert isinstance(empty, HandTrack)
    for verb in (refiner.refine, recogniser.recognise, forecaster.forecast):
        with pytest.raises(InputError, match="a hand"):
            verb(empty)
        with pytest.raises(InputError, match="two frames"):
            verb(track[:1])


def test_weights_that_are_not_there(tmp_path, monkeypatch):
    from handloom.forecast import shipped

    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "none")
    with pytest.raises(InputError, match="no weights of G-HTT come with this installation"):
        shipped.weights_folder(None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from handloom.formats.weights import save_pretrained

    folder = tmp_path_factory.mktemp("weights") / "w"
    save_pretrained(action_block(), folder)
    save_pretrained(pose_block(), folder / "pose")
    return folder


@pytest.fixture
def result(tmp_path):
    from handloom.formats.result import write_json, write_track

    folder = tmp_path / "clip"
    folder.mkdir()
    write_track(folder / "hands.parquet", make_track(80, 25.0))
    write_json(folder / "run.json", {"estimator": "made up", "notes": ["first"], "input": {}})
    return folder


def test_refine_on_the_command_line(result, weights, capsys):
    from handloom.cli import main
    from handloom.formats.result import read_run, read_track

    assert main(["refine", str(result), "--weights", str(weights), "--device", "cpu"]) == 0
    assert "resampled from 25 to 30 frames per second" in capsys.readouterr().out
    out = result.with_name("clip-refined")
    assert len(read_track(out)) == 80
    run = read_run(out)
    assert run["notes"][:2] == ["first", "joints refined by G-HTT"]
    assert run["estimator"] == "made up, refined by G-HTT"
    assert run["counts"]["frames"] == 80
    assert run["counts"]["left"] == read_track(out).present[:, 0].sum()
    assert {"refine", "report", "total"} <= run["timings_s"].keys()
    page = (out / "report.html").read_text()
    assert "made up, refined by G-HTT" in page
    assert not (out / "overlay.mp4").exists()
    assert main(["refine", str(result), "--weights", str(weights), "--device", "cpu"]) == 2
    assert "already holds something" in capsys.readouterr().err
    again = ["refine", str(result), "--weights", str(weights), "--out", str(result), "--overwrite"]
    assert main(again) == 2
    assert "is the input of this run" in capsys.readouterr().err
    kept = sorted(path.name for path in out.iterdir())
    wrong = ["--video", str(result / "run.json"), "--out", str(out), "--overwrite"]
    assert main(["refine", str(result), "--weights", str(weights), *wrong]) == 2
    assert sorted(path.name for path in out.iterdir()) == kept


def test_a_refined_video_with_its_truth(tmp_path, weights, capsys):
    """Pictures are drawn anew, the truth goes along and is compared again; a forecast ends where its truth does."""
    from handloom.cli import main
    from handloom.formats.result import read_run, read_track, write_json, write_track
    from make_video import clip

    folder, video = tmp_path / "clip", tmp_path / "clip.mp4"
    track = make_track(40, gaps=False)
    clip(video, 40, width=track.camera.width, height=track.camera.height)
    folder.mkdir()
    write_track(folder / "hands.parquet", track)
    write_track(folder / "truth.parquet", track)
    source = {"path": str(video), "frames": 40}
    write_json(folder / "run.json", {"input": source, "truth": {"source": "a store", "mpjpe_mm": {"both": 99.0}}})
    options = ["--weights", str(weights), "--device", "cpu"]
    assert main(["refine", str(folder), *options]) == 0
    out = tmp_path / "clip-refined"
    assert (out / "overlay.mp4").stat().st_size > 1000
    assert (out / "report.html").read_text().count("with the skeletons drawn") == 8
    truth = read_run(out)["truth"]
    assert truth["source"] == "a store"
    assert 0 < truth["mpjpe_mm"]["both"] != 99
    assert main(["forecast", str(folder), *options, "--at-s", "1", "--seconds", "0.2"]) == 0
    observed, known = (read_track(tmp_path / "clip-forecast" / name) for name in ("hands.parquet", "truth.parquet"))
    assert len(observed) == len(known) == 31
    clip(tmp_path / "other.mp4", 5)
    capsys.readouterr()
    other = ["--video", str(tmp_path / "other.mp4"), "--out", str(tmp_path / "x")]
    assert main(["refine", str(folder), *options, *other]) == 2
    assert "has 5 frames, the result 40" in capsys.readouterr().err


def test_recognise_on_the_command_line(result, weights):
    import pyarrow.parquet as pq

    from handloom.cli import main
    from handloom.formats.result import read_track

    assert main(["recognise", str(result), "--weights", str(weights), "--device", "cpu", "--whole"]) == 0
    out = result.with_name("clip-actions")
    assert len(read_track(out).actions) == 1
    table = pq.read_table(out / "actions.parquet")
    assert table.column_names == ["start_s", "end_s", "open box", "close box", "pour milk"]
    assert table.num_rows == 6


def test_forecast_on_the_command_line(result, weights, capsys):
    from handloom.cli import main
    from handloom.formats.futures import read_futures
    from handloom.formats.result import read_track

    command = ["forecast", str(result), "--weights", str(weights), "--device", "cpu", "--samples", "3"]
    assert main([*command, "--seconds", "0.5", "--at-s", "1.5"]) == 0
    said = capsys.readouterr().out
    for words in ("0.25 s, mean", "0.5 s, best of 3", "0.5 s, static", "0.5 s, constant velocity"):
        assert words in said
    out = result.with_name("clip-forecast")
    futures = read_futures(out / "forecast.parquet")
    assert futures.joints_m.shape == (3, 15, 2, 21, 3)
    assert futures.path == "a"
    assert read_track(out).times_s[-1] == pytest.approx(1.48)
    assert (out / "fan.png").is_file()
    for option, value, message in (
        ("--at-s", "-1", "nothing is observed before"),
        ("--at-s", "1e9", "lies behind the track, which ends at 3.160 s"),
        ("--seconds", "-1", "one frame (1/30 s) to 60 s ahead"),
        ("--spread", "inf", "0 ... 100, found inf"),
        ("--video", str(result / "run.json"), "run.json"),
        ("--weights", str(result), "holds no config.json"),
    ):
        assert main([*command, option, value, "--out", str(out.with_name("other"))]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
        assert not out.with_name("other").exists()
    assert main([*command, "--out", str(result / "run.json")]) == 2
    assert "is a file; choose a folder" in capsys.readouterr().err
    assert main([*command, "--out", str(result / "run.json" / "deeper")]) == 2
    assert "cannot make the folder" in capsys.readouterr().err


def test_a_forecast_is_drawn_in_the_viewer(result, weights):
    from handloom.cli import main
    from handloom.formats.futures import read_futures
    from handloom.formats.result import read_track
    from handloom.view.viewer import serve

    assert main(["forecast", str(result), "--weights", str(weights), "--device", "cpu", "--seconds", "0.2"]) == 0
    out = result.with_name("clip-forecast")
    futures = read_futures(out / "forecast.parquet")
    server = serve(read_track(out), None, futures=futures, port=8391, block=False)
    server.stop()


def test_damaged_forecasts_are_refused(tmp_path):
    from handloom.formats.futures import read_futures

    (tmp_path / "forecast.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="damaged or no forecast"):
        read_futures(tmp_path / "forecast.parquet")
    with pytest.raises(InputError, match="does not exist"):
        read_futures(tmp_path / "none.parquet")


def test_the_weights_that_come_with_handloom():
    """Small, with a card, and of use: a made-up hand that jitters is refined, a forecast begins where it ends."""
    from handloom.forecast.forecaster import Forecaster
    from handloom.forecast.refine import Refiner
    from handloom.forecast.shipped import SHIPPED
    from handloom.metrics.motion import acceleration_errors

    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) < 20e6
    assert "simulated" in (SHIPPED / "README.md").read_text()
    true, noisy = make_track(90, gaps=False, noise_m=0), make_track(90, gaps=False, noise_m=0.003)
    refined = Refiner.from_pretrained(device="cpu").refine(noisy)
    errors = [acceleration_errors(t.joints_m, true.joints_m, t.valid, 30.0).mean() for t in (noisy, refined)]
    assert errors[1] < 0.3 * errors[0]
    apart = [np.linalg.norm(t.joints_m - true.joints_m, axis=-1).mean() for t in (noisy, refined)]
    assert apart[1] < 0.8 * apart[0]
    futures = Forecaster.from_pretrained(device="cpu").forecast(true, 0.2, samples=2)
    step = np.linalg.norm(futures.joints_m[0, 0] - true.joints_m[-1], axis=-1)
    assert step.max() < 0.03
