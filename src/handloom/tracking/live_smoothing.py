"""Smoothing of live hands."""

import numpy as np
from jaxtyping import Float

from handloom.geometry import Camera
from handloom.skeleton import HANDS
from handloom.smoothing import OneEuro

SMOOTHING_BETA = 5.0
"""One-Euro: the cutoff rises by so many Hz for every metre per second."""


class LiveSmoothing:
    """A One-Euro filter per hand; keypoints become the projection of the joints. Without a cutoff, nothing happens."""

    def __init__(self, camera: Camera, cutoff_hz: float | None) -> None:
        self.camera = camera
        self._filters = None if cutoff_hz is None else [OneEuro(cutoff_hz, SMOOTHING_BETA) for _ in HANDS]

    def push(
        self, time_s: float, hand: int, joints_m: Float[np.ndarray, "21 3"], keypoints_px: Float[np.ndarray, "21 2"]
    ) -> None:
        """Smooth the newest joints of a hand that is there, in place."""
        if self._filters is not None:
            joints_m[:] = self._filters[hand].push(time_s, joints_m)
            keypoints_px[:], _ = self.camera.project(joints_m)
