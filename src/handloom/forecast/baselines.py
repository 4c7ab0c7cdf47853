"""The two forecasts that cost nothing. Every table of forecasts shows them: a model that is no better knows nothing."""

import numpy as np
from jaxtyping import Float

FITTED_FRAMES = 5
"""Frames through which the velocity is fitted: of two, noise would make most of it."""


def static(joints_m: Float[np.ndarray, "T 2 21 3"], frames: int) -> Float[np.ndarray, "frames 2 21 3"]:
    """The hands stay as they were last."""
    return np.repeat(joints_m[-1:], frames, 0)


def constant_velocity(joints_m: Float[np.ndarray, "T 2 21 3"], frames: int) -> Float[np.ndarray, "frames 2 21 3"]:
    """Every joint goes on straight, as fast as a line through its last frames says."""
    last = joints_m[-FITTED_FRAMES:].astype(np.float64)
    t = np.arange(len(last)) - (len(last) - 1) / 2
    velocity = np.tensordot(t, last, (0, 0)) / max(float(t @ t), 1.0)
    return joints_m[-1] + velocity * np.arange(1, frames + 1)[:, None, None, None]
