"""Hands moved into another camera that would see them at the same pixels: perspective-n-point, hand by hand.

G-HTT's image estimator answers for one normalised camera whatever the real one was (Wen et al., ECCV 2024, and the
released code, which takes EPnP there and back). The pose here is that of least squares in the picture: EPnP's closed
form, without refinement, turns some flat hands over.
"""

import numpy as np
from jaxtyping import Bool, Float

from handloom.geometry.cameras import Camera, Pinhole
from handloom.geometry.lifting import lift
from handloom.geometry.transforms import rotation_from_vector

VIRTUAL = Pinhole(480, 270, 240.0, 240.0, 240.0, 135.0)
"""The normalised camera, the same for every view."""
FEWEST_POINTS = 4
_STEPS, _DAMPING, _CONVERGED = 12, 1e-3, 1e-5


def virtual_camera(size: tuple[int, int]) -> Pinhole:
    """The normalised camera of pictures of a width and height."""
    return VIRTUAL.resized(*size)


def repose(
    points_m: Float[np.ndarray, "N joints 3"],
    known: Bool[np.ndarray, "N joints"],
    pixels: Float[np.ndarray, "N joints 2"],
    camera: Camera,
) -> tuple[Float[np.ndarray, "N joints 3"], Bool[np.ndarray, "N"]]:
    """Each hand, turned and shifted as a whole to where the camera sees its joints closest to the pixels.

    Levenberg-Marquardt on the plane at depth 1, from the best shift without a turn. The shape of a hand stays as it is.

    Args:
        points_m: of every hand, in any frame whose axes are about those of the camera.
        known: which joints count, and are moved; `FEWEST_POINTS` are needed.
        pixels: where they are in the camera's picture.
        camera: any model; joints that it sees beside or behind itself do not count.

    Returns:
        The joints in the camera's frame, 0 where they do not count; and whether there is such a pose in front of the
        camera.
    """
    rays, seen = camera.unproject(np.asarray(pixels, np.float64))
    used = known & seen & (rays[..., 2] > 0) & np.isfinite(points_m).all(-1)
    weight = used.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        plane = np.where(used[..., None], rays[..., :2] / rays[..., 2:], 0.0)
    points = np.where(used[..., None], points_m, 0.0).astype(np.float64)
    middle = points.sum(1) / np.maximum(weight.sum(1), 1)[:, None]
    shape = (points - middle[:, None]) * weight[..., None]
    start = lift(plane, shape, weight)
    valid = np.asarray(start.valid) & (used.sum(1) >= FEWEST_POINTS)
    shift = np.where(valid[:, None], start.translation, [0.0, 0.0, 1.0])
    turned, damping = shape, np.full(len(points), _DAMPING)
    cost = _cost(turned, shift, plane, weight)
    for _ in range(_STEPS):
        step = _step(turned, shift, plane, weight, damping)
        new_turned = turned @ rotation_from_vector(step[:, :3]).transpose(0, 2, 1)
        new_shift = shift + step[:, 3:]
        new_cost = _cost(new_turned, new_shift, plane, weight)
        better = new_cost < cost
        settled = (np.abs(step).max(1) < _CONVERGED) | (better & (new_cost > (1 - _CONVERGED) * cost))
        turned = np.where(better[:, None, None], new_turned, turned)
        shift, cost = np.where(better[:, None], new_shift, shift), np.where(better, new_cost, cost)
        damping = np.where(better, damping / 10, damping * 10)
        if settled.all():
            break
    moved = turned + shift[:, None]
    valid &= np.isfinite(cost)
    return np.where((used & valid[:, None])[..., None], moved, 0.0), valid


def _cost(
    turned: Float[np.ndarray, "N joints 3"],
    shift: Float[np.ndarray, "N 3"],
    plane: Float[np.ndarray, "N joints 2"],
    weight: Float[np.ndarray, "N joints"],
) -> Float[np.ndarray, "N"]:
    """Sum of squared distances in the plane; infinite where a joint is not in front of the camera."""
    points = turned + shift[:, None]
    depth = points[..., 2]
    off = points[..., :2] / np.where(depth > 0, depth, 1.0)[..., None] - plane
    total = (weight * (off[..., 0] ** 2 + off[..., 1] ** 2)).sum(1)
    return np.asarray(np.where(((depth > 0) | (weight == 0)).all(1), total, np.inf))


def _step(
    turned: Float[np.ndarray, "N joints 3"],
    shift: Float[np.ndarray, "N 3"],
    plane: Float[np.ndarray, "N joints 2"],
    weight: Float[np.ndarray, "N joints"],
    damping: Float[np.ndarray, "N"],
) -> Float[np.ndarray, "N 6"]:
    """The damped Gauss-Newton step: a small turn of the shape, then a shift."""
    points = turned + shift[:, None]
    depth = np.where(weight > 0, np.maximum(points[..., 2], 1e-6), 1.0)
    u, v = points[..., 0] / depth, points[..., 1] / depth
    x, y, z = turned[..., 0], turned[..., 1], turned[..., 2]
    one, none = np.ones_like(u), np.zeros_like(u)
    # A point moves by turn x shape + shift; its place (u, v) by (that - (u, v) * that of its depth) / depth.
    across = np.stack([-u * y, z + u * x, -y, one, none, -u], -1)
    down = np.stack([-z - v * y, v * x, x, none, one, -v], -1)
    slope = np.concatenate([across, down], 1) * np.tile(weight / depth, 2)[..., None]
    off = np.concatenate([u - plane[..., 0], v - plane[..., 1]], 1) * np.tile(weight, 2)
    flipped = slope.transpose(0, 2, 1)
    normal = flipped @ slope
    diagonal = np.einsum("nii->ni", normal)
    damped = normal + (damping[:, None] * diagonal + 1e-12)[:, None] * np.eye(6)
    return np.asarray(np.linalg.solve(damped, -(flipped @ off[..., None]))[..., 0])
