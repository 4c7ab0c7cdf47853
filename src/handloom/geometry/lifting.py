"""From image positions and root-relative metric joints to camera space, in closed form."""

from dataclasses import dataclass

from jaxtyping import Bool, Float

from handloom.errors import InputError
from handloom.geometry.arrays import Array, alike, array_namespace, check_weights, constant, epsilon, like, nan_unless
from handloom.geometry.cameras import Camera

MAX_CONDITION = 1e4
"""Beyond, depth is not to be trusted: rays that spread by about 0.01 rad, a hand seen from 5 m."""


@dataclass(frozen=True, eq=False)
class Lifting:
    """Where root-relative joints are in the camera frame.

    Attributes:
        translation: camera-frame position of the root, in the unit of the joints; NaN where not `valid`.
        residual_rad: angle between each joint and its ray; NaN for joints that were not used.
        condition: ratio of the largest to the smallest eigenvalue of the normal matrix: how much worse depth
            is determined than direction, squared; infinite where depth is not determined at all.
        well_conditioned: condition at most `MAX_CONDITION`.
        valid: a solution exists and the hand is in front of its rays. Can be true although ill-conditioned.
    """

    translation: Float[Array, "*batch 3"]
    residual_rad: Float[Array, "*batch joints"]
    condition: Float[Array, "*batch"]
    well_conditioned: Bool[Array, "*batch"]
    valid: Bool[Array, "*batch"]


def lift(
    rays: Float[Array, "*batch joints dim"],
    root_relative_m: Float[Array, "*batch joints 3"],
    weights: Float[Array, "*batch joints"] | None = None,
) -> Lifting:
    """The translation that brings every joint as close as possible to its ray.

    Weighted linear least squares of d x (joint + translation) = 0 with unit rays d: exact when the input is,
    for every camera model and beyond 90 degrees. One joint, joints on one point or on one ray leave the
    depth open.

    Args:
        rays: (..., joints, 3) rays of any length, or (..., joints, 2) normalised coordinates; NaN means not
            seen.
        root_relative_m: joints relative to any common root, in the camera's orientation; NaN means missing.
        weights: multiply the equations; 0 or NaN means not seen.

    Raises:
        InputError: shapes that do not belong together, or a negative weight.
    """
    _check(rays, root_relative_m, weights)
    rays, root_relative_m = alike(rays, root_relative_m)
    xp = array_namespace(rays)
    if rays.shape[-1] == 2:
        rays = xp.concat([rays, xp.ones_like(rays[..., :1])], axis=-1)
    used = xp.all(xp.isfinite(rays) & xp.isfinite(root_relative_m), axis=-1) & xp.any(rays != 0, axis=-1)
    weights = xp.ones_like(rays[..., 0]) if weights is None else xp.astype(weights, rays.dtype)
    used = used & (weights > 0) & xp.isfinite(weights)
    weights = xp.where(used, weights, 0.0)
    rays = xp.where(used[..., None], rays, like([0, 0, 1], rays))
    rays = rays / xp.sqrt(xp.sum(rays * rays, axis=-1, keepdims=True))
    joints = xp.where(used[..., None], root_relative_m, 0.0)

    total = xp.sum(weights * weights, axis=-1, keepdims=True)
    share = weights * weights / xp.where(total > 0, total, 1.0)
    identity = like(((1, 0, 0), (0, 1, 0), (0, 0, 1)), rays)
    along = share[..., None] * rays
    normal = identity - xp.matrix_transpose(along) @ rays
    across = joints - xp.sum(rays * joints, axis=-1, keepdims=True) * rays
    right = -xp.sum(share[..., None] * across, axis=-2)

    spread = xp.linalg.eigvalsh(constant(normal))
    enough = xp.sum(xp.astype(used, xp.int64), axis=-1) >= 2
    solvable = enough & (spread[..., 0] > 64 * epsilon(rays) * spread[..., 2])
    condition = xp.where(solvable, spread[..., 2] / xp.where(solvable, spread[..., 0], 1.0), float("inf"))
    normal = xp.where(solvable[..., None, None], normal, identity)
    translation = xp.linalg.solve(normal, right[..., None])[..., 0]

    placed = joints + translation[..., None, :]
    depth = xp.sum(rays * placed, axis=-1)
    valid = solvable & (xp.sum(share * depth, axis=-1) > 0)
    off = placed - depth[..., None] * rays
    distance = xp.sum(off * off, axis=-1)
    exact = distance == 0  # where the square root has no derivative
    angle = xp.where(exact, 0.0, xp.atan2(xp.sqrt(xp.where(exact, 1.0, distance)), depth))
    return Lifting(
        translation=nan_unless(valid, translation),
        residual_rad=nan_unless(valid[..., None] & used, angle),
        condition=condition,
        well_conditioned=valid & (condition <= MAX_CONDITION),
        valid=valid,
    )


def lift_keypoints(
    camera: Camera,
    keypoints_px: Float[Array, "*batch joints 2"],
    root_relative_m: Float[Array, "*batch joints 3"],
    confidence: Float[Array, "*batch joints"] | None = None,
) -> Lifting:
    """`lift` for image positions of a camera; positions that no ray reaches count as not seen."""
    return lift(camera.unproject(keypoints_px)[0], root_relative_m, confidence)


def _check(rays: Array, root_relative_m: Array, weights: Array | None) -> None:
    if rays.ndim < 2 or rays.shape[-1] not in (2, 3) or tuple(root_relative_m.shape) != (*rays.shape[:-1], 3):
        raise InputError(
            "rays (..., joints, 2 or 3) and root_relative_m (..., joints, 3) must hold the same joints, "
            f"found {tuple(rays.shape)} and {tuple(root_relative_m.shape)}"
        )
    check_weights("weights", weights, tuple(rays.shape[:-1]))
