"""Stage 3: robust triangulation of every joint, views weighted by confidence and distance from the picture's edge."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.annotate.detect import Found
from handloom.geometry import Camera, triangulate
from handloom.skeleton import JOINT_COUNT

EDGE_SHARE = 0.05
"""Within this share of the picture's width from its edge, a joint counts less the nearer the edge is: detectors guess
what is cut off."""


@dataclass(frozen=True, eq=False)
class Points:
    """Joints of both hands in T frames, and what they were computed from.

    Attributes:
        keypoints_px: what each view saw; NaN where it did not.
        weight: confidence times edge margin, 0 where not seen.
        believed: views that the point was computed from; where only one view sees a joint, that one.
        joints: in the world, in the calibration's unit; NaN where fewer than two views agree.
        error_px: reprojection error of every view, believed or not; NaN where there is no point.
    """

    keypoints_px: Float[np.ndarray, "views T 2 21 2"]
    weight: Float[np.ndarray, "views T 2 21"]
    believed: Bool[np.ndarray, "views T 2 21"]
    joints: Float[np.ndarray, "T 2 21 3"]
    error_px: Float[np.ndarray, "views T 2 21"]


def triangulate_hands(
    cameras: list[Camera],
    poses: list[Float[np.ndarray, "_ 4 4"]],
    keypoints_px: Float[np.ndarray, "views T 2 21 2"],
    score: Float[np.ndarray, "views T 2"],
    threshold_px: float,
) -> Points:
    """All joints of both hands at once.

    Args:
        cameras: one per view.
        poses: camera_from_world of each view: one, or one per frame.
        keypoints_px: NaN where not seen.
        score: the detector's confidence, 0 ... 1.
        threshold_px: reprojection error from which on a view is wrong.
    """
    views, T = keypoints_px.shape[:2]
    keypoints_px = keypoints_px.astype(np.float64)
    weight = np.stack([edge_weight(c, k) for c, k in zip(cameras, keypoints_px)]) * score[..., None]
    shape = (views, T * 2 * JOINT_COUNT)
    found = triangulate(
        cameras,
        stacked_poses(poses, T, 2 * JOINT_COUNT),
        keypoints_px.reshape(*shape, 2),
        weight.reshape(shape),
        robust="ransac",
        threshold_px=threshold_px,
    )
    seen = weight > 0
    alone = seen & (seen.sum(0) == 1)
    return Points(
        keypoints_px,
        weight,
        found.valid_views.reshape(seen.shape) | alone,
        found.points.reshape(T, 2, JOINT_COUNT, 3),
        found.reprojection_error_px.reshape(seen.shape),
    )


def edge_weight(camera: Camera, keypoints_px: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch"]:
    """1 inside the picture, falling to 0 at its edge and beyond; 0 for NaN."""
    size = np.array([camera.width, camera.height])
    margin = np.minimum(keypoints_px + 0.5, size - 0.5 - keypoints_px).min(-1)
    return np.asarray(np.nan_to_num(np.clip(margin / (EDGE_SHARE * camera.width), 0, 1)))


def stacked_poses(
    poses: list[Float[np.ndarray, "_ 4 4"]], T: int, points: int
) -> Float[np.ndarray, "views *points 4 4"]:
    """(views, 4, 4) where all cameras stand still, else (views, T * points, 4, 4)."""
    if all(len(pose) == 1 for pose in poses):
        return np.concatenate(poses)
    return np.stack([np.repeat(np.broadcast_to(pose, (T, 4, 4)), points, axis=0) for pose in poses])


def chosen_keypoints(
    found: list[Found], slots: Int[np.ndarray, "T views 2"]
) -> tuple[Float[np.ndarray, "views T 2 21 2"], Float[np.ndarray, "views T 2"]]:
    """Image positions and scores of the left and the right hand in every view; NaN and 0 where not seen."""
    rows = np.arange(len(slots))[:, None]
    keypoints, scores = [], []
    for view, hands in enumerate(found):
        slot = slots[:, view]
        known, index = slot >= 0, np.maximum(slot, 0)
        keypoints.append(np.where(known[..., None, None], hands.keypoints_px[rows, index], np.nan))
        scores.append(np.where(known, hands.score[rows, index], 0.0))
    return np.stack(keypoints), np.stack(scores)
