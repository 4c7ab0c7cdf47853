"""How a camera moves, from its video alone: points of the background are followed, hands masked out.

Between two frames the motion is the one that fits the flow of all points best, if they all are as far away as the
hands and what they work on: for cameras on the head above a table that holds to a few tens of per cent, and only the
translation depends on it. Poses are chained, so they drift: good for the seconds that a forecast looks at, not a map.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from handloom.errors import InputError
from handloom.geometry import Camera, apply_rigid, invert_rigid, rigid, rotation_from_vector
from handloom.hands import HandTrack

WORKING_WIDTH = 640
MOST_POINTS, FEWEST_POINTS = 400, 12
USUAL_DISTANCE_M = 0.5
"""Where no hand tells how far the scene is."""
MASK_MARGIN = 0.35
"""Around the box of a hand, in its sizes: the forearm and what the hand holds move with it."""
ROUNDS = 8
_HUBER_RAD = 1.5e-3


class CameraMotion(NamedTuple):
    """Poses of the camera, the first frame's being the origin.

    Attributes:
        world_from_camera: NaN never; a frame that could not be followed repeats the pose before it.
        followed: frames whose motion was found.
    """

    world_from_camera: Float[np.ndarray, "T 4 4"]
    followed: Bool[np.ndarray, "T"]


def estimate_camera_motion(
    pictures: Iterable[UInt8[np.ndarray, "H W 3"] | None], track: HandTrack, camera: Camera
) -> CameraMotion:
    """Poses of a camera from its pictures.

    Args:
        pictures: of every frame of the track, in order; None where one does not decode.
        track: the hands in camera space: where not to look, and how far the scene is.
        camera: of the pictures.

    Raises:
        InputError: the track is not in camera space, or there are other pictures than frames.
    """
    if track.frame != "camera":
        raise InputError("camera motion is estimated for tracks in camera space; this one is in the world already")
    poses, followed = [np.eye(4)], [True]
    before: np.ndarray | None = None
    count = 0
    for t, grey in enumerate(_working(pictures)):
        count += 1
        if t >= len(track):
            break
        if t:
            step = None
            if before is not None and grey is not None:
                step = _step(before, grey, camera, _mask(grey, track, camera, t - 1), _distance(track, t))
            poses.append(poses[-1] if step is None else poses[-1] @ step)
            followed.append(step is not None)
        before = grey
    if count != len(track):
        raise InputError(f"the video has {count} pictures, the track {len(track)} frames; give the track's own video")
    return CameraMotion(np.stack(poses), np.array(followed))


def fit_motion(
    rays: Float[np.ndarray, "n 3"], moved: Float[np.ndarray, "n 3"], depth_m: float
) -> Float[np.ndarray, "4 4"] | None:
    """`before_from_after` of a camera that sees points at one depth first along `rays`, then along `moved` (z = 1).

    Robust least squares (Huber) on where the points come out, by Gauss-Newton; None if too few points agree.
    """
    if len(rays) < FEWEST_POINTS:
        return None
    points = rays * depth_m
    after_from_before = np.eye(4)
    weight = np.ones(len(rays))
    for _ in range(ROUNDS):
        x, y, z = apply_rigid(after_from_before, points).T
        left = np.stack([moved[:, 0] - x / z, moved[:, 1] - y / z], -1)
        zero = np.zeros_like(x)
        # Of x / z and y / z by a small rotation in front of the transform, and by a shift.
        by_x = np.stack([-x * y / z**2, 1 + x**2 / z**2, -y / z, 1 / z, zero, -x / z**2], -1)
        by_y = np.stack([-1 - y**2 / z**2, x * y / z**2, x / z, zero, 1 / z, -y / z**2], -1)
        J = np.stack([by_x, by_y], 1)
        weight = 1 / np.maximum(np.linalg.norm(left, axis=-1) / _HUBER_RAD, 1)
        A = np.einsum("nij,nik,n->jk", J, J, weight) + 1e-9 * np.eye(6)
        change = np.linalg.solve(A, np.einsum("nij,ni,n->j", J, left, weight))
        step = rigid(rotation_from_vector(change[:3]), change[3:])
        after_from_before = step @ after_from_before
    agree = (weight == 1).sum()
    return np.asarray(invert_rigid(after_from_before)) if agree >= FEWEST_POINTS else None


def _step(
    before: UInt8[np.ndarray, "h w"], after: UInt8[np.ndarray, "h w"], camera: Camera, mask: np.ndarray, depth_m: float
) -> Float[np.ndarray, "4 4"] | None:
    found = cv2.goodFeaturesToTrack(before, MOST_POINTS, 0.01, 6, mask=mask)
    if found is None or len(found) < FEWEST_POINTS:
        return None
    moved, there, _ = cv2.calcOpticalFlowPyrLK(before, after, found, None, winSize=(15, 15), maxLevel=3)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, moved, None, winSize=(15, 15), maxLevel=3)  # type: ignore[call-overload]
    kept = (there[:, 0] == 1) & (again[:, 0] == 1) & (np.linalg.norm(back - found, axis=-1)[:, 0] < 0.5)
    scale = camera.width / before.shape[1]
    rays = [camera.unproject((pixels[kept, 0].astype(np.float64) + 0.5) * scale - 0.5)[0] for pixels in (found, moved)]
    ahead = (rays[0][:, 2] > 0.1) & (rays[1][:, 2] > 0.1)
    first, second = (ray[ahead] / ray[ahead, 2:] for ray in rays)
    return fit_motion(first, second, depth_m)


def _working(pictures: Iterable[UInt8[np.ndarray, "H W 3"] | None]) -> Iterator[UInt8[np.ndarray, "h w"] | None]:
    for picture in pictures:
        if picture is None:
            yield None
            continue
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        if grey.shape[1] > WORKING_WIDTH:
            height = round(grey.shape[0] * WORKING_WIDTH / grey.shape[1])
            grey = cv2.resize(grey, (WORKING_WIDTH, height), interpolation=cv2.INTER_AREA)
        yield np.asarray(grey)


def _mask(grey: np.ndarray, track: HandTrack, camera: Camera, t: int) -> UInt8[np.ndarray, "h w"]:
    mask = np.full(grey.shape, 255, np.uint8)
    scale = grey.shape[1] / camera.width
    for points, valid in zip(track.keypoints_px[t], track.valid[t]):
        known = points[valid & np.isfinite(points).all(-1)] * scale
        if len(known):
            low, high = known.min(0), known.max(0)
            margin = MASK_MARGIN * float((high - low).max()) + 2
            x0, y0 = np.clip(np.floor(low - margin), 0, None).astype(int)
            x1, y1 = np.clip(np.ceil(high + margin), 0, None).astype(int)
            mask[y0:y1, x0:x1] = 0
    return mask


def _distance(track: HandTrack, t: int) -> float:
    depth = track.joints_m[max(t - 15, 0) : t + 1, ..., 2]
    known = depth[np.isfinite(depth)]
    return float(np.median(known)) if len(known) else USUAL_DISTANCE_M
