"""Another tracker's stored joints as a `HandTrack`."""

import numpy as np
from jaxtyping import Float, Int

from handloom.errors import InputError
from handloom.estimators.lifting import lift_flat
from handloom.formats.joints import StoredJoints
from handloom.geometry import Camera, lift_keypoints
from handloom.hands import CameraSource, HandTrack, ScaleSource
from handloom.skeleton import JOINT_COUNT

FLAT = "2D joints only: each hand is put flat at the depth that its size suggests; the shape in depth is unknown"


def rows_in_video(stored: StoredJoints, times_s: Float[np.ndarray, "T"]) -> Int[np.ndarray, "rows"]:
    """The video frame of every stored row, by frame number or else by nearest time.

    Raises:
        InputError: a row belongs to no frame of the video, or two rows to the same.
    """
    if stored.frames is not None:
        frames = stored.frames
        if len(frames) and frames[-1] >= len(times_s):
            raise InputError(f"the joints go up to frame {frames[-1]}, but the video has {len(times_s)} frames")
        return frames
    assert stored.times_s is not None
    after = np.clip(np.searchsorted(times_s, stored.times_s), 1, max(len(times_s) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times_s) - 1)
    nearer_after = np.abs(times_s[after] - stored.times_s) < np.abs(times_s[before] - stored.times_s)
    frames = np.where(nearer_after, after, before)
    tolerance = 0.5 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else np.inf
    off = np.abs(times_s[frames] - stored.times_s)
    if (off > 1.001 * tolerance).any():
        worst = int(off.argmax())
        raise InputError(
            f"the joints at {stored.times_s[worst]:.3f} s belong to no frame of the video, "
            f"which runs from {times_s[0]:.3f} to {times_s[-1]:.3f} s"
        )
    if (np.diff(frames) == 0).any():
        twice = int(frames[np.flatnonzero(np.diff(frames) == 0)[0]])
        raise InputError(
            f"two sets of joints belong to frame {twice}: they were stored at a higher rate than the video"
        )
    return frames


def track_from_joints(
    stored: StoredJoints,
    rows: Int[np.ndarray, "rows"],
    times_s: Float[np.ndarray, "T"],
    camera: Camera | None,
    camera_source: CameraSource,
) -> HandTrack:
    """Put stored joints into frames, and into camera space if they are 2D or relative to the wrist.

    Args:
        stored: what the file holds.
        rows: frame of every stored row.
        times_s: time of every frame.
        camera: needed for 2D and wrist-relative joints; gives keypoints to 3D joints in camera space.
        camera_source: how far the camera can be trusted; recorded.

    Raises:
        InputError: the joints cannot be placed: a camera or the 2D keypoints are missing.
    """
    T = len(times_s)

    def scattered(values: np.ndarray | None, *tail: int) -> np.ndarray:
        full = np.full((T, 2, JOINT_COUNT, *tail), np.nan)
        if values is not None:
            full[rows] = values
        return full

    keypoints = scattered(stored.keypoints_px, 2)
    joints = scattered(stored.joints_m, 3)
    confidence = np.nan_to_num(scattered(stored.confidence))
    flat, relative = stored.joints_m is None, stored.space == "root_relative"
    if (flat or relative) and camera is None:
        raise InputError("2D or wrist-relative joints need a camera: give the video they belong to, or --camera")
    if relative and stored.keypoints_px is None:
        raise InputError("wrist-relative joints need 2D keypoints beside them to be placed in camera space")
    if flat:
        assert camera is not None
        joints = lift_flat(camera, keypoints)
    elif relative:
        assert camera is not None
        lift = lift_keypoints(camera, keypoints, joints, confidence)
        # Too far or too flat for its depth to be known: missing, rather than somewhere.
        joints = np.where(lift.well_conditioned[..., None, None], joints + lift.translation[..., None, :], np.nan)
    valid = np.isfinite(joints).all(-1)
    if stored.keypoints_px is None and camera is not None and stored.space == "camera":
        keypoints, _ = camera.project(joints)
    return HandTrack(
        times_s=times_s,
        joints_m=joints,
        valid=valid,
        confidence=confidence,
        keypoints_px=keypoints,
        camera=camera,
        frame="world" if stored.space == "world" else "camera",
        camera_source=camera_source,
        scale_source=ScaleSource.TRACKER,
    )
