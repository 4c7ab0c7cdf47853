"""What every way of tracking is handed: the options, and how to report, time and stop the work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from handloom.progress import Progress, silent
from handloom.tracking.interrupt import Interruption
from handloom.tracking.options import TrackOptions


class Stopwatch:
    """Seconds spent per named stage, and since the start."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._start = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(eq=False)
class Job:
    """One tracking run."""

    source: str | int
    options: TrackOptions
    progress: Progress = silent
    interruption: Interruption = field(default_factory=Interruption)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def should_stop(self, frames_done: int) -> bool:
        """Whether the user interrupted or the wanted number of frames is reached."""
        return self.interruption.requested or frames_done == self.options.max_frames
