"""A result, and the folder for what is made of it, which is a result again."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from handloom import __version__
from handloom.errors import InputError, OutputError
from handloom.formats.atomic import make_folder
from handloom.formats.result import HANDS_FILE, RUN_FILE, TRUTH_FILE, read_run, read_track, write_json, write_track
from handloom.hands import HandTrack
from handloom.metrics.against_truth import compare
from handloom.progress import Progress, silent
from handloom.rows import Rows
from handloom.tracking.job import Stopwatch
from handloom.tracking.outputs import NAMES, OVERLAY, REPORT, FrameDrawing, write_overlay
from handloom.tracking.result import hand_counts, truth_summary
from handloom.video import FrameLookup, Recording, open_source
from handloom.view.report import write_report

SAMPLES = 8


@dataclass(frozen=True, eq=False)
class Pages:
    """How a new result is made to be looked at.

    Attributes:
        video: the video, where it is not where run.json says.
        overlay: write overlay.mp4, where there is a video.
        report: write report.html.
        watch: of the whole run.
    """

    video: Path | None = None
    overlay: bool = True
    report: bool = True
    watch: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True)
class Place:
    """A result, and where what is made of it goes. Raises OutputError on construction if it may not go there."""

    result: Path
    out: Path
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.out.exists() and not self.out.is_dir():
            raise OutputError(f"{self.out} is a file; choose a folder")
        if self.out.exists() and any(self.out.iterdir()) and not self.overwrite:
            raise OutputError(f"{self.out} already holds something; choose another folder or add --overwrite")
        if self.out.resolve() == self.folder.resolve():
            raise OutputError(f"{self.out} is the input of this run; choose another folder")

    @property
    def folder(self) -> Path:
        """The folder of the result."""
        return self.result if self.result.is_dir() else self.result.parent

    def run(self) -> dict[str, Any]:
        """What the result says about itself; empty without run.json."""
        return read_run(self.folder) if (self.folder / RUN_FILE).is_file() else {}

    def truth(self, track: HandTrack) -> HandTrack | None:
        """What is true of the track's frames; a track may end before its result does."""
        path = self.folder / TRUTH_FILE
        return read_track(path)[: len(track)] if path.is_file() else None

    def rows(self) -> Rows:
        """For the terminal: where the results are, and the page to open."""
        page = self.out / REPORT
        return [("results", str(self.out)), *([("page", str(page))] if page.is_file() else [])]

    def write(
        self,
        track: HandTrack,
        made: Mapping[str, Any],
        notes: list[str],
        pages: Pages | None = None,
        progress: Progress = silent,
        more: Callable[[], None] = lambda: None,
    ) -> None:
        """hands.parquet, the truth if there is one, overlay and report, `more`, and run.json, which comes last.

        run.json is that of the result with what was done to it: counts, truth, times and notes are those of now.

        Raises:
            InputError: a video is given that is none of this track.
            OutputError: something cannot be written.
        """
        pages = pages or Pages(overlay=False, report=False)
        watch, run, truth = pages.watch, self.run(), self.truth(track)
        run |= {"handloom": __version__, "python": sys.version.split()[0], "started": watch.started, **made}
        run |= {"result": str(self.result.absolute()), "counts": {**run.get("counts", {}), **hand_counts(track)}}
        run["notes"] = [*run.get("notes", []), *notes]
        if truth is not None:
            source = (run.get("truth") or {}).get("source")
            run["truth"] = truth_summary(truth, compare(track, truth), source)
        with _frames_of(track, run, pages) as frames:  # an unfit video is refused before anything is written
            make_folder(self.out)
            for name in NAMES:  # left over from an earlier result they would pass for parts of this one
                (self.out / name).unlink(missing_ok=True)
            write_track(self.out / HANDS_FILE, track)
            if truth is not None:
                write_track(self.out / TRUTH_FILE, truth)
            samples = [] if frames is None or not pages.report else _samples(track, frames)
            if pages.overlay and frames is not None:
                with watch.stage("overlay"):
                    write_overlay(self.out / OVERLAY, frames, track, progress)
        if pages.report:
            with watch.stage("report"):
                write_report(self.out / REPORT, track, {**run, "timings_s": _timings(watch)}, samples, truth)
        more()
        write_json(self.out / RUN_FILE, {**run, "timings_s": _timings(watch)})


def video_of(run: Mapping[str, Any]) -> Path | None:
    """The video that run.json names, if it is still there."""
    source = run.get("input", {})
    path = Path(source.get("path", ""))
    return path if source.get("frames") and path.exists() else None


@contextmanager
def _frames_of(track: HandTrack, run: Mapping[str, Any], pages: Pages) -> Iterator[Recording | None]:
    """The pictures of a track, if they are wanted and known; hands in the world have no place in them."""
    path = pages.video or video_of(run)
    drawable = track.frame == "camera" and bool(np.isfinite(track.keypoints_px[track.valid]).all())
    if path is None or not drawable or not (pages.overlay or pages.report):
        yield None
        return
    with open_source(path, mirrored=bool(run.get("arguments", {}).get("mirrored"))) as opened:
        if isinstance(opened, Recording) and (opened.info.frame_count or 0) >= len(track):
            yield opened
        elif pages.video is None:
            yield None
        else:
            raise InputError(
                f"{path} has {opened.info.frame_count} frames, the result {len(track)}; give its own video"
            )


def _samples(track: HandTrack, frames: Recording) -> list[tuple[int, np.ndarray]]:
    rows = np.flatnonzero(track.any_hand)
    rows = rows if len(rows) else np.arange(len(track))
    look, draw, samples = FrameLookup(frames), FrameDrawing(track), []
    for index in np.unique(rows[np.linspace(0, len(rows) - 1, SAMPLES).round().astype(int)]):
        if (picture := look(int(index))) is not None:
            image = picture.copy()
            draw(image, int(index))
            samples.append((int(index), image))
    return samples


def _timings(watch: Stopwatch) -> dict[str, float]:
    return {name: round(seconds, 4) for name, seconds in [*watch.seconds.items(), ("total", watch.elapsed_s)]}
