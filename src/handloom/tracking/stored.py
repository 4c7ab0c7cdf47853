"""Tracking with the joints that another tracker has stored, with or without the video they were made from."""

from pathlib import Path

import numpy as np

from handloom.estimators.joints import FLAT, rows_in_video, track_from_joints
from handloom.formats.cameras import read_camera
from handloom.formats.joints import StoredJoints, read_joints
from handloom.hands import CameraSource
from handloom.tracking.camera_choice import CameraChoice, choose_camera
from handloom.tracking.job import Job
from handloom.tracking.options import TrackOptions
from handloom.tracking.postprocess import postprocessed
from handloom.tracking.recording import frame_times
from handloom.tracking.result import TrackResult
from handloom.tracking.samples import FrameSamples
from handloom.video import FrameSource, prefetch


def track_stored(path: Path, frames: FrameSource | None, job: Job) -> TrackResult:
    """Bring stored joints into a record.

    Args:
        path: JSON, NPZ or Parquet, see docs/formats.md.
        frames: the video that the joints belong to, or None.
        job: what to do.

    Raises:
        InputError: the joints cannot be read, do not fit the video, or cannot be placed in camera space.
    """
    options = job.options
    stored = read_joints(path, order=options.joint_order, unit=options.joint_unit, space=options.joint_space)
    samples = FrameSamples()
    if frames is None:
        choice = _camera_without_video(options)
        rows, times_s = _own_times(stored, options.image_rate)
    else:
        choice = choose_camera(options, frames.info.width, frames.info.height)
        times_s = _video_times(frames, samples, job)
        rows = rows_in_video(stored, times_s)
    size = options.hand_size_mm
    track = track_from_joints(
        stored,
        rows,
        times_s,
        choice.camera if choice else None,
        choice.source if choice else CameraSource.UNKNOWN,
        None if size is None else size / 1000,
    )
    track = postprocessed(track, options)
    notes = []
    if stored.joints_m is None:
        notes.append(FLAT)
    if stored.zero_hands:
        notes.append(f"{stored.zero_hands} hands were all zeros in {path.name} and count as missing")
    return TrackResult(
        track=track,
        job=job,
        estimator=f"joints of {path.name}",
        camera=choice,
        info=frames.info if frames else None,
        problems=list(frames.problems) if frames else [],
        partial=job.interruption.requested,
        notes=notes,
        samples=samples.choose(track.any_hand),
    )


def _camera_without_video(options: TrackOptions) -> CameraChoice | None:
    if options.camera is None:
        return None
    camera = read_camera(options.camera, name=options.camera_name)
    return CameraChoice(camera, CameraSource.CALIBRATED, f"calibration file {options.camera}")


def _own_times(stored: StoredJoints, frame_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and frame times where no video gives them: numbered rows leave missing frames empty."""
    if stored.frames is None:
        assert stored.times_s is not None
        return np.arange(len(stored)), stored.times_s
    if not len(stored):
        return stored.frames, np.zeros(0)
    if stored.times_s is None:
        return stored.frames, np.arange(stored.frames[-1] + 1) / frame_rate
    first, last = stored.frames[[0, -1]]
    return stored.frames - first, np.interp(np.arange(first, last + 1), stored.frames, stored.times_s)


def _video_times(frames: FrameSource, samples: FrameSamples, job: Job) -> np.ndarray:
    """Read through the video once: exact times, unreadable frames, sample pictures."""
    times: dict[int, float] = {}
    stop = job.options.max_frames
    with job.stopwatch.stage("decode"):
        for frame in prefetch(frames):
            if job.should_stop(len(times)):
                stop = frame.index
                break
            times[frame.index] = frame.time_s
            samples.push(frame.index, frame.image)
            job.progress("track", len(times), frames.info.frame_count)
    return frame_times(frames.info, times, stop)
