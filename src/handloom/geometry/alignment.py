"""Least-squares alignment of point sets: rigid, similarity, and wrist."""

from dataclasses import dataclass

from jaxtyping import Bool, Float

from handloom.errors import InputError
from handloom.geometry.arrays import Array, alike, array_namespace, check_weights, constant, epsilon, like, nan_unless
from handloom.skeleton import WRIST


@dataclass(frozen=True, eq=False)
class Alignment:
    """target = scale * rotation @ source + translation, per batch entry; NaN where not `valid`."""

    rotation: Float[Array, "*batch 3 3"]
    translation: Float[Array, "*batch 3"]
    scale: Float[Array, "*batch"]
    valid: Bool[Array, "*batch"]

    def apply(self, points: Float[Array, "*batch n 3"]) -> Float[Array, "*batch n 3"]:
        """Bring points of the source frame into the target frame."""
        xp = array_namespace(points)
        # NaN enters last, so that it cannot reach the gradient of the points.
        rotation = xp.where(self.valid[..., None, None], self.rotation, 0.0)
        scale = xp.where(self.valid, self.scale, 0.0)[..., None, None]
        translation = xp.where(self.valid[..., None], self.translation, 0.0)[..., None, :]
        return nan_unless(self.valid, scale * (points @ xp.matrix_transpose(rotation)) + translation)


def align_rigid(
    source: Float[Array, "*batch n 3"],
    target: Float[Array, "*batch n 3"],
    weights: Float[Array, "*batch n"] | None = None,
) -> Alignment:
    """Rotation and translation that bring source closest to target (Kabsch 1976), never a reflection.

    Args:
        source, target: corresponding points; NaN in either means missing.
        weights: non-negative; 0 or NaN means missing. Without, all points count the same.

    Returns:
        An alignment with scale 1. Fewer than three points, or points on one line, are not `valid`.

    Raises:
        InputError: shapes that do not belong together, or a negative weight.
    """
    return _align(source, target, weights, scaled=False)


def align_similarity(
    source: Float[Array, "*batch n 3"],
    target: Float[Array, "*batch n 3"],
    weights: Float[Array, "*batch n"] | None = None,
) -> Alignment:
    """As `align_rigid`, with the scale that fits best (Umeyama 1991, equations 40-42)."""
    return _align(source, target, weights, scaled=True)


def align_wrist(source: Float[Array, "*batch n 3"], target: Float[Array, "*batch n 3"]) -> Alignment:
    """The translation that brings joint 0 of source onto joint 0 of target.

    Raises:
        InputError: shapes that do not belong together.
    """
    _check(source, target, None)
    source, target = alike(source, target)
    xp = array_namespace(source)
    translation = target[..., WRIST, :] - source[..., WRIST, :]
    valid = xp.all(xp.isfinite(translation), axis=-1)
    batch = tuple(valid.shape)
    identity = xp.zeros((*batch, 3, 3), dtype=source.dtype, device=source.device) + _identity(source)
    scale = xp.ones(batch, dtype=source.dtype, device=source.device)
    return Alignment(nan_unless(valid, identity), nan_unless(valid, translation), nan_unless(valid, scale), valid)


def _align(source: Array, target: Array, weights: Array | None, scaled: bool) -> Alignment:
    _check(source, target, weights)
    source, target = alike(source, target)
    xp = array_namespace(source)
    known = xp.all(xp.isfinite(source) & xp.isfinite(target), axis=-1)
    weights = xp.ones_like(source[..., 0]) if weights is None else xp.astype(weights, source.dtype)
    weights = xp.where(known & (weights > 0), weights, 0.0)
    count = xp.sum(xp.astype(weights > 0, xp.int64), axis=-1)
    total = xp.sum(weights, axis=-1, keepdims=True)
    share = (weights / xp.where(total > 0, total, 1.0))[..., None]

    source, target = xp.where(known[..., None], source, 0.0), xp.where(known[..., None], target, 0.0)
    source_mean = xp.sum(share * source, axis=-2, keepdims=True)
    target_mean = xp.sum(share * target, axis=-2, keepdims=True)
    covariance = xp.matrix_transpose(share * (target - target_mean)) @ (source - source_mean)

    # Before the SVD, whose gradient is not finite for points on one line.
    valid = (count >= 3) & _spans_a_plane(constant(covariance))
    covariance = xp.where(valid[..., None, None], covariance, like(((3, 0, 0), (0, 2, 0), (0, 0, 1)), source))
    U, S, Vt = xp.linalg.svd(covariance, full_matrices=False)
    sign = xp.where(xp.linalg.det(constant(U)) * xp.linalg.det(constant(Vt)) < 0, -1.0, 1.0)
    sign = xp.astype(sign, source.dtype)
    upright = xp.stack([xp.ones_like(sign), xp.ones_like(sign), sign], axis=-1)
    rotation = (U * upright[..., None, :]) @ Vt
    if scaled:
        variance = xp.sum(share * (source - source_mean) ** 2, axis=(-2, -1))
        scale = xp.sum(S * upright, axis=-1) / xp.where(valid, variance, 1.0)
    else:
        scale = xp.ones_like(sign)
    turned = (source_mean @ xp.matrix_transpose(rotation))[..., 0, :]
    translation = target_mean[..., 0, :] - scale[..., None] * turned
    return Alignment(nan_unless(valid, rotation), nan_unless(valid, translation), nan_unless(valid, scale), valid)


def _spans_a_plane(covariance: Float[Array, "*batch 3 3"]) -> Bool[Array, "*batch"]:
    """Whether a second singular value is above rounding: a rotation is only determined by points that span a plane.

    With the singular values a >= b >= c, the cofactors have the norm of (ab, ac, bc): about ab where b is small.
    """
    xp = array_namespace(covariance)
    largest = xp.max(xp.abs(covariance), axis=(-2, -1), keepdims=True)
    unit = covariance / xp.where(largest > 0, largest, 1.0)
    first, second, third = (unit[..., row, :] for row in range(3))
    pairs = ((first, second), (second, third), (third, first))
    cofactors = xp.stack([xp.linalg.cross(one, other) for one, other in pairs], axis=-2)
    size, spread = (xp.sum(matrix**2, axis=(-2, -1)) for matrix in (unit, cofactors))
    return spread > (64 * epsilon(covariance) * size) ** 2


def _identity(array: Array) -> Array:
    return like(((1, 0, 0), (0, 1, 0), (0, 0, 1)), array)


def _check(source: Array, target: Array, weights: Array | None) -> None:
    if source.shape != target.shape or source.ndim < 2 or source.shape[-1] != 3:
        raise InputError(
            "source and target must hold the same points (..., n, 3), "
            f"found {tuple(source.shape)} and {tuple(target.shape)}"
        )
    check_weights("weights", weights, tuple(source.shape[:-1]), absent="0 means missing")
