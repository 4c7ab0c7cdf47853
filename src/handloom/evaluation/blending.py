"""Whether what lies between two mid-levels is motion between those of two recordings (G-HTT, section 4.5)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from handloom.datasets.motions import MotionRecording
from handloom.errors import InputError
from handloom.evaluation.motion import OBSERVED
from handloom.forecast.forecaster import Forecaster

STEPS = 9
"""Shares of the second recording that are looked at, from 0 to 1."""


class BlendScore(NamedTuple):
    """How the future changes from that of one observation to that of another, over random pairs.

    Attributes:
        pairs: how many.
        monotone: share of pairs whose blends get further from the one end and nearer to the other with every step.
        apart_m: mean joint distance between both ends.
        halfway: distance of the blend of equal shares from the first end, over that between both ends; 0.5 is even.
        detour: its distances from both ends together, over that between them; 1 is straight.
    """

    pairs: int
    monotone: float
    apart_m: float
    halfway: float
    detour: float


def score_blends(
    forecaster: Forecaster, recordings: Sequence[MotionRecording], pairs: int = 200, seed: int = 0
) -> BlendScore:
    """Blend the mid-levels of random pairs of windows with both hands; all decoded from the end of the first one.

    Raises:
        InputError: there are not two such windows, or no pair is asked for.
    """
    if pairs < 1:
        raise InputError(f"the number of pairs must be at least 1, found {pairs}")
    windows = [
        recording.motion.part(slice(start, start + OBSERVED))
        for recording in recordings
        for start in range(0, len(recording) - OBSERVED + 1, OBSERVED)
        if recording.motion.present[start : start + OBSERVED].all()
    ]
    if len(windows) < 2:
        raise InputError(f"blending needs two stretches of {OBSERVED} frames with both hands; found {len(windows)}")
    rng = np.random.Generator(np.random.Philox(seed))
    shares = np.linspace(0, 1, STEPS)
    found = []
    for _ in range(pairs):
        first, second = rng.choice(len(windows), 2, replace=False)
        joints, known = forecaster.blended(windows[first], windows[second], shares)
        joints = joints[:, :, known]
        left, right = (np.linalg.norm(joints - end, axis=-1).mean((1, 2)) for end in (joints[0], joints[-1]))
        apart, half = left[-1], STEPS // 2
        monotone = (np.diff(left) > 0).all() and (np.diff(right) < 0).all()
        found.append((monotone, apart, left[half] / apart, (left[half] + right[half]) / apart))
    return BlendScore(pairs, *(float(value) for value in np.mean(found, 0)))
