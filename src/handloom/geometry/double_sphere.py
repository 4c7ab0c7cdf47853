"""The double sphere camera: closed form in both directions, far beyond 180 degrees."""

from dataclasses import dataclass
from math import sqrt

from jaxtyping import Bool, Float

from handloom.errors import CalibrationError
from handloom.geometry.arrays import Array, array_namespace, constant, like
from handloom.geometry.cameras import Camera


@dataclass(frozen=True)
class DoubleSphere(Camera):
    """Projection through two unit spheres and a shifted pinhole (Usenko, Demmel and Cremers 2018, equations
    40-50).

    Attributes:
        xi: distance of the sphere centres, -1 < xi < 1.
        alpha: shift of the pinhole, 0 ... 1.
    """

    xi: float
    alpha: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not -1 < self.xi < 1 or not 0 <= self.alpha <= 1:
            raise CalibrationError(
                "a double sphere camera has -1 < xi < 1 and 0 <= alpha <= 1, "
                f"found xi {self.xi:g}, alpha {self.alpha:g}"
            )

    def _to_plane(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        points, valid = self._inside(points)
        return points[..., :2] / self._denominator(points)[0], valid

    def _plane_jacobian(self, points: Float[Array, "*batch 3"]) -> Float[Array, "*batch 2 3"]:
        points, _ = self._inside(points)
        denominator, gradient = self._denominator(points)
        plane = points[..., :2] / denominator
        identity = like([[1, 0, 0], [0, 1, 0]], points)
        return (identity - plane[..., :, None] * gradient[..., None, :]) / denominator[..., None]

    def _to_rays(self, plane: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 3"], Bool[Array, "*batch"]]:
        xp = array_namespace(plane)
        xi, alpha = self.xi, self.alpha
        square = xp.sum(plane * plane, axis=-1, keepdims=True)
        valid = square * (2 * alpha - 1) < 1
        square = xp.where(valid, square, 0.0)
        z = (1 - alpha**2 * square) / (alpha * xp.sqrt(1 - (2 * alpha - 1) * square) + 1 - alpha)
        scale = (z * xi + xp.sqrt(z * z + (1 - xi**2) * square)) / (z * z + square)
        rays = xp.concat([plane * scale, z * scale - xi], axis=-1)
        return rays, valid[..., 0]

    def _inside(self, points: Array) -> tuple[Array, Array]:
        """Points with those outside the domain replaced by one on the axis."""
        xp = array_namespace(points)
        known = xp.all(xp.isfinite(points), axis=-1)
        axis = like([0, 0, 1], points)
        points = xp.where(known[..., None], points, axis)
        length = xp.sqrt(xp.sum(constant(points) ** 2, axis=-1))
        valid = known & (length > 0) & (points[..., 2] > self._lowest_cosine * length)
        return xp.where(valid[..., None], points, axis), valid

    @property
    def _lowest_cosine(self) -> float:
        """Cosine of the largest angle to the axis that is still seen, and seen once (equation 43)."""
        alpha, xi = self.alpha, self.xi
        w1 = min(alpha / (1 - alpha), (1 - alpha) / alpha) if 0 < alpha < 1 else 0.0
        return -(w1 + xi) / sqrt(2 * w1 * xi + xi**2 + 1)

    def _denominator(self, points: Array) -> tuple[Array, Array]:
        """What (x, y) is divided by, and its gradient."""
        xp = array_namespace(points)
        first = xp.sqrt(xp.sum(points * points, axis=-1, keepdims=True))
        shifted = self.xi * first + points[..., 2:]
        second = xp.sqrt(xp.sum(points[..., :2] ** 2, axis=-1, keepdims=True) + shifted * shifted)
        shifted_gradient = self.xi * points / first + like([0, 0, 1], points)
        second_gradient = (points * like([1, 1, 0], points) + shifted * shifted_gradient) / second
        denominator = self.alpha * second + (1 - self.alpha) * shifted
        return denominator, self.alpha * second_gradient + (1 - self.alpha) * shifted_gradient
