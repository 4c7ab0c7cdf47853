"""Lens distortion on the plane of a mapping: polynomials, where they can be inverted, and their inverse."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from handloom.errors import CalibrationError
from handloom.geometry.arrays import Array, array_namespace, constant, epsilon, like
from handloom.geometry.cameras import Camera
from handloom.geometry.mappings import Mapping

_ANGLES, _DIRECTIONS, _NEWTON_STEPS = 4096, 32, 30


def radial(
    plane: Float[Array, "*batch 2"], numerator: tuple[float, ...], denominator: tuple[float, ...] = ()
) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch 2 2"]]:
    """Plane points times (1 + a1 r^2 + a2 r^4 ...) / (1 + b1 r^2 + ...), and the Jacobian."""
    xp = array_namespace(plane)
    square = xp.sum(plane * plane, axis=-1)[..., None]
    above, above_slope = _polynomial(square, numerator)
    below, below_slope = _polynomial(square, denominator)
    scale = above / below
    slope = (above_slope - scale * below_slope) / below
    outer = plane[..., :, None] * plane[..., None, :]
    return plane * scale, scale[..., None] * like(np.eye(2), plane) + 2 * slope[..., None] * outer


def tangential(
    plane: Float[Array, "*batch 2"], p1: float, p2: float
) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch 2 2"]]:
    """The offset of a decentred lens with OpenCV's p1 and p2, and its Jacobian (Brown 1966)."""
    xp = array_namespace(plane)
    x, y = plane[..., 0], plane[..., 1]
    offset = xp.stack([2 * p1 * x * y + p2 * (3 * x * x + y * y), p1 * (x * x + 3 * y * y) + 2 * p2 * x * y], axis=-1)
    cross = 2 * (p1 * x + p2 * y)
    jacobian = xp.stack(
        [
            xp.stack([2 * p1 * y + 6 * p2 * x, cross], axis=-1),
            xp.stack([cross, 6 * p1 * y + 2 * p2 * x], axis=-1),
        ],
        axis=-2,
    )
    return offset, jacobian


def _polynomial(square: Array, coefficients: tuple[float, ...]) -> tuple[Array, Array]:
    value, slope = 0 * square, 0 * square
    for coefficient in (*coefficients[::-1], 1.0):
        value, slope = value * square + coefficient, slope * square + value
    return value, slope


@dataclass(frozen=True)
class _Domain:
    """Where a distortion is one to one, and a table of its mean radial course to start the inversion from."""

    limit: float
    reach: float
    radii: np.ndarray
    distorted_radii: np.ndarray


@dataclass(frozen=True)
class DistortedCamera(Camera):
    """A mapping followed by a smooth distortion of its plane, inverted by Newton's method."""

    mapping: ClassVar[Mapping]

    @abstractmethod
    def _distort(self, plane: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch 2 2"]]:
        """The distorted plane point and the Jacobian."""

    @cached_property
    def _domain(self) -> _Domain:
        """The disc, as seen on the undistorted plane, inside which the distortion neither folds nor turns
        back.

        Raises:
            CalibrationError: there is no such disc; the coefficients cannot be those of a lens.
        """
        radii = self.mapping.radius(np.linspace(0, self.mapping.max_angle, _ANGLES + 1))
        around = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
        directions = np.stack([np.cos(around), np.sin(around)], -1)
        with np.errstate(all="ignore"):  # far outside a lens polynomials may overflow
            distorted, jacobian = self._distort(radii[:, None, None] * directions)
            outward = (distorted * directions).sum(-1)
            opens = (np.linalg.det(jacobian) > 0).all(1)
            opens[1:] &= (np.diff(outward, axis=0) > 0).all(1)
        count = _ANGLES + 1 if opens.all() else int(np.argmin(opens))
        if count < 2:
            raise CalibrationError(
                f"the distortion of this {type(self).__name__} camera folds at the image centre; "
                "check the number and order of its coefficients"
            )
        limit = self.mapping.max_radius if count > _ANGLES else float(radii[count - 1])
        reach = np.inf if np.isinf(limit) else float(np.linalg.norm(distorted[count - 1], axis=-1).max())
        return _Domain(limit, reach, radii[:count], outward[:count].mean(1))

    def _to_plane(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        xp = array_namespace(points)
        plane, valid = self.mapping.to_plane(points)
        valid = valid & (xp.sum(plane * plane, axis=-1) <= self._domain.limit**2)
        return self._distort(xp.where(valid[..., None], plane, 0.0))[0], valid

    def _plane_jacobian(self, points: Float[Array, "*batch 3"]) -> Float[Array, "*batch 2 3"]:
        return self._distort(self.mapping.to_plane(points)[0])[1] @ self.mapping.jacobian(points)

    def _to_rays(self, plane: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 3"], Bool[Array, "*batch"]]:
        xp = array_namespace(plane)
        within = xp.sum(plane * plane, axis=-1) <= self._domain.reach**2
        plane = xp.where(within[..., None], plane, 0.0)
        target = constant(plane)
        tolerance = 16 * epsilon(plane) * (1 + xp.max(xp.abs(target), axis=-1))
        undistorted = self._start(target)
        for _ in range(_NEWTON_STEPS):
            distorted, jacobian = self._distort(undistorted)
            residual = distorted - target
            converged = xp.max(xp.abs(residual), axis=-1) <= tolerance
            if bool(xp.all(converged)):
                break
            undistorted = self._clamp(undistorted - _solve(jacobian, residual))
        # One step more on the input itself: at the solution its derivative is exactly that of the inverse.
        undistorted = undistorted - _solve(jacobian, distorted - plane)
        return self.mapping.to_rays(undistorted), within & converged

    def _start(self, target: Array) -> Array:
        """The inverse of the mean radial course, by linear interpolation."""
        xp = array_namespace(target)
        radii, distorted = like(self._domain.radii, target), like(self._domain.distorted_radii, target)
        radius = xp.sqrt(xp.sum(target * target, axis=-1))
        upper = xp.clip(xp.searchsorted(distorted, radius), 1, distorted.shape[0] - 1)
        share = (radius - distorted[upper - 1]) / (distorted[upper] - distorted[upper - 1])
        start = radii[upper - 1] + xp.clip(share, 0.0, 1.0) * (radii[upper] - radii[upper - 1])
        return target * (start / xp.where(radius > 0, radius, 1.0))[..., None]

    def _clamp(self, plane: Array) -> Array:
        xp = array_namespace(plane)
        radius = xp.sqrt(xp.sum(plane * plane, axis=-1, keepdims=True))
        return plane * xp.where(
            radius > self._domain.limit, self._domain.limit / xp.where(radius > 0, radius, 1.0), 1.0
        )


def _solve(matrix: Array, vector: Array) -> Array:
    """2x2 systems by Cramer's rule; 0 where the matrix is singular."""
    xp = array_namespace(vector)
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    x, y = vector[..., 0], vector[..., 1]
    determinant = a * d - b * c
    regular = xp.abs(determinant) > epsilon(vector) ** 2
    inverse = xp.where(regular, 1 / xp.where(regular, determinant, 1.0), 0.0)
    return xp.stack([d * x - b * y, a * y - c * x], axis=-1) * inverse[..., None]
