"""What every camera can do, and the pinhole camera."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float

from handloom.errors import CalibrationError
from handloom.geometry.arrays import Array, array_namespace


@dataclass(frozen=True)
class Camera(ABC):
    """Intrinsics of one camera. Camera frame: x right, y down, z forward; pixel centres at integers.

    Attributes:
        width, height: image size in pixels.
        fx, fy, cx, cy: focal lengths and principal point in pixels.
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
    def project(self, points: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 2"], Bool[Array, "*batch"]]:
        """Camera-frame points to pixels. Points outside the model's domain give NaN and False."""

    @abstractmethod
    def unproject(self, pixels: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 3"], Bool[Array, "*batch"]]:
        """Pixels to unit rays in the camera frame. Pixels that no ray reaches give NaN and False."""

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """The 3x3 calibration matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    def resized(self, width: int, height: int) -> Self:
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
