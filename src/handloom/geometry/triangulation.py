"""Triangulation of points from any number of calibrated views: linear, robust, refined."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from jaxtyping import Bool, Float, Int

from handloom.errors import InputError
from handloom.geometry.arrays import Array, alike, array_namespace, check_weights, nan_unless
from handloom.geometry.cameras import Camera
from handloom.geometry.consensus import believed_by_leaving_out, believed_by_ransac
from handloom.geometry.dlt import nearest_to_rays
from handloom.geometry.refine import refine as refine_points
from handloom.geometry.views import Views


class Robust(StrEnum):
    """How wrong views are found."""

    NONE = "none"
    RANSAC = "ransac"
    LEAVE_ONE_OUT = "leave-one-out"


@dataclass(frozen=True, eq=False)
class Triangulation:
    """Points in the world, and how well the views agree on them.

    Attributes:
        points: in the unit of the poses; NaN where not `valid`.
        reprojection_error_px: of every view that saw the point, also of those that were not believed; else
            NaN.
        mean_error_px: mean over the valid views.
        valid_views: views that the point was computed from.
        view_count: their number.
        valid: at least two views, not parallel, none behind its camera.
    """

    points: Float[Array, "n 3"]
    reprojection_error_px: Float[Array, "views n"]
    mean_error_px: Float[Array, "n"]
    valid_views: Bool[Array, "views n"]
    view_count: Int[Array, "n"]
    valid: Bool[Array, "n"]


def triangulate(
    cameras: Sequence[Camera],
    cam_from_world: Float[Array, "views *poses 4 4"],
    keypoints_px: Float[Array, "views n 2"],
    confidence: Float[Array, "views n"] | None = None,
    *,
    robust: Robust | str = Robust.NONE,
    threshold_px: float = 15.0,
    refine: bool = True,
    seed: int = 0,
) -> Triangulation:
    """Points from their image positions in several calibrated views, of any models, all points at once.

    Linear triangulation of the rays, on request without views that disagree, then the smallest reprojection
    error in pixels with the true camera models. Positions and the order of views, the world's unit and
    origin do not matter.

    Args:
        cameras: one per view.
        cam_from_world: (views, 4, 4), or (views, n, 4, 4) for cameras that move. NaN: no pose, the view is
            not used.
        keypoints_px: image positions; NaN means not seen.
        confidence: weight of every observation; 0 or NaN means not seen.
        robust: how wrong views are found.
        threshold_px: reprojection error above which a view is wrong; only used when `robust`.
        refine: whether to refine the linear solution.
        seed: of the pairs that RANSAC tries when a point has more than 64.

    Raises:
        InputError: shapes or numbers of views that do not belong together, or a negative confidence.
    """
    poses = _checked(cameras, cam_from_world, keypoints_px, confidence, threshold_px)
    keypoints_px, poses = alike(keypoints_px, poses)
    xp = array_namespace(keypoints_px)
    rays, seen = zip(*(camera.unproject(keypoints_px[view]) for view, camera in enumerate(cameras)))
    rays, seen = xp.stack(rays, axis=0), xp.stack(seen, axis=0)
    weights = xp.ones_like(keypoints_px[..., 0])
    if confidence is not None:
        weights = xp.astype(confidence, weights.dtype)
    posed = xp.all(xp.isfinite(poses), axis=(-2, -1))
    seen = seen & posed & xp.isfinite(weights) & (weights > 0)
    poses, centre, scale = _centred(xp.where(posed[..., None, None], poses, 0.0), posed)
    views = Views(cameras, poses, keypoints_px, nan_unless(seen, rays), xp.where(seen, weights, 0.0))

    if robust not in set(Robust):
        raise InputError(f"robust must be one of {', '.join(Robust)}, found {robust!r}")
    if robust == Robust.RANSAC:
        views = views.weighted(believed_by_ransac(views, threshold_px, seed))
    elif robust == Robust.LEAVE_ONE_OUT:
        views = views.weighted(believed_by_leaving_out(views, threshold_px))
    points, valid = nearest_to_rays(views.projections, views.rays, views.weights)
    if refine:
        points = refine_points(views, points)

    errors = views.reprojection_error(points)
    used = (views.weights > 0) & valid
    # A ray can be met where the model has no image, so a point may be on the ray and yet not be visible.
    valid = valid & xp.all(xp.isfinite(errors) | ~used, axis=0)
    used = used & valid
    count = xp.sum(xp.astype(used, xp.int64), axis=0)
    mean = xp.sum(xp.where(used, errors, 0.0), axis=0) / xp.clip(count, 1, None)
    return Triangulation(
        points=nan_unless(valid, points * scale + centre),
        reprojection_error_px=nan_unless(valid & xp.isfinite(errors), errors),
        mean_error_px=nan_unless(valid, mean),
        valid_views=used,
        view_count=count,
        valid=valid,
    )


def _centred(poses: Array, posed: Array) -> tuple[Array, Array, Array]:
    """Poses for a world with its origin amid the cameras and their spread as unit; origin and unit."""
    xp = array_namespace(poses)
    centres = -(xp.matrix_transpose(poses[..., :3, :3]) @ poses[..., :3, 3:])[..., 0]
    share = xp.astype(posed, poses.dtype)
    share = (share / xp.clip(xp.sum(share, axis=0), 1, None))[..., None]
    origin = xp.sum(share * centres, axis=0)
    unit = xp.sqrt(xp.sum(share * (centres - origin) ** 2, axis=(0, -1)))[:, None]
    unit = xp.where(unit > 0, unit, 1.0)
    shift = (poses[..., :3, :3] @ origin[..., None])[..., 0] + poses[..., :3, 3]
    top = xp.concat([poses[..., :3, :3], (shift / unit)[..., None]], axis=-1)
    return xp.concat([top, poses[..., 3:, :]], axis=-2), origin, unit


def _checked(
    cameras: Sequence[Camera],
    cam_from_world: Array,
    keypoints_px: Array,
    confidence: Array | None,
    threshold_px: float,
) -> Array:
    """Poses of shape (views, 1 or n, 4, 4)."""
    if keypoints_px.ndim != 3 or keypoints_px.shape[0] != len(cameras) or keypoints_px.shape[2] != 2:
        raise InputError(
            f"keypoints_px must have shape ({len(cameras)}, points, 2) to go with {len(cameras)} cameras, "
            f"found {tuple(keypoints_px.shape)}"
        )
    views, n = keypoints_px.shape[:2]
    if views < 2:
        raise InputError(f"triangulation needs at least 2 views, found {views}")
    if tuple(cam_from_world.shape) not in ((views, 4, 4), (views, n, 4, 4)):
        raise InputError(
            f"cam_from_world must have shape ({views}, 4, 4), or ({views}, {n}, 4, 4) for moving cameras, "
            f"found {tuple(cam_from_world.shape)}"
        )
    check_weights("confidence", confidence, (views, n))
    if not threshold_px > 0:
        raise InputError(f"threshold_px must be positive, found {threshold_px}")
    return cam_from_world if cam_from_world.ndim == 4 else cam_from_world[:, None]
