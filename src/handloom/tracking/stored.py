"""Tracking with the joints that another tracker has stored, with or without the video they were made from."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from handloom.errors import InputError
from handloom.estimators.joints import FLAT, rows_in_video, track_from_joints
from handloom.formats.cameras import read_camera
from handloom.formats.joints import StoredJoints, read_joints
from handloom.formats.result import is_track, read_track
from handloom.hands import CameraSource, HandTrack
from handloom.tracking.camera_choice import CameraChoice, choose_camera
from handloom.tracking.job import Job
from handloom.tracking.options import TrackOptions
from handloom.tracking.postprocess import postprocessed
from handloom.tracking.recording import frame_times
from handloom.tracking.result import TrackResult
from handloom.tracking.samples import FrameSamples
from handloom.video import FrameSource, prefetch

MAX_EMPTY_FRAMES = 1_000_000
"""More frames without joints than this, and the frame numbers are wrong."""


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
    own = read_track(path) if is_track(path) else None
    samples = FrameSamples()
    stop: int | None = None
    if frames is None:
        refused = [name for name in ("fov", "mirrored", "max_frames") if getattr(options, name)]
        if refused:
            raise InputError(f"without a video, joints cannot be combined with {', '.join(refused)}")
        choice = _own_camera(own, options) or _camera_without_video(options)
        rows, times_s = _own_times(stored, options.image_rate)
    else:
        if options.mirrored:
            raise InputError("stored joints belong to the pictures as they are; they cannot be combined with mirrored")
        choice = _own_camera(own, options) or choose_camera(options, frames.info.width, frames.info.height, job.source)
        times_s, stop = _video_times(frames, samples, job)
        rows = rows_in_video(stored, times_s)
        stored, rows, times_s = _before(stop, stored, rows, times_s)
    track = track_from_joints(
        stored,
        rows,
        times_s,
        choice.camera if choice else None,
        choice.source if choice else CameraSource.UNKNOWN,
    )
    if own is not None:
        track = _with_knowledge_of(own, track)
    track = postprocessed(track, options)
    notes = []
    interrupted = stop is not None and stop != options.max_frames
    if interrupted:
        job.interruption.requested = False
    if stored.joints_m is None:
        notes.append(FLAT)
    unplaced = int((stored.valid.any(-1) & ~track.present[rows]).sum())
    if unplaced:
        notes.append(f"{unplaced} hands could not be placed: their depth is not determined, or no ray reaches them")
    if stored.zero_hands:
        notes.append(f"{stored.zero_hands} hands were all zeros in {path.name} and count as missing")
    return TrackResult(
        track=track,
        job=job,
        estimator=f"joints of {path.name}",
        camera=choice,
        info=frames.info if frames else None,
        problems=list(frames.problems) if frames else [],
        partial=interrupted,
        interrupted=interrupted,
        notes=notes,
        samples=samples.choose(track.any_hand),
    )


def _own_camera(own: HandTrack | None, options: TrackOptions) -> CameraChoice | None:
    """The camera of a record of ours, unless the user names another one."""
    if own is None or own.camera is None or options.camera is not None or options.fov is not None:
        return None
    return CameraChoice(own.camera, own.camera_source, f"{own.camera_source}, as in the stored record")


def _with_knowledge_of(own: HandTrack, track: HandTrack) -> HandTrack:
    """What a record of ours knows beyond joints."""
    part = own[: len(track)]
    track = replace(track, scale_source=own.scale_source, actions=part.actions)
    if len(own) < len(track):
        return track
    return replace(
        track,
        world_from_camera=part.world_from_camera,
        object_names=own.object_names,
        object_probabilities=part.object_probabilities,
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
    first, last = int(stored.frames[0]), int(stored.frames[-1])
    if last > MAX_EMPTY_FRAMES + len(stored) and (stored.times_s is None or last - first > MAX_EMPTY_FRAMES):
        raise InputError(
            f"the joints leap from frame {first} to frame {last} with {len(stored)} rows; check the numbers"
        )
    if stored.times_s is None:
        return stored.frames, np.arange(last + 1) / frame_rate
    return stored.frames - first, np.interp(np.arange(first, last + 1), stored.frames, stored.times_s)


def _video_times(frames: FrameSource, samples: FrameSamples, job: Job) -> tuple[np.ndarray, int | None]:
    """Read through the video once: exact times, unreadable frames, sample pictures; and where reading stopped early."""
    times: dict[int, float] = {}
    stop = None
    with job.stopwatch.stage("decode"):
        for frame in prefetch(frames):
            if job.should_stop(len(times)):
                stop = frame.index
                break
            times[frame.index] = frame.time_s
            samples.push(frame.index, frame.image)
            job.progress("track", len(times), frames.info.frame_count)
    return frame_times(frames.info, times, None), stop


def _before(
    stop: int | None, stored: StoredJoints, rows: np.ndarray, times_s: np.ndarray
) -> tuple[StoredJoints, np.ndarray, np.ndarray]:
    """The part of the joints that belongs to the frames before `stop`."""
    if stop is None:
        return stored, rows, times_s
    kept = rows < stop
    arrays = ("valid", "confidence", "frames", "times_s", "keypoints_px", "joints_m")
    part = {name: array[kept] for name in arrays if (array := getattr(stored, name)) is not None}
    return replace(stored, **part), rows[kept], times_s[:stop]
