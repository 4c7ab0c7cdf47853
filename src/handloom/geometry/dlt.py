"""Linear triangulation of many points from many views at once."""

import numpy as np
from jaxtyping import Bool, Float

from handloom.errors import InputError
from handloom.geometry.arrays import (
    Array,
    alike,
    all_finite,
    array_namespace,
    check_weights,
    epsilon,
    like,
    nan_unless,
)

MIN_PARALLAX_RAD = 1e-3
"""Rays that spread less than this around their mean direction count as parallel."""

_CHUNK_NUMBERS = 2**18  # features of one chunk: stays near the processor's cache, keeps memory flat for 520 views

# Each observation contributes w^2 P^T Q P to the point's 4x4 normal matrix, where Q is linear in a few
# numbers. Coordinates (x, y), rows x P3 - P1 and y P3 - P2: Q is linear in 1, x, y and x^2 + y^2.
_COORDINATE_FORMS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 0]],
        [[0, 0, -1], [0, 0, 0], [-1, 0, 0]],
        [[0, 0, 0], [0, 0, -1], [0, -1, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 1]],
    ]
)
# Rays d, rows of the cross product d x P: Q = |d|^2 I - d d^T.
_RAY_FORMS = np.array(
    [
        [[1, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 1]],
        [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
        [[0, 0, 1], [0, 0, 0], [1, 0, 0]],
        [[0, 0, 0], [0, 0, 1], [0, 1, 0]],
    ]
)


def triangulate_dlt(
    projections: Float[Array, "views *points rows 4"],
    observations: Float[Array, "views n dim"],
    weights: Float[Array, "views n"] | None = None,
) -> tuple[Float[Array, "n 3"], Bool[Array, "n"]]:
    """Confidence-weighted direct linear transform by the smallest eigenvector (Hartley and Zisserman 2004,
    12.2).

    With coordinates (x, y) the rows of a view are w (x P3 - P1) and w (y P3 - P2): any projection P with
    coordinates in its units (pixels for K [R | t], normalised for [R | t]). With rays they are w d x P,
    which with unit rays and P = [R | t] measures the distance of the point from the ray in every direction,
    beyond 90 degrees as well. As ever with the homogeneous form, noisy results depend a little on the
    world's unit and origin; `triangulate` chooses them from the cameras.

    Args:
        projections: (views, 3 or 4, 4) shared by all points, or (views, n, 3 or 4, 4) for moving cameras.
        observations: (views, n, 2) coordinates or (views, n, 3) rays; NaN means not seen.
        weights: multiply the rows; 0 or NaN means not seen. Without, every view counts the same.

    Returns:
        World points and their validity. Seen by fewer than two views, on (nearly) parallel rays, or behind a
        camera
        that sees it: NaN and False.

    Raises:
        InputError: shapes that do not belong together, or a negative weight.
    """
    return _triangulated(projections, observations, weights, homogeneous=True)


def nearest_to_rays(
    projections: Float[Array, "views *points rows 4"],
    rays: Float[Array, "views n 3"],
    weights: Float[Array, "views n"] | None = None,
) -> tuple[Float[Array, "n 3"], Bool[Array, "n"]]:
    """The points with the smallest sum of squared, weighted distances from unit rays: 3 x 3 equations in closed form.

    As `triangulate_dlt` with rays, but with distances in the world's unit: nothing depends on the origin, and a point
    costs a fraction.
    """
    return _triangulated(projections, rays, weights, homogeneous=False)


def _triangulated(
    projections: Array, observations: Array, weights: Array | None, homogeneous: bool
) -> tuple[Array, Array]:
    _check(projections, observations, weights)
    projections, observations = alike(projections, observations)
    xp = array_namespace(observations)
    if weights is not None:
        weights = xp.astype(weights, observations.dtype)
    views, n = observations.shape[:2]
    P = projections[..., :3, :]
    moving = P.ndim == 4
    size = max(256, _CHUNK_NUMBERS // (views * 4))
    forms = None if moving else _normal_forms(P, observations)
    points, valid = [], []
    for start in range(0, max(n, 1), size):
        chunk = slice(start, start + size)
        found, good = _solve(
            P[:, chunk] if moving else P,
            forms,
            observations[:, chunk],
            None if weights is None else weights[:, chunk],
            homogeneous,
        )
        points.append(found)
        valid.append(good)
    return (points[0], valid[0]) if len(points) == 1 else (xp.concat(points, axis=0), xp.concat(valid, axis=0))


def _forms(observations: Array) -> np.ndarray:
    return _COORDINATE_FORMS if observations.shape[-1] == 2 else _RAY_FORMS


def _normal_forms(P: Array, observations: Array) -> Array:
    """(views * features, 16): what one unit of each feature adds to the normal matrix."""
    PT = array_namespace(P).matrix_transpose(P)[:, None]
    return (PT @ like(_forms(observations), P) @ P[:, None]).reshape(-1, 16)


def _features(observations: Array, square: Array) -> Array:
    """(views, features, n): the numbers in which a view's contribution is linear."""
    xp = array_namespace(observations)
    x, y = observations[..., 0], observations[..., 1]
    if observations.shape[-1] == 2:
        return xp.stack([square, square * x, square * y, square * (x * x + y * y)], axis=1)
    z = observations[..., 2]
    xx, yy, zz = x * x, y * y, z * z
    return xp.stack(
        [
            square * (yy + zz),
            square * (xx + zz),
            square * (xx + yy),
            -square * x * y,
            -square * x * z,
            -square * y * z,
        ],
        axis=1,
    )


def _solve(
    P: Array, forms: Array | None, observations: Array, weights: Array | None, homogeneous: bool
) -> tuple[Array, Array]:
    xp = array_namespace(observations)
    n = observations.shape[1]
    seen = all_finite(observations)
    square = xp.ones_like(observations[..., 0])
    if weights is not None:
        seen = seen & (weights > 0) & xp.isfinite(weights)
        square = weights * weights
    if not bool(xp.all(seen)):
        observations = xp.where(seen[..., None], observations, 0.0)
        square = xp.where(seen, square, 0.0)
    features = _features(observations, square)
    if forms is None:
        Q = xp.tensordot(features, like(_forms(observations), P), axes=((1,), (0,)))
        normal = xp.sum(xp.matrix_transpose(P) @ Q @ P, axis=0)
    else:
        normal = (features.reshape(forms.shape[0], n).T @ forms).reshape(n, 4, 4)

    valid = (xp.sum(xp.astype(seen, xp.int32), axis=0) >= 2) & _spread_out(normal)
    if not bool(xp.all(valid)):
        normal = xp.where(valid[:, None, None], normal, like(np.diag([1, 2, 3, 0]), P))
    if homogeneous:
        vector = xp.linalg.eigh(normal)[1][:, :, 0]
        last = vector[:, 3:]
        finite = xp.abs(last) > epsilon(vector)
        points = vector[:, :3] / xp.where(finite, last, 1.0)
    else:
        points = _solved(normal)
        finite = xp.isfinite(points[:, :1])
    behind = seen & (_depth(P, observations, points) <= 0)
    valid = valid & finite[:, 0] & ~xp.any(behind, axis=0)
    return nan_unless(valid, points), valid


def _solved(normal: Array) -> Array:
    """(n, 3): the solution of the upper 3 x 3 block for minus the last column, by cofactors."""
    xp = array_namespace(normal)
    a, b, c = normal[:, 0, 0], normal[:, 1, 1], normal[:, 2, 2]
    d, e, f = normal[:, 0, 1], normal[:, 0, 2], normal[:, 1, 2]
    x, y, z = -normal[:, 0, 3], -normal[:, 1, 3], -normal[:, 2, 3]
    bc, ef, df = b * c - f * f, e * f - d * c, d * f - b * e
    ac, ed, ab = a * c - e * e, d * e - a * f, a * b - d * d
    scale = 1 / (a * bc + d * ef + e * df)
    rows = (bc * x + ef * y + df * z, ef * x + ac * y + ed * z, df * x + ed * y + ab * z)
    return xp.stack([row * scale for row in rows], axis=-1)


def _spread_out(normal: Array) -> Array:
    """Whether rays differ in direction: per unit weight the 3x3 block has the eigenvalues 1, 1, spread^2."""
    a, b, c = normal[:, 0, 0], normal[:, 1, 1], normal[:, 2, 2]
    d, e, f = normal[:, 0, 1], normal[:, 0, 2], normal[:, 1, 2]
    determinant = a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)
    half_trace = (a + b + c) / 2
    return determinant > max(MIN_PARALLAX_RAD**2, 16 * epsilon(normal)) * half_trace * half_trace * half_trace


def _depth(P: Array, observations: Array, points: Array) -> Array:
    """(views, n): depth along the axis for coordinates, along the ray for rays."""
    xp = array_namespace(points)
    if P.ndim == 3 and observations.shape[-1] == 2:
        return P[:, 2, :3] @ points.T + P[:, 2, 3:]
    points = points[None, :, :, None] if P.ndim == 4 else points.T[None]
    seen_from = P[..., :3] @ points + P[..., 3:]
    if P.ndim == 4:
        seen_from = seen_from[..., 0]
        return seen_from[..., 2] if observations.shape[-1] == 2 else xp.sum(seen_from * observations, axis=-1)
    return sum(seen_from[:, i] * observations[..., i] for i in range(3))


def _check(projections: Array, observations: Array, weights: Array | None) -> None:
    if observations.ndim != 3 or observations.shape[-1] not in (2, 3):
        raise InputError(f"observations must have shape (views, points, 2 or 3), found {tuple(observations.shape)}")
    views, n = observations.shape[:2]
    shape = tuple(projections.shape)
    if shape not in [(*lead, rows, 4) for lead in ((views,), (views, n)) for rows in (3, 4)]:
        raise InputError(
            f"projections must have shape ({views}, 3 or 4, 4), or ({views}, {n}, 3 or 4, 4) for moving "
            f"cameras, to go with observations of shape {tuple(observations.shape)}; found {shape}"
        )
    check_weights("weights", weights, (views, n))
