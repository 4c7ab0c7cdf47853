"""`track`: from a video, or another tracker's joints, to a `HandTrack` and a result folder."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from handloom.errors import InputError, MissingDependencyError
from handloom.formats.result import HANDS_FILE, TRUTH_FILE
from handloom.hands import HandTrack
from handloom.progress import Progress, silent
from handloom.tracking.htt import track_htt
from handloom.tracking.job import Job
from handloom.tracking.live import track_live
from handloom.tracking.options import TrackOptions
from handloom.tracking.outputs import Outputs
from handloom.tracking.recording import track_recording
from handloom.tracking.result import TrackResult
from handloom.tracking.stored import track_stored
from handloom.tracking.truth import read_truth, truth_of_frames, truth_rows
from handloom.video import FrameSource, Recording, open_source


def track(
    source: str | Path | int,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    overlay: bool = True,
    report: bool = True,
    truth: str | Path | HandTrack | None = None,
    progress: Progress = silent,
    **options: Any,
) -> HandTrack:
    """Track both hands in a video and return the record; with `out`, write the result folder too.

    Args:
        source: video file, image folder, glob, one image, webcam index, stream URL, or (with the estimator "joints"
            and no video) the file of stored joints itself.
        out: folder for hands.parquet, overlay.mp4, report.html and run.json.
        overwrite: replace a result that is already there.
        overlay: write overlay.mp4.
        report: write report.html.
        truth: what is known to be true, to compare with: a record, or where one is (see `tracking.truth.read_truth`).
        progress: called after every frame.
        **options: the fields of `TrackOptions`.

    Raises:
        InputError, CalibrationError, OutputError, MissingDependencyError: each says what to do.
    """
    outputs = None if out is None else Outputs(Path(out).expanduser(), overwrite, overlay, report)
    source = source if isinstance(source, int) else str(source)
    for name in ("camera", "joints", "weights", "detector"):
        if options.get(name) is not None:
            options[name] = Path(options[name])
    truth = str(truth) if isinstance(truth, Path) else truth
    return run(Job(source, TrackOptions(**options), progress), outputs, truth).track


def run(job: Job, outputs: Outputs | None = None, truth: str | HandTrack | None = None) -> TrackResult:
    """The same as `track`, with all that is known about the run."""
    options, named = job.options, truth if isinstance(truth, str) else None
    if outputs is not None:
        outputs.prepare()
        outputs.refuse_to_replace(Path(str(job.source)), *options.files)
        if named is not None:
            outputs.refuse_to_replace(Path(named), Path(named) / HANDS_FILE, Path(named) / TRUTH_FILE)
    if named is not None:
        truth = read_truth(named, job.source)
    assert not isinstance(truth, str)
    with job.interruption, outputs or nullcontext(), _frames(job) as frames:
        if truth is not None and frames is not None and frames.info.times_s is not None:
            truth_rows(truth, frames.info.times_s[: options.max_frames])
        if options.estimator == "joints":
            result = track_stored(options.joints or Path(str(job.source)).expanduser(), frames, job)
        elif isinstance(frames, Recording):
            result = _RECORDINGS[options.estimator](frames, job)
        elif options.estimator in ("svegonet", "ghtt"):
            raise InputError(f"{options.estimator} tracks recordings; {job.source} is live: use mediapipe or htt")
        else:
            assert frames is not None
            result = track_live(frames, job, None if outputs is None else outputs.live_overlay)
        if truth is not None:
            result.truth_place = named
            try:
                result.truth = truth_of_frames(truth, result.track)
            except InputError as failure:
                # What was tracked is worth more than the comparison.
                result.notes.append(f"not compared with the truth: {failure}")
        if outputs is not None:
            outputs.write(result, frames)
    return result


def _networks(frames: Recording, job: Job) -> TrackResult:
    """Estimators that need torch."""
    name = job.options.estimator
    try:
        from handloom.tracking.ghtt import track_ghtt
        from handloom.tracking.svegonet import track_svegonet
    except ImportError as failure:
        raise MissingDependencyError(
            f"the estimator {name} needs torch, which cannot be imported ({failure}); "
            "install it with: pip install '.[torch]' in a clone of Handloom"
        ) from failure
    return track_svegonet(frames, job) if name == "svegonet" else track_ghtt(frames, job)


_RECORDINGS = {"mediapipe": track_recording, "htt": track_htt, "svegonet": _networks, "ghtt": _networks}


def _frames(job: Job) -> AbstractContextManager[FrameSource | None]:
    options = job.options
    if options.estimator == "joints" and options.joints is None:
        return nullcontext()
    return open_source(job.source, live=options.live, image_rate=options.image_rate, mirrored=options.mirrored)
