"""Scores of forecasts and refinements: exact answers from made-up predictors; the command line."""

from dataclasses import replace

import numpy as np
import pytest

from handloom.errors import InputError
from made_up_hands import open_hand
from make_track import make_track
from with_torch import needs_torch, torch

pytestmark = needs_torch


def recording(frames=80, speed=(0.3, 0.0, 0.0)):
    from handloom.datasets.motions import MotionRecording
    from handloom.geometry.motion_features import hand_motion

    hands = np.stack([open_hand() * [-1, 1, 1], open_hand() + np.array([0.3, 0, 0])])
    joints = hands + np.arange(frames)[:, None, None, None] / 30 * np.array(speed)
    return MotionRecording("made up", "", hand_motion(joints), joints)


def test_forecast_scores_by_hand():
    from handloom.evaluation.motion import score_forecasts

    def truth_and_offset(given, start, frames):
        joints = given.joints_m[start : start + frames]
        padded = np.concatenate([joints, np.repeat(joints[-1:], frames - len(joints), 0)])
        return np.stack([padded + np.array([0, 0.02, 0]), padded + np.array([0, 0.01, 0])])

    scores = score_forecasts([recording()], {"near": truth_and_offset}, (0.5, 1.0))
    for seconds, found in scores.items():
        frames = round(30 * seconds)
        assert found["near"].ade == pytest.approx(0.01)
        assert found["near"].relative == pytest.approx(0, abs=1e-9)
        assert found["constant velocity"].ade == pytest.approx(0, abs=1e-9)
        assert found["static"].ade == pytest.approx(0.3 * (frames + 1) / 60)
        assert found["static"].fde == pytest.approx(0.3 * seconds)
        assert found["static"].windows == len(range(16, 80 - frames + 1, 8))


def test_recordings_of_one_name_have_their_own_past():
    from handloom.evaluation.motion import by_short_path
    from handloom.forecast.forecaster import Forecaster
    from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

    torch.manual_seed(0)
    forecaster = Forecaster(PoseBlock(PoseBlockConfig(dim=32, heads=4, feedforward=64, layers=1)).eval())
    one, other = recording(), recording(speed=(0.0, -0.5, 0.2))
    both, alone = by_short_path(forecaster, own_past=True), by_short_path(forecaster, own_past=True)
    both(one, 60, 10)
    np.testing.assert_array_equal(both(other, 60, 10), alone(other, 60, 10))


def test_hands_that_are_not_whole_do_not_count():
    from handloom.datasets.motions import MotionRecording
    from handloom.evaluation.motion import score_forecasts
    from handloom.geometry.motion_features import hand_motion

    joints = recording().joints_m.copy()
    joints[::5, 0] = np.nan
    found = score_forecasts([MotionRecording("m", "", hand_motion(joints), joints)], {}, (0.5,))
    assert found[0.5]["static"].ade == pytest.approx(0.3 * 16 / 60)
    joints[:] = np.nan
    with pytest.raises(InputError, match="long enough, with a hand"):
        score_forecasts([MotionRecording("m", "", hand_motion(joints), joints)], {}, (0.5,))


def test_refinement_scores_of_a_network_that_returns_its_input():
    from handloom.evaluation.motion import score_refinement
    from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

    class Echo(PoseBlock):
        def encode(self, features, known, seen):
            self.given = features
            return super().encode(features, known, seen)

        def refined(self, encoded):
            return self.given

    block = Echo(PoseBlockConfig(dim=32, heads=4, feedforward=64, layers=1)).eval()
    clean = score_refinement(block, [recording()], 0.0)
    assert max(clean.ra_m + clean.pa_m) < 1e-6
    noisy = score_refinement(block, [recording()], 0.002, gap_frames=4)
    assert noisy.pa_m.before > 1e-3
    for value in (noisy.ra_m, noisy.pa_m, noisy.acceleration):
        assert value.smoothed < 0.7 * value.before
        assert value.after == pytest.approx(value.smoothed, rel=0.1)
    assert noisy.straight_m < 0.02


