"""Numbers of a calibration file, checked: every refusal names the file, the field and the value."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from handloom.errors import CalibrationError
from handloom.geometry import BrownConrady, Camera, KannalaBrandt, Pinhole

Size = tuple[int, int]
"""Image size as (width, height)."""


def number(place: str, field: str, value: Any) -> float:
    """A finite number. `place` is the file, and the camera in it. Raises CalibrationError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CalibrationError(f"{place}: {field} must be a number, found {value!r}")
    if not abs(value) <= sys.float_info.max:
        raise CalibrationError(f"{place}: {field} is {value}; a calibration must be finite, so make it again")
    return float(value)


def numbers(place: str, field: str, values: Any) -> list[float]:
    """A list of finite numbers. Raises CalibrationError."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise CalibrationError(f"{place}: {field} must be a list of numbers, found {values!r}")
    return [number(place, f"{field}[{index}]", value) for index, value in enumerate(values)]


def pixels(place: str, field: str, value: Any) -> int:
    """A positive whole number of pixels. Raises CalibrationError."""
    size = number(place, field, value)
    if not 1 <= size <= 1 << 20 or size != int(size):
        raise CalibrationError(f"{place}: {field} must be a positive whole number of pixels, found {value}")
    return int(size)


def known_size(place: str, in_file: Size | None, of_video: Size | None) -> Size:
    """The image size in the file, or that of the video where the file has none. Raises CalibrationError."""
    size = in_file or of_video
    if size is None:
        raise CalibrationError(f"{place} holds no image size; give the size of the video that it belongs to")
    return size


def camera_from_matrix(place: str, model: type[Camera], K: list[float], distortion: list[float], size: Size) -> Camera:
    """A camera from the nine numbers of a calibration matrix, row by row.

    Raises:
        CalibrationError: K has skew or is no calibration matrix, or the camera model refuses the numbers.
    """
    if len(K) != 9:
        raise CalibrationError(f"{place}: the camera matrix must have 3 x 3 numbers, found {len(K)}")
    fx, skew, cx, below_fx, fy, cy, *bottom = K
    if skew:
        raise CalibrationError(f"{place}: the camera matrix has skew {skew:g} (row 0, column 1); only 0 is supported")
    if below_fx or bottom != [0, 0, 1]:
        raise CalibrationError(
            f"{place}: the camera matrix must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], found "
            f"{np.array(K).reshape(3, 3).tolist()}"
        )
    values: dict[str, Any] = {"width": size[0], "height": size[1], "fx": fx, "fy": fy, "cx": cx, "cy": cy}
    if model is not Pinhole:
        values["distortion"] = tuple(distortion)
    return build_camera(place, model, values)


def build_camera(place: str, model: type[Camera], values: dict[str, Any]) -> Camera:
    """The camera of these fields; what the camera class refuses is told with its place."""
    try:
        return model(**values)
    except CalibrationError as refusal:
        raise CalibrationError(f"{place}: {refusal}") from None


def camera_from_opencv(place: str, K: list[float], coefficients: list[float], fisheye: bool, size: Size) -> Camera:
    """OpenCV's two conventions: 4 fisheye coefficients, or 0, 4, 5, 8 (12, 14) of the rational model.

    Raises:
        CalibrationError: another number of coefficients, or thin-prism and tilt terms that are not zero.
    """
    found = len(coefficients)
    if fisheye:
        if found != 4:
            raise CalibrationError(f"{place}: a fisheye calibration has 4 distortion coefficients, found {found}")
        return camera_from_matrix(place, KannalaBrandt, K, coefficients, size)
    if found not in (0, 4, 5, 8, 12, 14):
        raise CalibrationError(f"{place}: expected 0, 4, 5, 8, 12 or 14 distortion coefficients, found {found}")
    if any(coefficients[8:]):
        raise CalibrationError(
            f"{place}: thin-prism and tilt coefficients are not supported, found {coefficients[8:]}; "
            "calibrate again without CALIB_THIN_PRISM_MODEL and CALIB_TILTED_MODEL"
        )
    if found == 0:
        return camera_from_matrix(place, Pinhole, K, [], size)
    return camera_from_matrix(place, BrownConrady, K, coefficients[:8], size)


def same_shape(camera: Camera, size: tuple[int, int]) -> bool:
    """Whether pictures of this (width, height) can be those of the camera, scaled and rounded to whole pixels."""
    width, height = size
    off = min(abs(camera.width * height / camera.height - width), abs(camera.height * width / camera.width - height))
    return off <= 1
