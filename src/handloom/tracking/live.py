"""Live tracking: every decision from the past alone, every frame drawn as it comes."""

from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np

from handloom.errors import InputError, OutputError
from handloom.hands import HandTrack, ScaleSource
from handloom.tracking.camera_choice import choose_camera
from handloom.tracking.job import Job
from handloom.tracking.live_htt import LiveHTT
from handloom.tracking.live_mediapipe import LiveMediaPipe
from handloom.tracking.result import TrackResult
from handloom.tracking.samples import FrameSamples
from handloom.video import FrameSource, LiveSource, VideoWriter, prefetch
from handloom.view.caption import Band, Said
from handloom.view.overlay import draw_hands


class LiveEstimator(Protocol):
    """What gives both hands of the newest frame. Push frames in order."""

    name: str

    @property
    def duplicates(self) -> int:
        """Detections dropped because they were a second answer for the same hand."""

    def push(self, frame: int, time_s: float, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Joints (2,21,3) in metres, keypoints (2,21,2) in pixels, confidence (2,21); NaN where a hand is missing."""

    def said(self) -> list[Said]:
        """Action and object of the newest frame, as far as they are known by now."""

    def with_labels(self, track: HandTrack) -> HandTrack:
        """The record of all frames pushed, with the objects and actions that were found on the way."""

    def notes(self, track: HandTrack) -> list[str]:
        """What a user should know of the result."""

    def __enter__(self) -> "LiveEstimator": ...

    def __exit__(self, *_: object) -> None: ...


def track_live(frames: FrameSource, job: Job, overlay: Path | None) -> TrackResult:
    """Track until the source ends, the user interrupts, or the wanted number of frames is reached.

    Args:
        frames: a webcam or stream, which can be read once.
        job: what to do.
        overlay: where to write the video with the hands drawn, frame by frame.
    """
    if job.options.constant_bones:
        raise InputError("constant bone lengths need the whole clip; they cannot be had live")
    info = frames.info
    choice = choose_camera(job.options, info.width, info.height, job.source)
    samples, notes = FrameSamples(), list[str]()
    times: list[float] = []
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with ExitStack() as stack:
        hands: LiveEstimator
        if job.options.estimator == "htt":
            hands = stack.enter_context(LiveHTT(choice.camera, job.options))
        else:
            hands = stack.enter_context(LiveMediaPipe(choice.camera, job.options))
        writer = None
        if overlay is not None:
            writer = stack.enter_context(VideoWriter(overlay, info.width, info.height, info.time_base, info.frame_rate))
        stop = lambda: job.interruption.requested  # noqa: E731
        band = Band(info.width, info.height)
        pictures = frames.until(stop) if isinstance(frames, LiveSource) else prefetch(frames, should_stop=stop)
        for frame in pictures:
            with job.stopwatch.stage("detect"):
                joints, keypoints, confidence = hands.push(len(times), frame.time_s, frame.image)
            samples.push(len(times), frame.image)
            times.append(frame.time_s)
            rows.append((joints, keypoints, confidence))
            if writer is not None:
                with job.stopwatch.stage("overlay"):
                    image = frame.image.copy()
                    draw_hands(image, keypoints, np.isfinite(joints).all(-1), confidence)
                    band.draw(image, hands.said())
                    try:
                        writer.write(image, frame.pts)
                    except OutputError as error:
                        # A full disk must not cost the poses.
                        notes.append(f"no overlay: {error}")
                        writer = None
            job.progress("track", len(times), None)
            if job.should_stop(len(times)):
                break
    if not rows:
        raise InputError(f"no picture arrived from {job.source}")
    joints, keypoints, confidence = (np.array(column) for column in zip(*rows))
    track = HandTrack(
        times_s=np.array(times),
        joints_m=joints,
        valid=np.isfinite(joints).all(-1),
        confidence=confidence,
        keypoints_px=keypoints,
        camera=choice.camera,
        camera_source=choice.source,
        scale_source=ScaleSource.TRACKER if job.options.hand_size_mm is None else ScaleSource.HAND_SIZE,
    )
    track = hands.with_labels(track)
    notes += hands.notes(track)
    return TrackResult(
        track=track,
        job=job,
        estimator=hands.name,
        camera=choice,
        info=info,
        problems=list(frames.problems),
        duplicates_removed=hands.duplicates,
        dropped=frames.dropped,
        partial=frames.cut_short,
        overlay_written=writer is not None,
        notes=notes,
        samples=samples.choose(track.any_hand),
    )