def test_bench_on_the_command_line(tmp_path, capsys):
    from handloom.cli import main
    from handloom.formats.result import write_track
    from handloom.formats.weights import save_pretrained
    from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

    torch.manual_seed(0)
    save_pretrained(PoseBlock(PoseBlockConfig(dim=32, heads=4, feedforward=64, layers=1)), tmp_path / "w")
    write_track(tmp_path / "hands.parquet", replace(make_track(60, gaps=False)))
    arguments = [str(tmp_path / "hands.parquet"), "--weights", str(tmp_path / "w")]
    assert main(["bench", "forecast", *arguments, "--samples", "2"]) == 0
    said = capsys.readouterr().out
    for words in (
        "1 s, P.a, own past",
        "P.a, own past, best of 2",
        "1 s, P.a as published",
        "1 s, static",
        "against the better plain forecast",
        "2 futures of 96 frames",
    ):
        assert words in " ".join(said.split())
    assert main(["bench", "refine", *arguments, "--gap-frames", "3", "--noise-mm", "2", "5"]) == 0
    said = capsys.readouterr().out
    for words in ("2 mm, in gaps of 3 frames", "5 mm, MPJPE-PA", "smoothing alone"):
        assert words in said
    assert main(["bench", "refine", *arguments, "--limit", "0"]) == 2
    assert "must be 1 or more" in capsys.readouterr().err
    for option, value, message in (
        ("--noise-mm", "nan", "0 or more, found nan"),
        ("--noise-mm", "-3", "0 or more, found -3"),
        ("--gap-frames", "-1", "0 to 15 frames, found -1"),
        ("--gap-frames", "1000", "0 to 15 frames, found 1000"),
    ):
        assert main(["bench", "refine", *arguments, option, value]) == 2
        assert message in capsys.readouterr().err
    assert main(["bench", "blend", *arguments, "--pairs", "3"]) == 0
    assert "of pairs without turning back" in capsys.readouterr().out


def test_blends_of_a_straight_line_and_of_an_arc():
    from handloom.evaluation.blending import score_blends
    from handloom.forecast.forecaster import Forecaster

    class Blends(Forecaster):
        """Joints on a line, or on three quarters of a circle."""

        def __init__(self, angle):
            self.angle = angle

        def blended(self, first, second, shares):
            turn = shares * self.angle
            way = np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1) if self.angle else shares[:, None] * np.ones(3)
            return np.broadcast_to(way[:, None, None, None], (len(shares), 16, 2, 21, 3)), np.ones((2, 21), bool)

    straight = score_blends(Blends(0), [recording()], 5)
    assert straight == pytest.approx((5, 1, np.sqrt(3), 0.5, 1))
    arc = score_blends(Blends(1.5 * np.pi), [recording()], 5)
    assert arc.monotone == 0
    assert arc.halfway == pytest.approx(np.sin(0.375 * np.pi) / np.sin(0.75 * np.pi))
    with pytest.raises(InputError, match="both hands; found 1"):
        score_blends(Blends(0), [recording(20)], 5)
    with pytest.raises(InputError, match="number of pairs must be at least 1, found 0"):
        score_blends(Blends(0), [recording()], 0)


def test_gestures_of_other_runs():
    from handloom.benchmarks.gestures import halves
    from handloom.datasets.motions import MotionSegment

    segments = tuple(MotionSegment("ab"[k % 2], "", 10 * k, 10 * k + 10) for k in range(6))
    first, second = recording(60), recording(60)
    trained, tested = halves([replace(first, segments=segments[:3]), replace(second, segments=segments[3:])])
    assert [[s.start for s in r.segments] for r in trained] == [[0, 10], [40, 50]]
    assert [[s.start for s in r.segments] for r in tested] == [[20], [30]]
    with pytest.raises(InputError, match="no label has two runs"):
        halves([replace(first, segments=segments[:2])])
