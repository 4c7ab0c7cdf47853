"""Motion cut into clips for block P: t frames each, one behind the other."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from handloom.geometry.motion_features import HandMotion

SHORTEST = 2
"""Frames that a clip must have: of one there is no motion."""


class MotionClips(NamedTuple):
    """n clips of t frames, each a sequence of its own; where the motion ends early, its last frame is repeated."""

    features: Float[np.ndarray, "n t 153"]
    known: Bool[np.ndarray, "n t 42"]
    seen: Bool[np.ndarray, "n t"]


def motion_clips(motion: HandMotion, start: int, end: int, t: int) -> MotionClips:
    """The clips of frames `start` ... `end` - 1; a rest of a single frame is left out, unless it is all there is."""
    parts = [motion.part(slice(at, min(at + t, end))) for at in range(start, end, t)]
    if len(parts) > 1 and len(parts[-1].present) < SHORTEST:
        parts.pop()
    rows = [np.minimum(np.arange(t), len(part.present) - 1) for part in parts]
    return MotionClips(
        np.stack([part.features[chosen] for part, chosen in zip(parts, rows)]),
        np.stack([part.known[chosen].reshape(t, -1) for part, chosen in zip(parts, rows)]),
        np.stack([np.arange(t) < len(part.present) for part in parts]),
    )
