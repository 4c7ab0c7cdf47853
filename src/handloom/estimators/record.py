"""From labelled detections of a clip to a `HandTrack`."""

import numpy as np
from jaxtyping import Float

from handloom.estimators.detections import Detection
from handloom.estimators.lifting import lift_clip
from handloom.geometry import Camera
from handloom.hands import CameraSource, HandTrack, ScaleSource
from handloom.skeleton import JOINT_COUNT, bone_lengths


def joint_confidence(detection: Detection, camera: Camera) -> Float[np.ndarray, "21"]:
    """The detector's score for joints inside the picture, 0 for those that it extrapolates beyond the border."""
    u, v = detection.keypoints_px.T
    inside = (u >= -0.5) & (u <= camera.width - 0.5) & (v >= -0.5) & (v <= camera.height - 0.5)
    return np.where(inside, np.float32(detection.score), np.float32(0))


def track_from_detections(
    table: list[list[Detection | None]],
    times_s: Float[np.ndarray, "T"],
    camera: Camera,
    camera_source: CameraSource,
) -> HandTrack:
    """Lift labelled detections of a whole clip into camera space, in the detector's own scale.

    Args:
        table: `table[hand][frame]`, None where a hand was not seen.
        times_s: time of every frame.
        camera: intrinsics of the pictures.
        camera_source: how far the camera can be trusted; recorded.
    """
    T = len(times_s)
    keypoints = np.full((T, 2, JOINT_COUNT, 2), np.nan)
    depth = np.full((T, 2, JOINT_COUNT), np.nan)
    confidence = np.zeros((T, 2, JOINT_COUNT))
    score = np.zeros((T, 2))
    skeleton_lengths = []
    for hand, row in enumerate(table):
        for frame, detection in enumerate(row):
            if detection is None:
                continue
            keypoints[frame, hand] = detection.keypoints_px
            depth[frame, hand] = detection.depth_px
            confidence[frame, hand] = joint_confidence(detection, camera)
            score[frame, hand] = detection.score
            skeleton_lengths.append(bone_lengths(detection.world_m).sum())
    skeleton_length = float(np.median(skeleton_lengths)) if skeleton_lengths else 1.0
    lift = lift_clip(camera, times_s, keypoints, depth, score, skeleton_length)
    return HandTrack(
        times_s=times_s,
        joints_m=lift.joints_m,
        valid=np.isfinite(lift.joints_m).all(-1),
        confidence=confidence,
        keypoints_px=keypoints,
        camera=camera,
        camera_source=camera_source,
        scale_source=ScaleSource.TRACKER,
    )
