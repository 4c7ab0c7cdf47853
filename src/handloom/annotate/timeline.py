"""One clock for all cameras: which picture of every camera belongs to which frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from handloom.annotate.capture import CaptureCamera

_SAME_RATE = 1.02


@dataclass(frozen=True, eq=False)
class Timeline:
    """Frames of a recording: those of the reference camera, the slowest and of these the longest one.

    Attributes:
        times_s: of the frames, from the reference camera's first.
        index: (cameras, T) picture of every camera, -1 where it has none.
        offsets: frames by which each camera is late: what the reference sees in frame t, it sees in frame t + offset.
        reference: number of the reference camera.
    """

    times_s: Float[np.ndarray, "T"]
    index: Int[np.ndarray, "cameras T"]
    offsets: Int[np.ndarray, "cameras"]
    reference: int

    @property
    def step_s(self) -> float:
        """Time from frame to frame."""
        return float(np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else 1 / 30


def reference_camera(cameras: Sequence[CaptureCamera]) -> int:
    """Number of the slowest camera; of several, that with the most pictures."""
    slowest = min(camera.rate for camera in cameras)
    slow = [number for number, camera in enumerate(cameras) if camera.rate < slowest * _SAME_RATE]
    return max(slow, key=lambda number: (len(cameras[number]), -number))


def timeline(cameras: Sequence[CaptureCamera], offsets: Int[np.ndarray, "cameras"] | None = None) -> Timeline:
    """The clock of a capture, with cameras that are late by so many frames; by default none."""
    reference = reference_camera(cameras)
    times = cameras[reference].times_s - cameras[reference].times_s[0]
    late = np.zeros(len(cameras), int) if offsets is None else offsets - offsets[reference]
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / 30
    index = [nearest_pictures(camera, times + n * step) for camera, n in zip(cameras, late)]
    return Timeline(times, np.stack(index), late, reference)


def nearest_pictures(camera: CaptureCamera, times_s: Float[np.ndarray, "T"]) -> Int[np.ndarray, "T"]:
    """The pictures of a camera nearest to some times; -1 where none is within 0.6 of its frame interval."""
    own = camera.times_s - camera.times_s[0]
    after = np.clip(np.searchsorted(own, times_s), 0, len(own) - 1)
    before = np.maximum(after - 1, 0)
    index = np.where(np.abs(own[before] - times_s) <= np.abs(own[after] - times_s), before, after)
    return np.where(np.abs(own[index] - times_s) <= 0.6 / camera.rate, index, -1)
