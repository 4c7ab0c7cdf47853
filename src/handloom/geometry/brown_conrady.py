"""The perspective camera with Brown-Conrady distortion, as calibrated by OpenCV."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from handloom.errors import CalibrationError
from handloom.geometry.arrays import Array
from handloom.geometry.distortion import DistortedCamera, radial, tangential
from handloom.geometry.mappings import PERSPECTIVE, Mapping


@dataclass(frozen=True)
class BrownConrady(DistortedCamera):
    """Perspective projection, then radial (polynomial or rational) and tangential distortion (Brown 1966).

    Attributes:
        distortion: k1, k2, p1, p2[, k3[, k4, k5, k6]] in OpenCV's order: 4, 5 or 8 numbers. With 8 the
            radial part is (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6).
    """

    mapping: ClassVar[Mapping] = PERSPECTIVE
    distortion: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.distortion) not in (4, 5, 8):
            raise CalibrationError(
                "Brown-Conrady distortion has 4, 5 or 8 coefficients (k1, k2, p1, p2[, k3[, k4, k5, k6]]), "
                f"found {len(self.distortion)}; thin prism and tilt terms are not supported"
            )

    def _distort(self, plane: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch 2 2"]]:
        k1, k2, p1, p2, *higher = self.distortion
        scaled, scaling = radial(plane, (k1, k2, *higher[:1]), tuple(higher[1:]))
        offset, shear = tangential(plane, p1, p2)
        return scaled + offset, scaling + shear
