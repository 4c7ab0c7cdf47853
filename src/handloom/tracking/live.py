"""Live tracking: every decision from the past alone, every frame drawn as it comes."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from handloom.errors import InputError, OutputError
from handloom.estimators.detections import Detection
from handloom.estimators.handedness import Linker, assign_hands_live
from handloom.estimators.lifting import LiveLift
from handloom.estimators.mediapipe import MediaPipeDetector, mediapipe_name
from handloom.estimators.record import joint_confidence
from handloom.geometry import Camera
from handloom.hands import HandTrack, ScaleSource
from handloom.skeleton import HANDS, JOINT_COUNT, bone_lengths
from handloom.smoothing import OneEuro
from handloom.tracking.camera_choice import choose_camera
from handloom.tracking.job import Job
from handloom.tracking.options import TrackOptions
from handloom.tracking.result import TrackResult
from handloom.tracking.samples import FrameSamples
from handloom.video import FrameSource, LiveSource, VideoWriter, prefetch
from handloom.view.overlay import draw_hands

SMOOTHING_BETA = 5.0
"""One-Euro: the cutoff rises by so many Hz for every metre per second."""


class LiveHands:
    """Both hands of the newest frame. Push frames in order."""

    def __init__(self, camera: Camera, options: TrackOptions):
        self.camera = camera
        size = options.hand_size_mm
        self._linker = Linker()
        self._lift = LiveLift(camera, None if size is None else size / 1000)
        self._smooth = None
        if options.smooth_hz is not None:
            self._smooth = [OneEuro(options.smooth_hz, SMOOTHING_BETA) for _ in HANDS]

    @property
    def duplicates(self) -> int:
        """Detections dropped because they were a second answer for the same hand."""
        return self._linker.duplicates

    def push(self, frame: int, time_s: float, detections: list[Detection]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Joints (2,21,3) in metres, keypoints (2,21,2) in pixels, confidence (2,21); NaN where a hand is missing."""
        joints = np.full((2, JOINT_COUNT, 3), np.nan)
        keypoints = np.full((2, JOINT_COUNT, 2), np.nan)
        confidence = np.zeros((2, JOINT_COUNT))
        seen = self._linker.push(frame, time_s, detections)
        assign_hands_live(seen)
        # Live, nothing looks back: memory must not grow with the length of the session.
        self._linker.tracklets.clear()
        for tracklet in seen:
            del tracklet.detections[:-1]
            hand, detection = tracklet.hand, tracklet.detections[-1]
            assert hand is not None
            length = float(bone_lengths(detection.world_m).sum())
            joints[hand] = self._lift.push(time_s, hand, detection.keypoints_px, detection.depth_px, length)
            keypoints[hand] = detection.keypoints_px
            confidence[hand] = joint_confidence(detection, self.camera)
            if self._smooth is not None:
                joints[hand] = self._smooth[hand].push(time_s, joints[hand])
                keypoints[hand], _ = self.camera.project(joints[hand])
        return joints, keypoints, confidence


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
    choice = choose_camera(job.options, info.width, info.height)
    hands = LiveHands(choice.camera, job.options)
    samples, notes = FrameSamples(), list[str]()
    times: list[float] = []
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    with ExitStack() as stack:
        detector = stack.enter_context(MediaPipeDetector(job.options.min_confidence))
        writer = None
        if overlay is not None:
            writer = stack.enter_context(VideoWriter(overlay, info.width, info.height, info.time_base, info.frame_rate))
        stop = lambda: job.interruption.requested  # noqa: E731
        pictures = frames.until(stop) if isinstance(frames, LiveSource) else prefetch(frames, should_stop=stop)
        for frame in pictures:
            with job.stopwatch.stage("detect"):
                detections = detector.detect(frame.image)
            joints, keypoints, confidence = hands.push(len(times), frame.time_s, detections)
            samples.push(len(times), frame.image)
            times.append(frame.time_s)
            rows.append((joints, keypoints, confidence))
            if writer is not None:
                with job.stopwatch.stage("overlay"):
                    image = frame.image.copy()
                    draw_hands(image, keypoints, np.isfinite(joints).all(-1), confidence)
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
    return TrackResult(
        track=track,
        job=job,
        estimator=mediapipe_name(),
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
