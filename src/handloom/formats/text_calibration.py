"""Calibrations as plain numbers: H2O's `cam_intrinsics.txt`, and `.dat` files of K and distortion."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.errors import CalibrationError
from handloom.formats.calibration_values import (
    Size,
    build_camera,
    camera_from_opencv,
    known_size,
    number,
    pixels,
)
from handloom.formats.text_files import read_text
from handloom.geometry import Camera, Pinhole

_LIMIT_BYTES = 1 << 20


def is_dat(text: str) -> bool:
    """Whether this is a `.dat` calibration: blocks of numbers under "intrinsic:" and "distortion:"."""
    return re.match(r"\s*intrinsic:", text) is not None


def is_h2o(text: str) -> bool:
    """Whether this is an H2O calibration: it starts with a number."""
    try:
        float(text.split(maxsplit=1)[0])
    except ValueError:
        return False
    return True


def camera_from_h2o(path: Path, text: str) -> Camera:
    """H2O's six numbers, fx fy cx cy width height, of a rectified image. Raises CalibrationError."""
    row = _row(path, 1, text.replace("\n", " "))
    if len(row) != 6:
        raise CalibrationError(f"{path} must hold six numbers, fx fy cx cy width height; found {len(row)}")
    names = ("fx", "fy", "cx", "cy")
    values: dict[str, float] = {name: number(str(path), name, value) for name, value in zip(names, row)}
    size = {"width": pixels(str(path), "width", row[4]), "height": pixels(str(path), "height", row[5])}
    return build_camera(str(path), Pinhole, values | size)


def camera_from_dat(path: Path, text: str, video_size: Size | None) -> Camera:
    """K as three rows under "intrinsic:" and OpenCV's coefficients under "distortion:"; no image size.

    Raises:
        CalibrationError: a block is missing or has the wrong shape, or `video_size` is None.
    """
    blocks = _blocks(path, text)
    K, distortion = _block(path, blocks, "intrinsic", 3, 3), blocks.get("distortion", [])
    if len(distortion) != 1:
        raise CalibrationError(f'{path}: "distortion:" must be followed by one row of numbers, found {len(distortion)}')
    size = known_size(str(path), None, video_size)
    return camera_from_opencv(str(path), K.ravel().tolist(), distortion[0], False, size)


def read_extrinsics(path: Path | str) -> Float[np.ndarray, "4 4"]:
    """Read camera_from_world from three rows under "R:" and three under "T:", in the file's unit.

    Only the first "R:" and "T:" count; comments (#) and later blocks are left alone. A rotation that was
    rounded when printed is projected onto the nearest true rotation.

    Raises:
        CalibrationError: a block is missing or has the wrong shape, or R is no rotation to within 1e-3.
    """
    path = Path(path)
    blocks = _blocks(path, read_text(path, CalibrationError, _LIMIT_BYTES))
    R, t = _block(path, blocks, "R", 3, 3), _block(path, blocks, "T", 3, 1)
    error = np.abs(R @ R.T - np.eye(3)).max()
    if error > 1e-3 or np.linalg.det(R) < 0:
        raise CalibrationError(
            f"{path}: R is not a rotation (R R^T differs from the identity by {error:.2g}, determinant "
            f"{np.linalg.det(R):.3g}); calibrate again"
        )
    U, _, Vt = np.linalg.svd(R)
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3] = U @ Vt
    camera_from_world[:3, 3] = t[:, 0]
    return camera_from_world


def _blocks(path: Path, text: str) -> dict[str, list[list[float]]]:
    """The rows of numbers under each "name:"; a name's first block counts."""
    blocks: dict[str, list[list[float]]] = {}
    rows: list[list[float]] = []
    for line_number, line in enumerate(text.splitlines(), 1):
        content = line.split("#")[0].strip()
        if content.endswith(":"):
            rows = []
            blocks.setdefault(content[:-1], rows)
        elif content:
            rows.append(_row(path, line_number, content))
    return blocks


def _block(
    path: Path, blocks: dict[str, list[list[float]]], name: str, rows: int, columns: int
) -> Float[np.ndarray, "rows columns"]:
    found = blocks.get(name, [])
    if len(found) != rows or any(len(row) != columns for row in found):
        shape = " + ".join(str(len(row)) for row in found) or "none"
        raise CalibrationError(
            f'{path}: "{name}:" must be followed by {rows} rows of {columns} numbers, found {shape} numbers'
        )
    return np.array(found)


def _row(path: Path, line_number: int, line: str) -> list[float]:
    values = []
    for word in line.split():
        try:
            values.append(float(word))
        except ValueError:
            raise CalibrationError(f"{path}, line {line_number}: {word!r} is not a number") from None
    return [number(f"{path}, line {line_number}", "a value", value) for value in values]
