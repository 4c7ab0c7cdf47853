"""Fisheye cameras that distort the equidistant mapping by a polynomial."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from handloom.errors import CalibrationError
from handloom.geometry.arrays import Array
from handloom.geometry.distortion import DistortedCamera, radial, tangential
from handloom.geometry.mappings import EQUIDISTANT, Mapping


@dataclass(frozen=True)
class KannalaBrandt(DistortedCamera):
    """OpenCV's fisheye: radius = angle (1 + k1 angle^2 + ... + k4 angle^8) (Kannala and Brandt 2006).

    Attributes:
        distortion: k1, k2, k3, k4.
    """

    mapping: ClassVar[Mapping] = EQUIDISTANT
    distortion: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.distortion) != 4:
            raise CalibrationError(
                f"Kannala-Brandt distortion has 4 coefficients (k1, k2, k3, k4), found {len(self.distortion)}"
            )

    def _distort(self, plane: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch 2 2"]]:
        return radial(plane, self.distortion)


@dataclass(frozen=True)
class OVFishEye62(DistortedCamera):
    """The fisheye of the Assembly101 and AssemblyHands headset: six radial and two tangential coefficients.

    The tangential part acts on the radially distorted point, and p1 and p2 have the opposite roles to
    OpenCV's.

    Attributes:
        distortion: k1, k2, k3, k4, p1, p2, k5, k6, in this order.
    """

    mapping: ClassVar[Mapping] = EQUIDISTANT
    distortion: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.distortion) != 8:
            raise CalibrationError(
                "OVFishEye62 distortion has 8 coefficients (k1, k2, k3, k4, p1, p2, k5, k6), "
                f"found {len(self.distortion)}"
            )

    def _distort(self, plane: Float[Array, "*batch 2"]) -> tuple[Float[Array, "*batch 2"], Float[Array, "*batch 2 2"]]:
        k1, k2, k3, k4, p1, p2, k5, k6 = self.distortion
        scaled, scaling = radial(plane, (k1, k2, k3, k4, k5, k6))
        offset, shear = tangential(scaled, p2, p1)
        return scaled + offset, scaling + shear @ scaling
