"""Layouts of rig calibrations: TOML of Anipose and Pose2Sim, OpenCV files, a headset's poses per frame, ours."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handloom.errors import CalibrationError
from handloom.formats.assembly_calibration import pinhole
from handloom.formats.assembly_names import EGO_SIZE, full_camera_name
from handloom.formats.calibration_values import Size, camera_from_opencv, number, numbers, pixels
from handloom.formats.cameras import camera_from_dict, read_camera
from handloom.formats.markup import parse_xml, parse_yaml
from handloom.formats.rig_values import RigCalibration, RigView, match_names, nearest_rigid, rigid_pose
from handloom.formats.text_files import parse_json, read_text

_LIMIT_BYTES = 1 << 20
_ROTATION, _TRANSLATION = ("R", "rotation", "rvec", "rotation_matrix"), ("T", "t", "translation", "tvec")


def views_of_toml(path: Path, text: str) -> RigCalibration:
    """A table per camera: name, size, matrix, distortions, rotation vector, translation, fisheye.

    Pose2Sim writes metres, Anipose the unit of its board, and neither says so: the unit is unknown.

    Raises:
        CalibrationError: not TOML, or a field missing or of the wrong kind.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        raise CalibrationError(f"{path} is not valid TOML: {failure}") from None
    views = {}
    for key, table in tables.items():
        if not isinstance(table, dict) or "matrix" not in table:
            continue
        place = f"{path}, [{key}]"
        if missing := [name for name in ("size", "distortions", "rotation", "translation") if name not in table]:
            raise CalibrationError(f"{place}: lacks {', '.join(missing)}")
        size = numbers(place, "size", table["size"])
        if len(size) != 2:
            raise CalibrationError(f"{place}: size must be [width, height], found {table['size']}")
        width, height = (pixels(place, name, value) for name, value in zip(("width", "height"), size))
        rows = table["matrix"]
        K = numbers(place, "matrix", [value for row in rows for value in row] if isinstance(rows, list) else rows)
        coefficients = numbers(place, "distortions", table["distortions"])
        camera = camera_from_opencv(place, K, coefficients, bool(table.get("fisheye", False)), (width, height))
        name = str(table.get("name", key))
        if name in views:
            raise CalibrationError(f"{place}: the camera {name!r} is given twice")
        views[name] = RigView(camera, rigid_pose(place, table["rotation"], table["translation"]))
    if not views:
        raise CalibrationError(f"{path} holds no camera: a table with matrix, distortions, rotation and translation")
    return RigCalibration(views, None, "TOML")


def views_of_opencv_files(files: list[Path], sizes: Mapping[str, Size]) -> RigCalibration:
    """One file per camera as OpenCV writes it, with R and T (or rvec and tvec: camera from world) in it; no unit.

    Raises:
        CalibrationError: a file without lens or pose.
    """
    named = match_names({path.stem: path for path in files}, sizes, str(files[0].parent))
    views = {}
    for name, path in named.items():
        text = read_text(path, CalibrationError, _LIMIT_BYTES)
        if path.suffix == ".xml":
            values = parse_xml(path, text)
        else:
            values = parse_json(path, text, CalibrationError) if path.suffix == ".json" else parse_yaml(path, text)
        rotation, translation = (
            next((values[key] for key in keys if key in values), None) for keys in (_ROTATION, _TRANSLATION)
        )
        if rotation is None or translation is None:
            raise CalibrationError(
                f"{path}: no pose of the camera; expected R and T (or rvec and tvec), which take a point of the world "
                "into the camera"
            )
        pose = rigid_pose(str(path), _data(rotation), _data(translation))
        views[name] = RigView(read_camera(path, sizes[name]), pose)
    return RigCalibration(views, None, "OpenCV")


