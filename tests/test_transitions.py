"""Transitions between actions: exact answers from a made-up forecaster that goes straight on or knows what comes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from handloom.errors import InputError
from made_up_hands import open_hand
from with_torch import needs_torch

pytestmark = needs_torch

LENGTH, TURN = 150, 75


def recording(speed=0.3):
    """Both hands go right, and from `TURN` on up: two actions."""
    from handloom.datasets.motions import MotionRecording, MotionSegment
    from handloom.geometry.motion_features import hand_motion

    hands = np.stack([open_hand() * [-1, 1, 1], open_hand() + np.array([0.3, 0, 0])])
    frames = np.arange(LENGTH)
    path = np.stack([np.minimum(frames, TURN), np.maximum(frames - TURN, 0), 0 * frames], -1) * speed / 30
    joints = hands + path[:, None, None]
    segments = MotionSegment("go box", "box", 20, TURN, "go"), MotionSegment("lift box", "box", TURN, LENGTH, "lift")
    return MotionRecording("made up", "", hand_motion(joints), joints, segments)


def made_up_forecaster(given):
    """P.a goes straight on; P.b knows what comes; block A names motion by where it goes."""
    from handloom.forecast.forecaster import Forecaster
    from handloom.forecast.recognise import Recogniser

    class ByWay(Recogniser):
        def __init__(self):
            self.labels = ("go box", "lift box")
            self.action = SimpleNamespace(config=SimpleNamespace(objects=("box",)))

        def probabilities(self, motion):
            way = motion.camera_from_hand[-1, 0, :3, 3] - motion.camera_from_hand[0, 0, :3, 3]
            lifts = float(abs(way[1]) > abs(way[0]))
            return np.array([1 - lifts, lifts])

    class MadeUp(Forecaster):
        def __init__(self):
            self.recogniser, self.asked = ByWay(), []

        def predict(self, observed, frames, samples, path, objects=None, seed=0, phase=0):
            self.asked.append((path, None if objects is None else objects.tolist(), phase))
            now = TURN - 8
            last, before = given.joints_m[now - 1], given.joints_m[now - 2]
            straight = last + np.arange(1, frames + 1)[:, None, None, None] * (last - before)
            joints = straight if path == "a" else given.joints_m[now : now + frames]
            return np.repeat(joints[None], samples, 0), np.ones((2, 21), bool)

    return MadeUp()


def test_who_goes_over_and_how_smoothly():
    from handloom.evaluation.transitions import STATIC, TRUTH, score_transitions

    given = recording()
    forecaster = made_up_forecaster(given)
    scores = score_transitions(forecaster, [given], 2)
    assert [scores[name].gone_over for name in (TRUTH, "P.a", "P.b", STATIC)] == [1, 0, 1, 0]
    assert all(score.windows == 1 for score in scores.values())
    assert scores[TRUTH].ade_m == scores["P.b"].ade_m == 0
    # Straight on and what came part at the turn, 8 frames ahead, at right angles.
    late = np.maximum(np.arange(1, 49) - 9, 0)
    assert scores["P.a"].ade_m == pytest.approx(np.mean(np.sqrt(2) * 0.01 * late))
    assert scores["P.a"].acceleration == pytest.approx(0, abs=1e-6)
    # Hands that stop lose 0.3 m/s within one of the four frames about the seam.
    assert scores[STATIC].acceleration == pytest.approx(0.3 * 30 / 4)
    assert forecaster.asked == [("a", None, 0), ("b", [0], (TURN - 8 - 16 - 20) // 16)]


def test_what_cannot_be_scored_is_refused():
    from handloom.evaluation.transitions import score_transitions

    given = recording()
    forecaster = made_up_forecaster(given)
    with pytest.raises(InputError, match="two actions, known to these weights"):
        score_transitions(forecaster, [replace(given, segments=given.segments[:1])])
    with pytest.raises(InputError, match="two actions, known to these weights"):
        score_transitions(
            forecaster, [replace(given, segments=(given.segments[0], given.segments[1]._replace(label="x")))]
        )
    with pytest.raises(InputError, match="samples must be at least 1"):
        score_transitions(forecaster, [given], 0)
    forecaster.recogniser = None
    with pytest.raises(InputError, match="need block A"):
        score_transitions(forecaster, [given])
