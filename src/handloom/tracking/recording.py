"""Tracking a recording: detect every frame, then decide hands, depth and smoothing with the whole clip in view."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from handloom.estimators.chunks import detect_recording
from handloom.estimators.detections import Detection, Detector
from handloom.estimators.handedness import Linker, assign_hands, detection_table
from handloom.estimators.mediapipe import MediaPipeDetector, mediapipe_name
from handloom.estimators.record import track_from_detections
from handloom.tracking.camera_choice import choose_camera
from handloom.tracking.job import Job
from handloom.tracking.postprocess import postprocessed
from handloom.tracking.result import TrackResult
from handloom.tracking.samples import FrameSamples
from handloom.video import Frame, Recording, VideoInfo


class Detected(NamedTuple):
    """What a detector saw in a recording.

    Attributes:
        table: `table[hand][frame]`, None where a hand was not seen.
        times_s: of the frames.
        duplicates: detections that were dropped.
        samples: pictures for the report.
        stopped: whether the user interrupted; the frames are then those before.
    """

    table: list[list[Detection | None]]
    times_s: np.ndarray
    duplicates: int
    samples: FrameSamples
    stopped: bool


def detect_hands(frames: Recording, job: Job, new_detector: Callable[[], Detector] | None = None) -> Detected:
    """A detector, by default MediaPipe, on every frame; which hand is which is decided over the whole clip."""
    info, options = frames.info, job.options
    samples = FrameSamples()
    times: dict[int, float] = {}
    total = info.frame_count
    if total is not None and options.max_frames is not None:
        total = min(total, options.max_frames)

    def on_frame(frame: Frame) -> None:
        samples.push(frame.index, frame.image)
        times[frame.index] = frame.time_s
        job.progress("track", len(times), total)

    with job.stopwatch.stage("detect"):
        if new_detector is None:
            mediapipe_name()  # says early if it is missing
        found, complete = detect_recording(
            frames,
            new_detector or (lambda: MediaPipeDetector(options.threshold)),
            options.detector_count,
            on_frame,
            lambda: job.interruption.requested,
            options.max_frames,
        )
    if not found:
        raise KeyboardInterrupt
    if complete is not None:
        # This request is served; the next one is for what comes now.
        job.interruption.requested = False
    linker = Linker()
    times_s = frame_times(info, times, options.max_frames if complete is None else complete)
    for index in sorted(found):
        linker.push(index, times[index], found[index])
    clashes = assign_hands(linker.tracklets)
    table = detection_table(linker.tracklets, len(times_s))
    return Detected(table, times_s, linker.duplicates + clashes, samples, complete is not None)


def track_recording(frames: Recording, job: Job) -> TrackResult:
    """Track a video file or pictures. An interrupted run gives the record of the frames done, marked partial."""
    info, options = frames.info, job.options
    choice = choose_camera(options, info.width, info.height, job.source)
    seen = detect_hands(frames, job)
    with job.stopwatch.stage("lift"):
        track = track_from_detections(seen.table, seen.times_s, choice.camera, choice.source)
        track = postprocessed(track, options)
    return TrackResult(
        track=track,
        job=job,
        estimator=mediapipe_name(),
        camera=choice,
        info=info,
        problems=list(frames.problems),
        duplicates_removed=seen.duplicates,
        partial=seen.stopped,
        interrupted=seen.stopped,
        samples=seen.samples.choose(track.any_hand),
    )


def frame_times(info: VideoInfo, decoded: Mapping[int, float], stop: int | None) -> np.ndarray:
    """Times of all frames before `stop`; frames that did not decode keep their row where the file knows their time."""
    if info.times_s is not None:
        return info.times_s[:stop]
    return np.array([decoded[index] for index in sorted(decoded)])
