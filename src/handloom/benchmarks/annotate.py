"""How fast annotation is, stage by stage, and how many machines a large capture takes."""

import math
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from handloom.annotate.annotate import annotate
from handloom.annotate.options import AnnotateOptions
from handloom.annotate.pool import local_engine
from handloom.annotate.run import STAGES
from handloom.errors import InputError
from handloom.rows import Rows
from handloom.threads import exit_with_parent, single_threaded_children


def measure_annotate(
    capture: Path, options: AnnotateOptions, images: int, hours: float, cores: int
) -> tuple[str, Rows]:
    """Title and rows: frames and pictures per second on one core, by stage; cores and machines for so many pictures.

    Everything is done once, in this order, in a process of its own. Times are those of the processor, not of the
    clock, so that a busy machine measures the same. What costs the same however long a recording is, the start of the
    detector and the comparison of cameras, weighs more in a short capture.

    Args:
        capture: see `annotate`.
        options: of the annotation.
        images: pictures to annotate, of all cameras.
        hours: in which they are to be done.
        cores: of one machine.

    Raises:
        InputError, CalibrationError: the capture cannot be annotated, or a number is not positive.
    """
    if not (images > 0 and hours > 0 and cores > 0):
        raise InputError(f"images, hours and cores must be positive, found {images}, {hours:g} and {cores}")
    # Linear algebra takes as many threads as were allowed when it was loaded.
    with single_threaded_children(), ProcessPoolExecutor(1, get_context("spawn"), exit_with_parent) as alone:
        seconds, frames, pictures = alone.submit(_measured, capture, options).result()
    rows = capacity(seconds, frames, pictures, images, hours, cores)
    return f"{capture}: {frames} frames, {pictures} pictures, on one core", rows


def capacity(seconds: Mapping[str, float], frames: int, pictures: int, images: int, hours: float, cores: int) -> Rows:
    """Rates of stages that took so many seconds, and what `images` pictures take at these rates."""
    rows: Rows = []
    for stage, spent in [*seconds.items(), ("all stages", sum(seconds.values()))]:
        rates = f"{frames / spent:9,.1f} frames/s   {pictures / spent:9,.1f} pictures/s"
        rows.append((stage, f"{rates}   {100 * spent / sum(seconds.values()):5.1f} %"))
    core_s = images * sum(seconds.values()) / pictures
    needed = core_s / (3600 * hours)
    rows.append((f"{images:,} pictures", f"{core_s / 3600:,.0f} core-hours"))
    rows.append((f"in {hours:g} h", f"{math.ceil(needed):,} cores: {math.ceil(needed / cores):,} machines of {cores}"))
    return rows


def _measured(capture: Path, options: AnnotateOptions) -> tuple[dict[str, float], int, int]:
    """Seconds of every stage, frames and pictures."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage in STAGES:
            start = time.process_time()
            done = annotate(capture, Path(folder) / "store", options, engine=local_engine(1), until=stage)
            seconds[stage] = time.process_time() - start
    cameras = [camera for report in done.reports.values() for camera in report["cameras"].values()]
    frames = sum(report["frames"] for report in done.reports.values())
    return seconds, frames, sum(camera["pictures"] for camera in cameras)
