"""Which views to believe: RANSAC over pairs of views, and leaving out one view after another."""

from math import floor

import numpy as np
from jaxtyping import Bool, Float

from handloom.geometry.arrays import Array, array_namespace, epsilon, like
from handloom.geometry.dlt import nearest_to_rays
from handloom.geometry.views import Views

_PAIRS = 64  # all pairs of up to 11 views; of more views as many, spread over all pairs


def believed_by_ransac(views: Views, threshold_px: float, seed: int) -> Float[Array, "views n"]:
    """Weights with those of wrong views set to 0, by the pair of views whose point the most views agree with.

    The point halfway between the rays of a pair is scored by the truncated squared error (MSAC, Torr and
    Zisserman 2000), until all views but one agree. Up to 64 pairs of a point's views are tried; of more a fixed
    sample, which
    depends on the seed but not on the other points. Points without two agreeing views lose all weights.
    """
    xp = array_namespace(views.rays)
    doubtful, result = _doubtful(views, threshold_px)
    if not bool(xp.any(doubtful)):
        return result
    part = views.points(doubtful)
    seen = part.weights > 0
    count = xp.sum(xp.astype(seen, xp.int64), axis=0)
    order = xp.argsort(xp.astype(~seen, xp.int64), axis=0, stable=True)
    pairs = count * (count - 1) // 2
    most = int(xp.max(pairs))
    least = xp.sum(part.weights, axis=0) * threshold_px**2
    believed = xp.zeros_like(seen)
    active = xp.arange(count.shape[0], device=count.device)
    for trial, jitter in enumerate(np.random.default_rng(seed).random(_PAIRS)):
        if trial >= most or active.shape[0] == 0:
            break
        some, tried = part.points(active), pairs[active]
        spread = floor((trial + jitter) / _PAIRS * 2**32)
        number = xp.where(tried <= _PAIRS, trial, spread * tried // 2**32)
        points, possible = _halfway(some, order[:, active], number)
        errors = some.reprojection_error(points)
        agree = seen[:, active] & (errors <= threshold_px)
        clipped = xp.where(agree, errors, threshold_px)
        score = xp.sum(some.weights * clipped * clipped, axis=0)
        agreeing = xp.sum(xp.astype(agree, xp.int64), axis=0)
        possible = possible & (number < tried) & (agreeing >= 2)
        best = possible & (score < least[active])
        least[active] = xp.where(best, score, least[active])
        believed[:, active] = xp.where(best, agree, believed[:, active])
        # With all but one view agreed, and three or more of them, no other pair can find more.
        active = active[~(possible & (agreeing >= count[active] - 1) & (agreeing >= 3))]
    believed = _settled(part, believed, threshold_px)
    return _replaced(result, doubtful, xp.where(believed, part.weights, 0.0))


def believed_by_leaving_out(views: Views, threshold_px: float) -> Float[Array, "views n"]:
    """Weights with those of wrong views set to 0, by leaving out one view at a time.

    While a view disagrees with the point by more than the threshold, the view goes without which the others
    agree best. Points for which no two agreeing views remain lose all weights.
    """
    xp = array_namespace(views.rays)
    doubtful, result = _doubtful(views, threshold_px)
    while bool(xp.any(doubtful)):
        part = views.points(doubtful)
        seen = part.weights > 0
        number = xp.arange(len(views.cameras), device=seen.device)[:, None]
        least = xp.zeros_like(part.weights[0]) + float("inf")
        worst = xp.zeros_like(number[0]) + xp.zeros_like(xp.astype(seen[0], xp.int64)) - 1
        for view in range(len(views.cameras)):
            rest = part.weighted(xp.where(number == view, 0.0, part.weights))
            points, valid = nearest_to_rays(rest.projections, rest.rays, rest.weights)
            errors = xp.where(rest.weights > 0, rest.reprojection_error(points), 0.0)
            score = xp.sum(rest.weights * errors * errors, axis=0)
            better = seen[view] & valid & (score < least)
            least, worst = xp.where(better, score, least), xp.where(better, view, worst)
        # No choice leaves a valid point: there is no consensus to be found.
        weights = xp.where((number == worst) | (worst < 0), 0.0, part.weights)
        still, weights = _doubtful(part.weighted(weights), threshold_px)
        result = _replaced(result, doubtful, weights)
        indices = xp.nonzero(doubtful)[0][still]
        doubtful = xp.zeros_like(doubtful)
        doubtful[indices] = True
    return result


def _doubtful(views: Views, threshold_px: float) -> tuple[Bool[Array, "n"], Float[Array, "views n"]]:
    """Points that three or more views see but do not agree on; and the weights, 0 where only two disagree."""
    xp = array_namespace(views.rays)
    points, valid = nearest_to_rays(views.projections, views.rays, views.weights)
    errors = xp.where(views.weights > 0, views.reprojection_error(points), 0.0)
    wrong = ~valid | ~xp.all(errors <= threshold_px, axis=0)
    many = xp.sum(xp.astype(views.weights > 0, xp.int64), axis=0) >= 3
    return wrong & many, xp.where(wrong & ~many, 0.0, views.weights)


def _halfway(views: Views, order: Array, number: Array) -> tuple[Array, Array]:
    """Points closest to both rays of a pair of the views that see it: (0, 1), (0, 2), (1, 2), (0, 3) ..."""
    xp = array_namespace(views.rays)
    later = xp.astype((1 + xp.sqrt(1 + 8 * xp.astype(number, views.rays.dtype))) / 2, xp.int64)
    earlier = number - later * (later - 1) // 2
    later = xp.clip(later, None, order.shape[0] - 1)
    each = xp.arange(number.shape[0], device=number.device)
    first, second = order[earlier, each], order[later, each]
    (a, u), (b, v) = _world_ray(views, first, each), _world_ray(views, second, each)
    between = b - a
    cosine = xp.sum(u * v, axis=-1)
    along_u, along_v = xp.sum(u * between, axis=-1), xp.sum(v * between, axis=-1)
    parallax = 1 - cosine * cosine
    possible = parallax > 16 * epsilon(u)
    parallax = xp.where(possible, parallax, 1.0)
    s = (along_u - cosine * along_v) / parallax
    t = (cosine * along_u - along_v) / parallax
    return (a + s[:, None] * u + b + t[:, None] * v) / 2, possible & (s > 0) & (t > 0)


def _world_ray(views: Views, view: Array, each: Array) -> tuple[Array, Array]:
    """Camera centre and ray direction, in the world, of one view per point."""
    xp = array_namespace(views.rays)
    pose = views.cam_from_world[view, each if views.moving else xp.zeros_like(each)]
    world_from_cam = xp.matrix_transpose(pose[:, :3, :3])
    ray = xp.where(views.weights[view, each][:, None] > 0, views.rays[view, each], like([0, 0, 1], views.rays))
    return -(world_from_cam @ pose[:, :3, 3:])[..., 0], (world_from_cam @ ray[..., None])[..., 0]


def _settled(views: Views, believed: Array, threshold_px: float) -> Array:
    """Views that agree with the point of all believed views, rather than with that of two."""
    xp = array_namespace(views.rays)
    for _ in range(2):
        weights = xp.where(believed, views.weights, 0.0)
        points, valid = nearest_to_rays(views.projections, views.rays, weights)
        agree = (views.weights > 0) & (views.reprojection_error(points) <= threshold_px)
        improved = valid & (xp.sum(xp.astype(agree, xp.int64), axis=0) >= 2)
        believed = xp.where(improved, agree, believed & valid)
    return believed


def _replaced(weights: Array, chosen: Array, values: Array) -> Array:
    weights = array_namespace(weights).asarray(weights, copy=True)
    weights[:, chosen] = values
    return weights