def views_of_headset(path: Path, sequences: Any, sizes: Mapping[str, Size]) -> RigCalibration:
    """AssemblyHands' `..._ego_calib_v1-1.json`: rectified pinholes, and poses in mm per frame id.

    Raises:
        CalibrationError: several recordings, or a matrix of a wrong shape.
    """
    if not isinstance(sequences, dict) or len(sequences) != 1:
        found = len(sequences) if isinstance(sequences, dict) else "none"
        raise CalibrationError(
            f"{path} must hold the calibration of one recording, found {found}; for the whole data set name its folder"
        )
    ((sequence, values),) = sequences.items()
    place = f"{path}, {sequence}"
    try:
        intrinsics, extrinsics = values["intrinsics"], values["extrinsics"]
        ids = sorted(extrinsics, key=int)
        views = {}
        for key, K in intrinsics.items():
            name = full_camera_name(key, egocentric=True)
            known = [frame for frame in ids if key in extrinsics[frame]]
            tops = np.array([extrinsics[frame][key] for frame in known], np.float64)
            if tops.shape != (len(known), 3, 4):
                raise CalibrationError(f"{place}, {key}: expected 3 x 4 poses, found an array of shape {tops.shape}")
            poses = nearest_rigid(f"{place}, {key}", tops)
            poses[:, :3, 3] /= 1000
            views[name] = RigView(
                pinhole(f"{place}, {key}", K, _size_of(name, sizes)), poses, tuple(int(frame) for frame in known)
            )
    except (KeyError, TypeError, ValueError, AttributeError) as failure:
        raise CalibrationError(f"{place}: not a calibration of AssemblyHands ({failure!r})") from None
    return RigCalibration(views, 1.0, "AssemblyHands, headset")


def views_of_ours(path: Path, values: dict[str, Any]) -> RigCalibration:
    """{"unit_m": 1, "cameras": {name: {"model": ..., "world_from_camera": ...}}}.

    `world_from_camera` is a 4 x 4 matrix, a list of one per picture (null where unknown), or the name of a `.npy` file
    beside this one that holds them.

    Raises:
        CalibrationError: no cameras, or one without pose.
    """
    cameras = values.get("cameras")
    if not isinstance(cameras, dict) or not cameras:
        raise CalibrationError(f'{path}: expected "cameras": names with lens and "world_from_camera"')
    views = {}
    for name, entry in cameras.items():
        place = f"{path}, camera {name!r}"
        if not isinstance(entry, dict) or "world_from_camera" not in entry:
            raise CalibrationError(f'{place}: lacks "world_from_camera", the pose; triangulation cannot do without')
        lens = {key: value for key, value in entry.items() if key != "world_from_camera"}
        world_from_camera = _poses(path, place, entry["world_from_camera"])
        pose = np.full((*world_from_camera.shape[:-2], 4, 4), np.nan)
        known = np.isfinite(world_from_camera).all((-2, -1))
        pose[known] = np.linalg.inv(nearest_rigid(place, world_from_camera[known][..., :3, :]))
        views[str(name)] = RigView(camera_from_dict(lens, place), pose)
    return RigCalibration(views, number(str(path), "unit_m", values.get("unit_m", 1.0)), "Handloom")


def _poses(path: Path, place: str, value: Any) -> np.ndarray:
    if isinstance(value, str):
        file = path.parent / value
        if Path(value).name != value:
            raise CalibrationError(f"{place}: {value!r} must be the name of a file beside the calibration")
        try:
            poses = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as failure:
            raise CalibrationError(f"{place}: cannot read {file}: {failure}") from None
    else:
        unknown = [[None] * 4] * 4
        rows = [unknown if item is None else item for item in value] if isinstance(value, list) else value
        try:
            poses = np.array(rows, np.float64)
        except (TypeError, ValueError):
            poses = np.zeros(0)
    if poses.ndim not in (2, 3) or poses.shape[-2:] != (4, 4):
        raise CalibrationError(
            f"{place}: world_from_camera must be 4 x 4 numbers or a list of such, found {poses.shape}"
        )
    return np.asarray(poses, np.float64)


def _data(node: Any) -> Any:
    return node.get("data") if isinstance(node, dict) else node


def _size_of(name: str, sizes: Mapping[str, Size]) -> Size:
    return next((size for key, size in sizes.items() if full_camera_name(key, True) == name), EGO_SIZE)
