"""How fast tracking is, against the bare loop that everyone writes first."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import av

from handloom.errors import InputError
from handloom.estimators.mediapipe import MediaPipeDetector
from handloom.rows import Rows
from handloom.tracking.job import Job
from handloom.tracking.options import TrackOptions
from handloom.tracking.outputs import Outputs
from handloom.tracking.pipeline import run
from handloom.tracking.result import TrackResult
from handloom.video import open_source


def measure_track(video: Path, repetitions: int) -> tuple[str, Rows]:
    """Median frames/s of the bare loop, of tracking to Parquet, and of tracking with all outputs, in turns.

    All three read the whole file, build their own MediaPipe graph and run in this process; Python imports are not
    counted.
    """
    if repetitions < 1:
        raise InputError(f"the number of repetitions must be at least 1, found {repetitions}")
    with open_source(video) as source:
        frames = source.info.frame_count or 0
    with MediaPipeDetector():
        pass
    seconds: dict[str, list[float]] = {}
    stages: dict[str, list[float]] = {}
    ways: dict[str, Callable[[], TrackResult | None]] = {
        "bare loop (decode, MediaPipe, discard)": lambda: _bare_loop(video),
        "handloom track, Parquet only": lambda: _track(video, everything=False),
        "handloom track, overlay + report + Parquet": lambda: _track(video, everything=True),
    }
    for _ in range(repetitions):
        for name, way in ways.items():
            start = time.perf_counter()
            result = way()
            seconds.setdefault(name, []).append(time.perf_counter() - start)
        assert result is not None
        for stage, duration in result.summary()["timings_s"].items():
            stages.setdefault(stage, []).append(duration)
    bare = median(next(iter(seconds.values())))
    rows = [
        (name, f"{frames / median(times):6.1f} frames/s   {bare / median(times):.2f} x bare")
        for name, times in seconds.items()
    ]
    rows += [
        (f"  of which {stage}", f"{1000 * median(times) / frames:6.2f} ms/frame") for stage, times in stages.items()
    ]
    return f"{video.name}: {frames} frames, median of {repetitions}", rows


def _bare_loop(video: Path) -> None:
    with MediaPipeDetector() as detector, av.open(str(video)) as container:
        for frame in container.decode(video=0):
            detector._hands.process(frame.to_ndarray(format="rgb24"))


def _track(video: Path, everything: bool) -> TrackResult:
    with tempfile.TemporaryDirectory() as folder:
        outputs = Outputs(Path(folder), overwrite=True, overlay=everything, report=everything)
        return run(Job(str(video), TrackOptions()), outputs)
