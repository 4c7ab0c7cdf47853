"""The per-frame numbers of a recording as they stand in the store: finite everywhere, masks beside them."""

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.datasets.columns import Columns
from handloom.datasets.layout import (
    BOXES,
    KEYPOINTS,
    POSE_KNOWN,
    REPROJECTION,
    VIEWS,
    VISIBLE,
    WORLD_FROM_CAMERA,
    Size,
    StoreLayout,
    camera_feature,
)
from handloom.errors import InputError
from handloom.formats.episode import CameraStream, Episode
from handloom.geometry import Camera, apply_rigid, invert_rigid


def frame_columns(episode: Episode, layout: StoreLayout) -> Columns:
    """All columns that follow from the recording's numbers alone; masked ones are 0.

    Raises:
        InputError: capture times closer than a microsecond.
    """
    T, hands = len(episode), episode.hands
    columns: Columns = {
        "timestamp": (np.arange(T) / layout.fps).astype(np.float32),
        "frame_index": np.arange(T),
        "time_us": _microseconds(episode),
        "frame_id": episode.frame_ids,
        "hand.joints": _finite(hands.joints_m, hands.valid),
        "hand.valid": hands.valid,
        "hand.confidence": hands.confidence,
    }
    if layout.evidence:
        if episode.evidence is None:
            raise InputError(f"{episode.name}: it is not known what its labels rest on, but the store began with that")
        columns[VIEWS] = episode.evidence.views
        columns[REPROJECTION] = _finite(episode.evidence.reprojection_px, episode.evidence.views > 0)
    if count := len(layout.object_names):
        none = np.full((T, count, 4, 4), np.nan)
        poses = none if episode.object_poses is None else episode.object_poses
        known = np.isfinite(poses).all((2, 3))
        columns["object.label"] = np.full(T, -1) if episode.object_labels is None else episode.object_labels
        columns["object.poses"], columns["object.known"] = _finite(poses, known), known
    for camera in layout.cameras:
        parts = _of_camera(episode, episode.stream(camera.name), camera.size)
        columns |= {camera_feature(camera.name, part): array for part, array in parts.items()}
    return columns


def project_hands(
    joints_m: Float[np.ndarray, "T 2 21 3"], world_from_camera: Float[np.ndarray, "T 4 4"], camera: Camera
) -> tuple[Float[np.ndarray, "T 2 21 2"], Bool[np.ndarray, "T 2 21"]]:
    """World-frame joints to pixels; NaN and False behind the camera, or where joint or pose is not finite."""
    known = np.isfinite(world_from_camera).all((1, 2))
    poses = np.where(known[:, None, None], world_from_camera, np.eye(4))
    points = apply_rigid(invert_rigid(poses)[:, None], joints_m.astype(np.float64))
    points = np.where(known[:, None, None, None], points, np.nan)
    pixels, valid = camera.project(points)
    return pixels, valid


def inside(pixels: Float[np.ndarray, "*batch 2"], size: Size) -> Bool[np.ndarray, "*batch"]:
    """Whether image positions lie in the picture; NaN does not."""
    return np.asarray(((pixels >= -0.5) & (pixels < np.array(size) - 0.5)).all(-1))


def _of_camera(episode: Episode, stream: CameraStream, size: Size) -> Columns:
    width, height = size
    pixels, seen = project_hands(episode.hands.joints_m, stream.world_from_camera, stream.camera.resized(width, height))
    visible = inside(pixels, size) if stream.visible is None else stream.visible & seen
    known = np.isfinite(stream.world_from_camera).all((1, 2))
    columns: Columns = {
        WORLD_FROM_CAMERA: _finite(stream.world_from_camera, known),
        POSE_KNOWN: known,
        KEYPOINTS: _finite(pixels, seen),
        VISIBLE: visible,
        BOXES: np.zeros((len(episode), 2, 4)),
    }
    if stream.boxes_px is not None:
        scale = np.array([width / stream.camera.width, height / stream.camera.height] * 2)
        boxes = (stream.boxes_px + 0.5) * scale - 0.5
        columns[BOXES] = _finite(boxes, np.isfinite(boxes).all(-1))
    return columns


def _microseconds(episode: Episode) -> Int[np.ndarray, "T"]:
    times = np.rint(episode.times_s * 1e6).astype(np.int64)
    if (np.diff(times) <= 0).any():
        frame = int(np.argmax(np.diff(times) <= 0))
        raise InputError(f"{episode.name}: frames {frame} and {frame + 1} are less than a microsecond apart")
    return times


def _finite(values: np.ndarray, known: Bool[np.ndarray, "..."]) -> np.ndarray:
    return np.where(known.reshape(known.shape + (1,) * (values.ndim - known.ndim)), values, 0).astype(np.float32)
