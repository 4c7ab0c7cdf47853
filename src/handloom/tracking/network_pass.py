"""A recording's pictures through a network, a few at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float, Int, UInt8

from handloom.errors import InputError
from handloom.estimators.htt_picture import PinholePicture
from handloom.tracking.job import Job
from handloom.tracking.recording import frame_times
from handloom.tracking.samples import FrameSamples
from handloom.video import Recording, prefetch

CHUNK = 16
"""Pictures that are held at a time."""
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Passed(Generic[Found]):
    """What a network said of a recording.

    Attributes:
        found: of chunks of decoded frames, in order.
        rows: numbers of those frames.
        times_s: of all frames before the end, decoded or not.
        samples: pictures for the report.
        interrupted: whether the user ended it early.
    """

    found: list[Found]
    rows: Int[np.ndarray, "n"]
    times_s: Float[np.ndarray, "T"]
    samples: FrameSamples
    interrupted: bool


def through_network(
    frames: Recording,
    job: Job,
    picture: PinholePicture,
    compute: Callable[[UInt8[np.ndarray, "n H W 3"]], Found],
) -> Passed[Found]:
    """Show a network every frame of a recording. Of each only what it says is kept; pictures only `CHUNK` at a time.

    Raises:
        InputError: not one frame can be decoded.
        KeyboardInterrupt: the user interrupted before the first.
    """
    info, options = frames.info, job.options
    samples, times = FrameSamples(), dict[int, float]()
    found: list[Found] = []
    waiting: list[np.ndarray] = []
    stop: int | None = None

    def compute_waiting() -> None:
        if waiting:
            with job.stopwatch.stage("backbone"):
                found.append(compute(np.stack(waiting)))
            waiting.clear()

    for frame in prefetch(frames):
        if job.should_stop(len(times)):
            stop = frame.index
            break
        waiting.append(picture.view(frame.image))
        times[frame.index] = frame.time_s
        samples.push(frame.index, frame.image)
        if len(waiting) == CHUNK:
            compute_waiting()
        job.progress("track", len(times), info.frame_count)
    if not times:
        if not job.interruption.requested:
            raise InputError(f"not one frame of {job.source} can be decoded")
        raise KeyboardInterrupt
    compute_waiting()
    interrupted = stop is not None and len(times) != options.max_frames
    if interrupted:
        # This request is served; the next one is for what comes now.
        job.interruption.requested = False
    rows = np.array(sorted(times)) if info.times_s is not None else np.arange(len(times))
    return Passed(found, rows, frame_times(info, times, stop), samples, interrupted)
