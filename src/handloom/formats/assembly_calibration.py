"""Cameras of AssemblyHands and Assembly101: `calib.txt` of rectified videos, JSON of the raw ones."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from handloom.errors import CalibrationError, OutputError
from handloom.formats.assembly_names import full_camera_name, is_egocentric
from handloom.formats.atomic import write_text
from handloom.formats.calibration_values import build_camera, camera_from_matrix, number, numbers, pixels
from handloom.formats.episode import CameraStream
from handloom.formats.text_files import parse_json, read_text
from handloom.geometry import BrownConrady, Camera, OVFishEye62, Pinhole, invert_rigid

_LIMIT_BYTES = 1 << 22
_BLOCK = 8
_COEFFICIENTS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2", "p3", "p4")
_MODELS: dict[str, tuple[type[Camera], tuple[str, ...]]] = {
    "OpenCV": (BrownConrady, ("k1", "k2", "p1", "p2", "k3")),
    "OVFishEye62": (OVFishEye62, ("k1", "k2", "k3", "k4", "p1", "p2", "k5", "k6")),
}


@dataclass(frozen=True, eq=False)
class RigCamera:
    """A camera of the raw recordings.

    `camera_from_parent` is camera_from_world in metres of a fixed camera, but camera_from_headset of one on the head,
    which never changes; where the headset is, this file does not tell.
    """

    name: str
    camera: Camera
    camera_from_parent: Float[np.ndarray, "4 4"]

    @property
    def egocentric(self) -> bool:
        """Whether it sits on the headset."""
        return is_egocentric(self.name)


def read_rig(path: Path | str) -> dict[str, RigCamera]:
    """The raw cameras in a JSON file of the AssemblyHands toolkit, by full name (its serials leave "HMC_" out).

    Raises:
        CalibrationError: malformed, or a camera of an unknown kind or given twice.
    """
    path = Path(path)
    text = read_text(path, CalibrationError, _LIMIT_BYTES)
    entries = parse_json(path, f'{{"cameras": {text}}}', CalibrationError)["cameras"]
    if not isinstance(entries, list):
        raise CalibrationError(f"{path} must hold a list of cameras, found {type(entries).__name__}")
    cameras: dict[str, RigCamera] = {}
    for index, entry in enumerate(entries):
        camera = _rig_camera(f"{path}, camera {index}", entry)
        if camera.name in cameras:
            raise CalibrationError(f"{path}, camera {index}: {camera.name} is given twice")
        cameras[camera.name] = camera
    return cameras


def write_rig(path: Path | str, cameras: Iterable[RigCamera]) -> None:
    """Write raw cameras as `read_rig` reads them.

    Raises:
        OutputError: a camera model without a name in this layout, or the file cannot be written.
    """
    entries = []
    for item in cameras:
        camera = item.camera
        model = "OVFishEye62" if type(camera) is OVFishEye62 else "OpenCV"
        names = _MODELS[model][1]
        coefficients = () if type(camera) is Pinhole else getattr(camera, "distortion", None)
        if coefficients is None or type(camera) not in (Pinhole, BrownConrady, OVFishEye62) or len(coefficients) > 8:
            raise OutputError(f"{path}: a {type(camera).__name__} camera ({item.name}) has no place in this layout")
        if model == "OpenCV" and len(coefficients) > 5:
            raise OutputError(f"{path}: {item.name} has a rational distortion, which has no place in this layout")
        values = dict.fromkeys(_COEFFICIENTS, 0.0) | dict(zip(names, coefficients))
        transform = item.camera_from_parent.copy()
        transform[:3, 3] *= 1000
        fields = {
            "DistortionModel": model,
            "ImageSizeX": camera.width,
            "ImageSizeY": camera.height,
            "ModelViewMatrix": transform.tolist(),
            "SerialNo": item.name.removeprefix("HMC_"),
            **{name: getattr(camera, name) for name in ("cx", "cy", "fx", "fy")},
            **values,
        }
        place = {"MountingLocation": "Egocentric" if item.egocentric else "Exocentric"}
        entries.append({"Camera": fields, **place})
    write_text(Path(path), json.dumps(entries) + "\n")


def unrectified(stream: CameraStream, rig: dict[str, RigCamera]) -> CameraStream:
    """The raw view of a rectified stream, without its pictures: the true lens, and the stream's own pose per frame.

    The matrix of a headset's camera in the rig is static and no pose, so the stream's per-frame poses stay.

    Raises:
        CalibrationError: the rig has no such camera: it is that of another sequence.
    """
    if stream.name not in rig:
        raise CalibrationError(
            f"no camera {stream.name!r} in this calibration (it has {', '.join(rig)}); "
            "is it the calibration of another sequence?"
        )
    camera = rig[stream.name]
    poses = stream.world_from_camera
    if not camera.egocentric:
        poses = np.tile(invert_rigid(camera.camera_from_parent), (len(stream), 1, 1))
    return replace(stream, camera=camera.camera, world_from_camera=poses, pictures=None, boxes_px=None)


def read_calib_text(path: Path | str) -> dict[str, tuple[list[float], Float[np.ndarray, "4 4"]]]:
    """Blocks of name, 3 rows of K, a row that says nothing, and 3 rows [R | t] in mm: by name, the nine numbers of K
    and camera_from_world in metres.

    Raises:
        CalibrationError: a block is cut off or malformed, names the line.
    """
    path = Path(path)
    lines = [
        (number, line.strip())
        for number, line in enumerate(read_text(path, CalibrationError, _LIMIT_BYTES).splitlines(), 1)
        if line.strip()
    ]
    if len(lines) % _BLOCK:
        raise CalibrationError(
            f"{path}: {len(lines)} lines that are not blank; expected blocks of {_BLOCK} (name, 3 of K, 1, 3 of R t)"
        )
    cameras = {}
    for start in range(0, len(lines), _BLOCK):
        (line_number, name), *block = lines[start : start + _BLOCK]
        if name in cameras:
            raise CalibrationError(f"{path}, line {line_number}: {name} is given twice")
        K = [value for line in block[:3] for value in _row(path, line, 3)]
        top = np.array([_row(path, line, 4) for line in block[4:]])
        cameras[name] = K, _transform(f"{path}, line {block[4][0]}", top)
    return cameras


def write_calib_text(path: Path, streams: Iterable[CameraStream]) -> None:
    """Write fixed pinhole cameras as `read_calib_text` reads them. Raises OutputError."""
    lines = []
    for stream in streams:
        lines.append(stream.name)
        lines += [" ".join(f"{value:.12g}" for value in row) for row in stream.camera.matrix]
        top = invert_rigid(stream.world_from_camera[0])[:3].copy()
        top[:, 3] *= 1000
        lines += ["0 0", *(" ".join(f"{value:.12g}" for value in row) for row in top), ""]
    write_text(path, "\n".join(lines))


def pinhole(place: str, K: Any, size: tuple[int, int]) -> Camera:
    """The camera of a calibration matrix, nine numbers or three rows. Raises CalibrationError."""
    if isinstance(K, list) and K and isinstance(K[0], list):
        K = [value for row in K for value in row]
    return camera_from_matrix(place, Pinhole, numbers(place, "K", K), [], size)


def _rig_camera(place: str, entry: Any) -> RigCamera:
    if not isinstance(entry, dict) or not isinstance(entry.get("Camera"), dict):
        raise CalibrationError(f'{place}: expected an object with the field "Camera"')
    fields = entry["Camera"]
    needed = ("DistortionModel", "ImageSizeX", "ImageSizeY", "ModelViewMatrix", "SerialNo", "fx", "fy", "cx", "cy")
    if missing := [name for name in (*needed, *_COEFFICIENTS) if name not in fields]:
        raise CalibrationError(f"{place}: lacks {', '.join(missing)}")
    if fields["DistortionModel"] not in _MODELS:
        raise CalibrationError(
            f"{place}: unknown DistortionModel {fields['DistortionModel']!r}; known: {', '.join(_MODELS)}"
        )
    model, names = _MODELS[fields["DistortionModel"]]
    coefficients = {name: number(place, name, fields[name]) for name in _COEFFICIENTS}
    if unused := [name for name in _COEFFICIENTS if name not in names and coefficients[name]]:
        raise CalibrationError(f"{place}: {fields['DistortionModel']} has no {unused[0]}, found {fields[unused[0]]}")
    values: dict[str, Any] = {name: number(place, name, fields[name]) for name in ("fx", "fy", "cx", "cy")}
    values["width"], values["height"] = (pixels(place, name, fields[name]) for name in ("ImageSizeX", "ImageSizeY"))
    distortion = tuple(coefficients[name] for name in names)
    if any(distortion) or model is OVFishEye62:
        camera = build_camera(place, model, values | {"distortion": distortion})
    else:
        camera = build_camera(place, Pinhole, values)
    rows = fields["ModelViewMatrix"]
    if not isinstance(rows, list) or len(rows) != 4:
        raise CalibrationError(f"{place}: ModelViewMatrix must have 4 rows, found {rows!r:.80}")
    matrix = [numbers(place, f"ModelViewMatrix[{index}]", row) for index, row in enumerate(rows)]
    if {len(row) for row in matrix} != {4}:
        raise CalibrationError(f"{place}: ModelViewMatrix must have 4 columns")
    name = full_camera_name(str(fields["SerialNo"]), str(entry.get("MountingLocation")) == "Egocentric")
    return RigCamera(name, camera, _transform(place, np.array(matrix[:3])))


def _row(path: Path, line: tuple[int, str], count: int) -> list[float]:
    place, words = f"{path}, line {line[0]}", line[1].split()
    if len(words) != count:
        raise CalibrationError(f"{place}: expected {count} numbers, found {line[1]!r}")
    try:
        return [number(place, "a value", float(word)) for word in words]
    except ValueError:
        raise CalibrationError(f"{place}: expected {count} numbers, found {line[1]!r}") from None


def _transform(place: str, top_mm: Float[np.ndarray, "3 4"]) -> Float[np.ndarray, "4 4"]:
    """A 4x4 transform in metres. Raises CalibrationError where R is no rotation."""
    R = top_mm[:, :3]
    error = np.abs(R @ R.T - np.eye(3)).max()
    if error > 1e-3 or np.linalg.det(R) < 0:
        raise CalibrationError(f"{place}: the 3 x 3 part is not a rotation (it differs by {error:.2g})")
    transform = np.eye(4)
    transform[:3] = top_mm
    transform[:3, 3] /= 1000
    return transform
