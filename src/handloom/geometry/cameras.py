"""What every camera can do, and the pinhole camera."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from math import isfinite, radians, tan
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from handloom.errors import CalibrationError
from handloom.geometry.arrays import Array, all_finite, array_namespace, like, nan_unless
from handloom.geometry.mappings import PERSPECTIVE

# Not `Self`: the run-time checks of the tests cannot resolve it.
AnyCamera = TypeVar("AnyCamera", bound="Camera")


@dataclass(frozen=True)
class Camera(ABC):
    """Intrinsics of one camera. Camera frame: x right, y down, z forward; pixel centres at integers.

    A model maps points to the image plane, in units of the focal length; pixel = focal length * plane +
    principal point.

    Attributes:
        width, height: image size in pixels.
        fx, fy, cx, cy: focal lengths and principal point in pixels.

    Raises:
        CalibrationError: a size, focal length or coefficient that no camera has.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise CalibrationError(f"image size must be positive, found {self.width} x {self.height}")
        for item in fields(self):
            value = getattr(self, item.name)
            if not np.isfinite(value).all():
                raise CalibrationError(f"{item.name} is not finite: {value}")
        if self.fx <= 0 or self.fy <= 0:
            raise CalibrationError(f"focal lengths must be positive, found fx {self.fx:g}, fy {self.fy:g}")

    @abstractmethod
    def _to_plane(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        """Points to the image plane; anything finite outside the model's domain."""

    @abstractmethod
    def _to_rays(self, plane: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 3"], Bool[Array, "*batch"]]:
        """Image plane to unit rays; anything finite where no ray arrives."""

    @abstractmethod
    def _plane_jacobian(self, points: Float[Array, "*batch 3"]) -> Float[Array, "*batch 2 3"]:
        """Derivative of `_to_plane`."""

    def project(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        """Camera-frame points to pixels. Points outside the model's domain give NaN and False."""
        plane, valid = self._to_plane(points)
        pixels = plane * like([self.fx, self.fy], points) + like([self.cx, self.cy], points)
        return nan_unless(valid, pixels), valid

    def unproject(self, pixels: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 3"], Bool[Array, "*batch"]]:
        """Pixels to unit rays in the camera frame. Pixels that no ray reaches give NaN and False."""
        plane = (pixels - like([self.cx, self.cy], pixels)) / like([self.fx, self.fy], pixels)
        known = all_finite(plane)
        rays, valid = self._to_rays(array_namespace(pixels).where(known[..., None], plane, 0.0))
        valid = valid & known
        return nan_unless(valid, rays), valid

    def jacobian(self, points: Float[Array, "*batch 3"]) -> Float[Array, "*batch 2 3"]:
        """Derivative of the pixel by the camera-frame point; meaningless where `project` is not valid."""
        return self._plane_jacobian(points) * like([[self.fx], [self.fy]], points)

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """The 3x3 calibration matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    @property
    def horizontal_fov_deg(self) -> float:
        """Angle between the outermost rays of the row through the principal point, in degrees."""
        columns = np.linspace(-0.5, self.width - 0.5, self.width + 1)
        rays, valid = self.unproject(np.stack([columns, np.full_like(columns, self.cy)], -1))
        if not valid.any():
            return float("nan")
        angles = np.arctan2(rays[valid, 0], rays[valid, 2])
        return float(np.degrees(angles[-1] - angles[0]))

    def resized(self: AnyCamera, width: int, height: int) -> AnyCamera:
        """The camera of the same image scaled to another size."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self: AnyCamera, x0: int, y0: int, width: int, height: int) -> AnyCamera:
        """The camera of the part of the image that starts at (x0, y0); it may reach beyond the image."""
        return replace(self, width=width, height=height, cx=self.cx - x0, cy=self.cy - y0)


@dataclass(frozen=True)
class Pinhole(Camera):
    """The perspective camera without distortion."""

    @classmethod
    def from_fov(cls, width: int, height: int, fov_deg: float) -> "Pinhole":
        """Square pixels, principal point in the middle, and a horizontal field of view in degrees.

        Raises:
            CalibrationError: the angle is not between 0 and 180 degrees.
        """
        if not isfinite(fov_deg) or not 0 < fov_deg < 180:
            raise CalibrationError(
                f"a pinhole camera's field of view must lie between 0 and 180 degrees, found {fov_deg:g}"
            )
        focal = width / 2 / tan(radians(fov_deg) / 2)
        return cls(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)

    def _to_plane(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        return PERSPECTIVE.to_plane(points)

    def _to_rays(self, plane: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 3"], Bool[Array, "*batch"]]:
        xp = array_namespace(plane)
        return PERSPECTIVE.to_rays(plane), xp.ones(plane.shape[:-1], dtype=xp.bool, device=plane.device)

    def _plane_jacobian(self, points: Float[Array, "*batch 3"]) -> Float[Array, "*batch 2 3"]:
        return PERSPECTIVE.jacobian(points)
