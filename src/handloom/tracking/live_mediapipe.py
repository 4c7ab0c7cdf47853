"""MediaPipe from the past alone."""

import numpy as np

from handloom.estimators.detections import Detection
from handloom.estimators.handedness import Linker, assign_hands_live
from handloom.estimators.lifting import LiveLift
from handloom.estimators.mediapipe import MediaPipeDetector, mediapipe_name
from handloom.estimators.record import joint_confidence
from handloom.geometry import Camera
from handloom.hands import HandTrack
from handloom.skeleton import JOINT_COUNT, bone_lengths
from handloom.tracking.live_smoothing import LiveSmoothing
from handloom.tracking.options import TrackOptions
from handloom.view.caption import Said


class LiveHands:
    """Both hands of the newest frame. Push frames in order."""

    def __init__(self, camera: Camera, options: TrackOptions):
        self.camera = camera
        size = options.hand_size_mm
        self._linker = Linker()
        self._lift = LiveLift(camera, None if size is None else size / 1000)
        self._smooth = LiveSmoothing(camera, options.smooth_hz)

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
            self._smooth.push(time_s, hand, joints[hand], keypoints[hand])
        return joints, keypoints, confidence


class LiveMediaPipe:
    """A detector and the hands that it follows; the `LiveEstimator` of MediaPipe."""

    def __init__(self, camera: Camera, options: TrackOptions) -> None:
        self.name = mediapipe_name()
        self._detector = MediaPipeDetector(options.threshold)
        self._hands = LiveHands(camera, options)

    @property
    def duplicates(self) -> int:
        """See `LiveEstimator`."""
        return self._hands.duplicates

    def push(self, frame: int, time_s: float, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `LiveEstimator`."""
        return self._hands.push(frame, time_s, self._detector.detect(image))

    def said(self) -> list[Said]:
        """Nothing: MediaPipe knows hands alone."""
        return []

    def with_labels(self, track: HandTrack) -> HandTrack:
        """MediaPipe knows hands alone."""
        return track

    def notes(self, _track: HandTrack) -> list[str]:
        """None."""
        return []

    def __enter__(self) -> "LiveMediaPipe":
        return self

    def __exit__(self, *_: object) -> None:
        self._detector.close()
