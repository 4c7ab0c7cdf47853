"""Which frames HTT sees as one sequence: every second one at 30 frames per second, in two lanes, each frame once.

HTT was trained on every second frame of 30 per second, and is tested on both parities (docs of `estimators.htt`).
For other rates the lanes follow from time, not from counting: a frame joins the lane whose last frame lies nearest to
1/15 s before it, or opens a new lane if the next frame would be nearer. At constant rates that is every n-th frame.
"""

import numpy as np
from jaxtyping import Float, Int

STEP_S = 2 / 30
"""Between frames of a lane: spacing 2 at 30 frames per second."""

_INTERVALS = 15


class Lanes:
    """Deals frames to lanes as they come, from the past alone."""

    def __init__(self, step_s: float = STEP_S) -> None:
        self.step_s = step_s
        self._last: list[float] = []
        self._intervals: list[float] = []
        self._before: float | None = None

    def push(self, time_s: float) -> int:
        """The lane of the next frame; times must increase."""
        if self._before is not None:
            self._intervals = [*self._intervals[1 - _INTERVALS :], time_s - self._before]
        self._before = time_s
        lane = len(self._last)
        if self._last:
            gaps = time_s - np.array(self._last)
            late_enough = gaps >= self.step_s - float(np.median(self._intervals)) / 2
            if late_enough.any():
                lane = int(np.where(late_enough, np.abs(gaps - self.step_s), np.inf).argmin())
        if lane == len(self._last):
            self._last.append(time_s)
        self._last[lane] = time_s
        return lane


def lanes_of(times_s: Float[np.ndarray, "T"]) -> Int[np.ndarray, "T"]:
    """The lane of every frame."""
    lanes = Lanes()
    return np.array([lanes.push(float(time_s)) for time_s in times_s], dtype=np.int64)
