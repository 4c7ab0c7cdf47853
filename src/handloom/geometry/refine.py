"""Damped Gauss-Newton refinement of triangulated points on the reprojection error in pixels."""

from jaxtyping import Float

from handloom.geometry.arrays import Array, array_namespace, epsilon, like
from handloom.geometry.views import Views

_CHUNK_NUMBERS = 2**18  # of Jacobian entries; as in `dlt`
_CONVERGED = 1e-8  # of the squared error: a ten-thousandth of the standard deviation of the point
_LEAST_DAMPING, _MOST_DAMPING = 1e-12, 1e8


def refine(views: Views, points: Float[Array, "n 3"], steps: int = 10) -> Float[Array, "n 3"]:
    """Minimise the sum of (confidence * pixel error)^2 of every point with the true camera models.

    Damping is adapted per point; a step that does not lower the error is not taken, so that no point comes
    out worse than it went in (Hartley and Zisserman 2004, A6).

    Args:
        views: what was seen; views of weight 0 do not count.
        points: starting points. NaN, and points that a weighted camera cannot see, stay what they are.
        steps: upper limit; a point is left alone when it does not improve any more.
    """
    xp = array_namespace(points)
    n = points.shape[0]
    size = max(256, _CHUNK_NUMBERS // (6 * len(views.cameras)))
    number = xp.arange(n, device=points.device)
    chunks = []
    for start in range(0, n, size):
        chunk = slice(start, start + size)
        part = views if n <= size else views.points((number >= start) & (number < start + size))
        chunks.append(_refine(part, points[chunk], steps))
    return xp.concat(chunks, axis=0) if len(chunks) > 1 else chunks[0] if chunks else points


def _refine(views: Views, points: Array, steps: int) -> Array:
    xp = array_namespace(points)
    result = xp.asarray(points, copy=True)
    active = xp.nonzero(xp.all(xp.isfinite(points), axis=-1))[0]
    views, points = views.points(active), points[active]
    cost, normal, gradient = _linearise(views, points)
    damping = 1e-6 * xp.ones_like(cost)
    for _ in range(steps):
        # Damping by the mean curvature does not depend on the unit; a little of it keeps the system regular.
        curvature = (normal[:, 0, 0] + normal[:, 1, 1] + normal[:, 2, 2]) / 3
        ridge = xp.where(curvature > 0, curvature * (damping + epsilon(points)), 1.0)
        identity = like(((1, 0, 0), (0, 1, 0), (0, 0, 1)), points)
        step = xp.linalg.solve(normal + ridge[:, None, None] * identity, gradient[..., None])[..., 0]
        candidate = points - step
        new_cost, new_normal, new_gradient = _linearise(views, candidate)
        better = new_cost < cost
        # A refused step at little damping means that the damping was too small, not that this is the minimum.
        going = xp.where(better, cost - new_cost > _CONVERGED * cost, damping < 1) & xp.isfinite(cost)
        points = xp.where(better[:, None], candidate, points)
        normal = xp.where(better[:, None, None], new_normal, normal)
        gradient = xp.where(better[:, None], new_gradient, gradient)
        cost = xp.where(better, new_cost, cost)
        damping = xp.clip(xp.where(better, damping / 10, damping * 100), _LEAST_DAMPING, _MOST_DAMPING)
        result[active] = points
        if not bool(xp.all(going)):
            active, views, points, cost = active[going], views.points(going), points[going], cost[going]
            normal, gradient, damping = normal[going], gradient[going], damping[going]
        if active.shape[0] == 0:
            break
    return result


def _linearise(views: Views, points: Array) -> tuple[Array, Array, Array]:
    """Squared error (infinite where a weighted view cannot see the point), normal matrix and gradient."""
    xp = array_namespace(points)
    errors, jacobians, unseen = [], [], xp.zeros_like(points[:, 0])
    for view, camera in enumerate(views.cameras):
        weight = views.weights[view]
        local = views.in_camera(view, points)
        pixels, visible = camera.project(local)
        used = visible & (weight > 0)
        scale = xp.where(used, weight, 0.0)[:, None]
        offset = xp.where(used[:, None], pixels - views.keypoints_px[view], 0.0)
        errors.append(offset * scale)
        jacobians.append(views.by_world(view, camera.jacobian(local)) * scale[..., None])
        unseen = xp.where((weight > 0) & ~visible, float("inf"), unseen)
    error = xp.concat(errors, axis=1)[..., None]
    jacobian = xp.concat(jacobians, axis=1)
    transposed = xp.matrix_transpose(jacobian)
    cost = xp.sum(error * error, axis=(1, 2)) + unseen
    return cost, transposed @ jacobian, (transposed @ error)[..., 0]
