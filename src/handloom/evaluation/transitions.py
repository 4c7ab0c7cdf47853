"""Whether what is foretold at the end of an action goes over into the next one, smoothly (G-HTT, section 4.5)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from handloom.datasets.motions import FRAME_RATE, MotionRecording, MotionSegment
from handloom.errors import InputError
from handloom.evaluation.motion import OBSERVED
from handloom.forecast.against import errors_of, plain_forecasts
from handloom.forecast.forecaster import Forecaster
from handloom.geometry.motion_features import hand_motion
from handloom.metrics.means import known_mean
from handloom.resampling import evenly_chosen
from handloom.skeleton import WRIST

BEFORE, FRAMES = 8, 48
"""Frames from the last observed one to the end of the action, and those that are foretold."""
NAMED = slice(FRAMES - 2 * OBSERVED, FRAMES)
"""Of these, the ones that block A names."""
LONGEST_BREAK_S = 1.0
"""Between two actions."""
TRUTH, STATIC = "what came", "static"


class TransitionScore(NamedTuple):
    """Of one way to foretell, over all windows.

    Attributes:
        windows: how many.
        gone_over: share of futures that block A takes for the next action rather than for the one that was observed.
        ade_m: wrist ADE of the first future, metres; 0 of what came.
        acceleration: of the wrists about the last observed frame (4 frames), m/s².
    """

    windows: int
    gone_over: float
    ade_m: float
    acceleration: float


def score_transitions(
    forecaster: Forecaster, recordings: Sequence[MotionRecording], samples: int = 5, most: int | None = None
) -> dict[str, TransitionScore]:
    """Observe 16 frames up to a quarter of a second before an action ends, and foretell 1.6 s.

    Block A names the last 1.1 s of the future, of which it is told no object; what came says how well it can. Path P.b
    is told the object of the observed action.

    Args:
        forecaster: with block A.
        recordings: with labelled segments that follow each other.
        samples: futures of each window, the mean among them.
        most: so many windows, evenly chosen.

    Raises:
        InputError: no block A, no sample, or no two actions that follow each other and that the block knows.
    """
    recogniser = forecaster.recogniser
    if recogniser is None:
        raise InputError("transitions between actions need block A; these weights are block P alone")
    if samples < 1:
        raise InputError(f"the number of samples must be at least 1, found {samples}")
    rows = {label: row for row, label in enumerate(recogniser.labels)}
    objects = {name: row for row, name in enumerate(recogniser.action.config.objects)}
    windows = [window for recording in recordings for window in _transitions(recording, rows)]
    if not windows:
        raise InputError("no recording has two actions, known to these weights, one after the other")
    found: dict[str, list[tuple[float, float, float]]] = {}
    for recording, last, after in windows if most is None else evenly_chosen(windows, most):
        now = last.end - BEFORE
        past, truth = recording.joints_m[now - OBSERVED : now], recording.joints_m[now : now + FRAMES]
        observed = recording.motion.part(slice(now - OBSERVED, now))
        noun = np.array([objects.get(last.noun, -1)])
        phase = max(now - OBSERVED - last.start, 0) // OBSERVED
        futures = {
            TRUTH: truth[None],
            "P.a": forecaster.predict(observed, FRAMES, samples, "a")[0],
            "P.b": forecaster.predict(observed, FRAMES, samples, "b", noun, phase=phase)[0],
            STATIC: plain_forecasts(past, FRAMES)[STATIC][None],
        }
        valid = np.isfinite(truth).all(-1)
        for name, joints in futures.items():
            over = [
                probabilities[rows[after.label]] > probabilities[rows[last.label]]
                for probabilities in (recogniser.probabilities(hand_motion(sample[NAMED])) for sample in joints)
            ]
            ade = known_mean(errors_of(joints[:1], truth, valid & np.isfinite(joints[0]).all(-1)).ade)
            seams = [_acceleration(np.concatenate([past[-2:], sample[:4]])) for sample in joints]
            found.setdefault(name, []).append((float(np.mean(over)), float(ade), float(np.mean(seams))))
    return {
        name: TransitionScore(len(scores), *(float(value) for value in known_mean(np.array(scores))))
        for name, scores in found.items()
    }


def _transitions(
    recording: MotionRecording, known: Mapping[str, int]
) -> list[tuple[MotionRecording, MotionSegment, MotionSegment]]:
    found = []
    segments = sorted(recording.segments, key=lambda segment: segment.start)
    for last, after in pairwise(segments):
        start, end = last.end - BEFORE - OBSERVED, last.end - BEFORE + FRAMES
        follows = 0 <= after.start - last.end <= LONGEST_BREAK_S * FRAME_RATE and last.label != after.label
        if not (follows and {last.label, after.label} <= known.keys() and start >= 0 and end <= len(recording)):
            continue
        if recording.motion.present[start:end].all(0).any():
            found.append((recording, last, after))
    return found


def _acceleration(joints: Float[np.ndarray, "frames 2 21 3"]) -> float:
    wrist = np.diff(joints[:, :, WRIST], 2, axis=0) * FRAME_RATE**2
    return float(known_mean(np.linalg.norm(wrist, axis=-1).ravel()))
