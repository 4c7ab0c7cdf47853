"""The result folder: hands.parquet, overlay.mp4, report.html, run.json, and truth.parquet where a truth is given."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handloom.errors import OutputError
from handloom.formats.result import HANDS_FILE, RUN_FILE, TRUTH_FILE, write_json, write_track
from handloom.hands import HandTrack
from handloom.progress import Progress, silent
from handloom.tracking.result import TrackResult
from handloom.video import FrameSource, Recording, VideoWriter, file_digest, prefetch
from handloom.view.caption import Caption
from handloom.view.overlay import draw_hands
from handloom.view.report import write_report

OVERLAY, REPORT = "overlay.mp4", "report.html"
NAMES = (HANDS_FILE, TRUTH_FILE, OVERLAY, REPORT, RUN_FILE)


@dataclass(frozen=True)
class Outputs:
    """Where results go, and which are wanted. Poses and run.json always are."""

    folder: Path
    overwrite: bool = False
    overlay: bool = True
    report: bool = True

    def prepare(self) -> None:
        """Make sure that the results can be written, before any work is done.

        Raises:
            OutputError: the folder holds a result already and may not be overwritten, or cannot be written.
        """
        present = [path.name for path in self.written]
        if present and not self.overwrite:
            raise OutputError(
                f"{self.folder} already holds a result ({', '.join(present)}); choose another folder or add --overwrite"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".{os.getpid()}.part"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OutputError(f"cannot write to {self.folder}: {error.strerror}; choose another folder") from error

    def __enter__(self) -> None:
        """Nothing: `prepare` has looked already."""

    def __exit__(self, *_: object) -> None:
        # A failed run leaves no empty folder behind.
        with suppress(OSError):
            self.folder.rmdir()

    @property
    def written(self) -> list[Path]:
        """The result files that are there."""
        return [path for name in NAMES if (path := self.folder / name).exists()]

    def refuse_to_replace(self, *inputs: Path) -> None:
        """Raises OutputError if an input of the run is one of the files that it would write."""
        for path in inputs:
            if path.exists() and any((self.folder / name).resolve() == path.resolve() for name in NAMES):
                raise OutputError(f"{path} is the input of this run and would be overwritten; choose another folder")

    @property
    def live_overlay(self) -> Path | None:
        """Where live tracking writes its video, drawn as it comes."""
        return self.folder / OVERLAY if self.overlay else None

    def write(self, result: TrackResult, frames: FrameSource | None) -> None:
        """Write everything; run.json comes last, so where it exists the result is complete."""
        watch = result.job.stopwatch
        # Files left over from an earlier result would pass for parts of this one.
        for name in NAMES:
            if not (name == OVERLAY and result.overlay_written):
                (self.folder / name).unlink(missing_ok=True)
        with watch.stage("parquet"):
            write_track(self.folder / HANDS_FILE, result.track, extra={"partial": result.partial})
            if result.truth is not None:
                write_track(self.folder / TRUTH_FILE, result.truth)
        if self.overlay and isinstance(frames, Recording):
            job = result.job
            with watch.stage("overlay"):
                stopped = write_overlay(
                    self.folder / OVERLAY, frames, result.track, job.progress, lambda: job.interruption.requested
                )
            if stopped is not None:
                result.interrupted = True
                result.notes.append(f"the overlay was interrupted and ends before frame {stopped}")
        if result.input_path.is_file():
            result.input_sha256 = file_digest(result.input_path)
        if self.report:
            with watch.stage("report"):
                draw = FrameDrawing(result.track)
                for index, image in result.samples:
                    draw(image, index)
                write_report(self.folder / REPORT, result.track, result.summary(), result.samples, result.truth)
        write_json(self.folder / RUN_FILE, result.summary())


def write_overlay(
    path: Path,
    frames: Recording,
    track: HandTrack,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> int | None:
    """Draw a record over its video, frame for frame, at the original times and size.

    Returns:
        The frame that it ends before, if it was stopped.
    """
    info = frames.info
    draw = FrameDrawing(track)
    with VideoWriter(path, info.width, info.height, info.time_base, info.frame_rate) as writer:
        for frame in prefetch(frames):
            if frame.index >= len(track):
                break
            if should_stop():
                return frame.index
            image = frame.image.copy()
            draw(image, frame.index)
            writer.write(image, frame.pts)
            progress("overlay", frame.index + 1, len(track))
    return None


class FrameDrawing:
    """Draws hands, object and action of a frame into its picture, which may have been scaled down."""

    def __init__(self, track: HandTrack) -> None:
        self._track = track
        self._keypoints = track.keypoints_px
        self._caption: Caption | None = None
        self._size = (0, 0)

    def __call__(self, image: np.ndarray, index: int) -> None:
        """Draw frame `index` onto its RGB picture, in place."""
        if image.shape[:2] != self._size:
            self._fit(*image.shape[:2])
        assert self._caption is not None
        draw_hands(image, self._keypoints[index], self._track.valid[index], self._track.confidence[index])
        self._caption.draw(image, index)

    def _fit(self, height: int, width: int) -> None:
        track, self._size = self._track, (height, width)
        scale = 1.0 if track.camera is None else width / track.camera.width
        self._keypoints = track.keypoints_px if scale == 1 else (track.keypoints_px + 0.5) * scale - 0.5
        self._caption = Caption(track, self._keypoints, width, height)
