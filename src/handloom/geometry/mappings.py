"""Two ways to lay the directions in front of a camera out on a plane: perspective and equidistant."""

from math import inf, pi, radians
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float

from handloom.geometry.arrays import Array, all_finite, array_namespace, squared_length

_SERIES = 1e-5  # below this squared angle three terms of a Taylor series are exact in double precision


class Mapping(Protocol):
    """A plane whose radius depends on the angle to the optical axis only."""

    max_angle: float
    """Angles up to here are tabulated."""
    max_radius: float
    """The plane ends here."""

    def radius(self, angle: np.ndarray) -> np.ndarray:
        """Distance from the centre of the plane for an angle to the optical axis."""

    def to_plane(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        """Camera-frame points to the plane; 0 and False where the mapping has no value."""

    def to_rays(self, plane: Float[Array, "*batch 2"]) -> Float[Array, "*batch 3"]:
        """The plane to unit rays."""

    def jacobian(self, points: Float[Array, "*batch 3"]) -> Float[Array, "*batch 2 3"]:
        """Derivative of `to_plane` by the point."""


class _Perspective:
    """(x / z, y / z), for points in front of the camera."""

    max_angle = radians(89.9)
    max_radius = inf

    def radius(self, angle: np.ndarray) -> np.ndarray:
        return np.asarray(np.tan(angle))

    def to_plane(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        xp = array_namespace(points)
        valid = all_finite(points) & (points[..., 2] > 0)
        depth = xp.where(valid, points[..., 2], 1.0)
        return xp.stack([xp.where(valid, points[..., i], 1.0) / depth for i in (0, 1)], axis=-1), valid

    def to_rays(self, plane: Float[Array, "*batch 2"]) -> Float[Array, "*batch 3"]:
        xp = array_namespace(plane)
        length = xp.sqrt(1 + squared_length(plane))
        return xp.stack([plane[..., 0] / length, plane[..., 1] / length, 1 / length], axis=-1)

    def jacobian(self, points: Float[Array, "*batch 3"]) -> Float[Array, "*batch 2 3"]:
        xp = array_namespace(points)
        plane, valid = self.to_plane(points)
        inverse = 1 / xp.where(valid, points[..., 2], 1.0)
        zero = xp.zeros_like(inverse)
        return xp.stack(
            [
                xp.stack([inverse, zero, -plane[..., 0] * inverse], axis=-1),
                xp.stack([zero, inverse, -plane[..., 1] * inverse], axis=-1),
            ],
            axis=-2,
        )


class _Equidistant:
    """The angle to the optical axis, in radians, along the direction of (x, y); up to straight behind."""

    max_angle = pi
    max_radius = pi

    def radius(self, angle: np.ndarray) -> np.ndarray:
        return angle

    def to_plane(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        xp = array_namespace(points)
        points, valid = self._ahead(points)
        scale, _ = self._angle_over_radius(points)
        return xp.where(valid[..., None], points[..., :2] * scale[..., None], 0.0), valid

    def to_rays(self, plane: Float[Array, "*batch 2"]) -> Float[Array, "*batch 3"]:
        xp = array_namespace(plane)
        square = xp.sum(plane * plane, axis=-1, keepdims=True)
        near = square < _SERIES
        angle = xp.sqrt(xp.where(near, 1.0, square))
        sinc = xp.where(near, 1 - square / 6 * (1 - square / 20), xp.sin(angle) / angle)
        cosine = xp.where(near, 1 - square / 2 * (1 - square / 12 * (1 - square / 30)), xp.cos(angle))
        return xp.concat([plane * sinc, cosine], axis=-1)

    def jacobian(self, points: Float[Array, "*batch 3"]) -> Float[Array, "*batch 2 3"]:
        xp = array_namespace(points)
        points, _ = self._ahead(points)
        scale, slope = self._angle_over_radius(points)
        x, y = points[..., 0], points[..., 1]
        square = xp.sum(points * points, axis=-1)
        cross = x * y * slope
        return xp.stack(
            [
                xp.stack([scale + x * x * slope, cross, -x / square], axis=-1),
                xp.stack([cross, scale + y * y * slope, -y / square], axis=-1),
            ],
            axis=-2,
        )

    def _ahead(self, points: Array) -> tuple[Array, Array]:
        """Points, with undefined ones (camera centre, straight behind, NaN) replaced by one on the axis."""
        xp = array_namespace(points)
        off_axis = (points[..., 0] != 0) | (points[..., 1] != 0)
        valid = xp.all(xp.isfinite(points), axis=-1) & (off_axis | (points[..., 2] > 0))
        axis = xp.stack([xp.zeros_like(points[..., 0])] * 2 + [xp.ones_like(points[..., 0])], axis=-1)
        return xp.where(valid[..., None], points, axis), valid

    def _angle_over_radius(self, points: Array) -> tuple[Array, Array]:
        """angle / r with r = |(x, y)|, and its derivative by r, divided by r."""
        xp = array_namespace(points)
        z = points[..., 2]
        square = points[..., 0] * points[..., 0] + points[..., 1] * points[..., 1]
        near = (z > 0) & (square < _SERIES * z * z)
        z_near = xp.where(near, z, 1.0)
        s = xp.where(near, square, 0.0) / (z_near * z_near)
        radius = xp.sqrt(xp.where(near, 1.0, square))
        angle = xp.atan2(radius, z)
        scale = xp.where(near, (1 - s / 3 + s * s / 5) / z_near, angle / radius)
        slope = xp.where(
            near,
            (-2 / 3 + 4 / 5 * s - 6 / 7 * s * s) / (z_near * z_near * z_near),
            (z / (radius * radius + z * z) - angle / radius) / (radius * radius),
        )
        return scale, slope


PERSPECTIVE: Mapping = _Perspective()
EQUIDISTANT: Mapping = _Equidistant()
