"""Calibrations as OpenCV's `FileStorage` (YAML, XML, JSON) and ROS's `camera_info` hold them."""

from typing import Any

from handloom.errors import CalibrationError
from handloom.formats.calibration_values import Size, camera_from_opencv, known_size, numbers, pixels
from handloom.geometry import Camera

_MATRIX = ("camera_matrix", "cameraMatrix", "K", "M", "k")
_DISTORTION = ("distortion_coefficients", "distCoeffs", "dist_coeffs", "D", "d")
_WIDTH, _HEIGHT = ("image_width", "width"), ("image_height", "height")
_ROS_MODELS = {"plumb_bob": (0, 4, 5), "rational_polynomial": (8, 12, 14), "equidistant": (4,)}


def is_opencv(values: dict[str, Any]) -> bool:
    """Whether these are the fields of an OpenCV or ROS calibration."""
    return any(name in values for name in _MATRIX)


def camera_from_opencv_fields(place: str, values: dict[str, Any], video_size: Size | None) -> Camera:
    """The camera of an OpenCV or ROS calibration; `video_size` serves where the file has no image size.

    Raises:
        CalibrationError: no or unknown distortion, an impossible number, no image size.
    """
    matrix_name, distortion_name = _name_of(values, _MATRIX), _name_of(values, _DISTORTION)
    if distortion_name is None:
        raise CalibrationError(
            f"{place}: no distortion coefficients (looked for {', '.join(_DISTORTION)}); "
            "write five zeros if the lens has no distortion"
        )
    K = _numbers_of(place, str(matrix_name), values[str(matrix_name)])
    coefficients = _numbers_of(place, distortion_name, values[distortion_name])
    model = values.get("distortion_model")
    if model is not None:
        if str(model) not in _ROS_MODELS:
            raise CalibrationError(f"{place}: unknown distortion_model {model!r}; known: {', '.join(_ROS_MODELS)}")
        if len(coefficients) not in _ROS_MODELS[model]:
            allowed = " or ".join(map(str, _ROS_MODELS[model]))
            raise CalibrationError(f"{place}: {model} has {allowed} coefficients, found {len(coefficients)}")
    # OpenCV's own calibration sample marks a fisheye calibration with fisheye_model: 1.
    fisheye = model == "equidistant" or bool(values.get("fisheye_model", 0))
    return camera_from_opencv(place, K, coefficients, fisheye, known_size(place, size_of(place, values), video_size))


def size_of(place: str, values: dict[str, Any]) -> Size | None:
    """The image size that the file gives, if any. Raises CalibrationError where half of it is missing."""
    width, height = _name_of(values, _WIDTH), _name_of(values, _HEIGHT)
    if width is None and height is None:
        return None
    if width is None or height is None:
        raise CalibrationError(f"{place}: {width or height} stands without the other side of the image; give both")
    return pixels(place, width, values[width]), pixels(place, height, values[height])


def _name_of(values: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in values), None)


def _numbers_of(place: str, field: str, node: Any) -> list[float]:
    """The numbers of a matrix node {rows, cols, data}, of nested rows, or of a flat list."""
    if isinstance(node, dict):
        data = numbers(place, field, node.get("data"))
        rows, cols = numbers(place, f"{field} rows and cols", [node.get("rows", 1), node.get("cols", len(data))])
        if rows * cols != len(data):
            raise CalibrationError(f"{place}: {field} is said to be {rows:g} x {cols:g}, but holds {len(data)} numbers")
        return data
    if isinstance(node, list) and node and all(isinstance(row, list) for row in node):
        node = [value for row in node for value in row]
    return numbers(place, field, node)
