"""What a tracking run produces beside the poses, and its summary for run.json."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from handloom import __version__
from handloom.hands import HandTrack, ScaleSource
from handloom.metrics.against_truth import Comparison, compare
from handloom.metrics.labels import object_shares
from handloom.metrics.track import hand_size
from handloom.skeleton import LEFT, RIGHT
from handloom.tracking.camera_choice import CameraChoice
from handloom.tracking.job import Job
from handloom.video import FrameProblem, VideoInfo

_SCALE_NOTES = {
    ScaleSource.HAND_SIZE: "the given distance from wrist to middle knuckle",
    ScaleSource.TRACKER: "the size that the tracker gives an average hand",
    ScaleSource.MEASURED: "several cameras or sensors",
}


@dataclass(eq=False)
class TrackResult:
    """A record with everything that a user should know about how it came about.

    `partial`: poses of later frames are missing. `interrupted`: by the user, in any stage. `overlay_written`: by live
    tracking, frame by frame. `truth`: one row for every frame of the track; `truth_place`: where it came from.
    """

    track: HandTrack
    job: Job
    estimator: str
    camera: CameraChoice | None = None
    info: VideoInfo | None = None
    problems: Sequence[FrameProblem] = ()
    duplicates_removed: int = 0
    dropped: int = 0
    partial: bool = False
    interrupted: bool = False
    overlay_written: bool = False
    notes: list[str] = field(default_factory=list)
    samples: list[tuple[int, np.ndarray]] = field(default_factory=list)
    input_sha256: str | None = None
    truth: HandTrack | None = None
    truth_place: str | None = None

    @cached_property
    def comparison(self) -> Comparison | None:
        """The track against the truth, where one is given."""
        return None if self.truth is None else compare(self.track, self.truth)

    def summary(self) -> dict[str, Any]:
        """The content of run.json; the report shows the same."""
        return {
            "handloom": __version__,
            "python": sys.version.split()[0],
            "platform": platform.platform(),
            "started": self.job.stopwatch.started,
            "arguments": {"source": self.job.source, **asdict(self.job.options)},
            "input": self._input(),
            "estimator": self.estimator,
            "camera": self.camera.describe()
            if self.camera
            else {"source": str(self.track.camera_source), "note": "no camera"},
            "scale": self._scale(),
            "smoothing": self._smoothing(),
            "counts": {
                **hand_counts(self.track),
                "skipped": sum(problem.index is not None for problem in self.problems),
                "dropped": self.dropped,
                "duplicates_removed": self.duplicates_removed,
            },
            "objects": [share._asdict() for share in object_shares(self.track)],
            "actions": [asdict(action) for action in self.track.actions],
            "truth": self._truth(),
            "problems": [problem._asdict() for problem in self.problems],
            "notes": self.notes,
            "partial": self.partial,
            "timings_s": {
                name: round(seconds, 4)
                for name, seconds in [
                    *self.job.stopwatch.seconds.items(),
                    ("total", self.job.stopwatch.elapsed_s),
                ]
            },
        }

    @property
    def input_path(self) -> Path:
        """Where the source lies, if it is a file or folder: absolute, so that it is found from anywhere."""
        return Path(str(self.job.source)).expanduser().absolute()

    def _truth(self) -> dict[str, Any] | None:
        if self.truth is None or self.comparison is None:
            return None
        return truth_summary(self.truth, self.comparison, self.truth_place)

    def _input(self) -> dict[str, Any]:
        if self.info is None:
            return {"path": str(self.input_path), "sha256": self.input_sha256}
        return {
            "path": str(self.input_path) if self.input_path.exists() else self.info.path,
            "sha256": self.input_sha256,
            "width": self.info.width,
            "height": self.info.height,
            "frame_rate": self.info.frame_rate,
            "frames": self.info.frame_count,
            "duration_s": self.info.duration_s,
            "codec": self.info.codec,
            "rotation_deg": self.info.rotation_deg,
            "variable_frame_rate": self.info.variable_frame_rate,
        }

    def _scale(self) -> dict[str, Any]:
        size = hand_size(self.track)
        known = bool(np.isfinite(size).any())
        return {
            "source": str(self.track.scale_source),
            "hand_size_mm": float(np.nanmedian(size)) * 1000 if known else None,
            "note": _SCALE_NOTES[self.track.scale_source],
        }

    def _smoothing(self) -> str:
        parts = []
        if self.job.options.smooth_hz is not None:
            causal = self.info is not None and self.info.frame_count is None
            kind = "One-Euro" if causal else "zero-phase"
            parts.append(f"{kind}, {self.job.options.smooth_hz:g} Hz")
        if self.job.options.constant_bones:
            parts.append("constant bone lengths")
        return ", ".join(parts) or "off"


def hand_counts(track: HandTrack) -> dict[str, int]:
    """In how many frames there are hands, as run.json says it."""
    present = track.present
    return {
        "frames": len(track),
        "frames_with_hand": int(present.any(1).sum()),
        "frames_with_both": int(present.all(1).sum()),
        "left": int(present[:, LEFT].sum()),
        "right": int(present[:, RIGHT].sum()),
    }


def truth_summary(truth: HandTrack, comparison: Comparison, source: str | None) -> dict[str, Any]:
    """How near a track is to the truth, as run.json says it."""
    return {"source": source, "frames_with_hand": int(truth.any_hand.sum()), **comparison.summary()}
