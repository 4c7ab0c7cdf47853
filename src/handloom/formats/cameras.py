"""Camera calibrations: Handloom's own JSON or YAML in and out; OpenCV, ROS, H2O and `.dat` files in."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from handloom.errors import CalibrationError, OutputError
from handloom.formats.atomic import write_text
from handloom.formats.calibration_values import Size, build_camera, number, numbers, pixels, same_shape
from handloom.formats.markup import parse_xml, parse_yaml
from handloom.formats.opencv_calibration import camera_from_opencv_fields, is_opencv, size_of
from handloom.formats.text_calibration import camera_from_dat, camera_from_h2o, is_dat, is_h2o
from handloom.formats.text_files import parse_json, read_text
from handloom.geometry import BrownConrady, Camera, DoubleSphere, KannalaBrandt, OVFishEye62, Pinhole

_MODELS: dict[str, type[Camera]] = {
    "pinhole": Pinhole,
    "brown_conrady": BrownConrady,
    "kannala_brandt": KannalaBrandt,
    "ovfisheye62": OVFishEye62,
    "double_sphere": DoubleSphere,
}
_LIMIT_BYTES = 16 << 20


def read_camera(
    path: Path | str, size: Size | None = None, *, name: str | None = None, rescale: bool = False
) -> Camera:
    """Read the intrinsics of one camera; the layout is recognised from the file's content.

    Args:
        path: Handloom's JSON or YAML, OpenCV's YAML, XML or JSON, ROS's camera_info, H2O's text, or .dat.
        size: (width, height) of the video in pixels. A calibration for another size is refused; layouts
            without an image size need it.
        name: which camera, in a file of several.
        rescale: accept a calibration whose image differs from the video only in scale, and scale it.

    Raises:
        CalibrationError: unreadable, unknown, impossible, ambiguous, or not for images of this size.
    """
    path = Path(path)
    text = read_text(path, CalibrationError, _LIMIT_BYTES)
    place = str(path)
    if is_dat(text) or is_h2o(text):
        _refuse_name(place, name)
        camera = camera_from_dat(path, text, size) if is_dat(text) else camera_from_h2o(path, text)
    else:
        values = _parse(path, text)
        if "cameras" in values:
            place, values = _chosen(place, values, name)
        else:
            _refuse_name(place, name)
        camera = (
            camera_from_opencv_fields(place, values, size) if is_opencv(values) else camera_from_dict(values, place)
        )
    _check_plausible(place, camera)
    return camera_for_size(place, camera, size, rescale)


def has_image_size(path: Path | str) -> bool:
    """Whether a calibration file says for which image size it is. Raises CalibrationError as `read_camera`."""
    path = Path(path)
    text = read_text(path, CalibrationError, _LIMIT_BYTES)
    if is_dat(text) or is_h2o(text):
        return is_h2o(text)
    values = _parse(path, text)
    return not is_opencv(values) or size_of(str(path), values) is not None


def read_cameras(path: Path | str) -> dict[str, Camera]:
    """All cameras of a file by name; a file of one camera gives the name "".

    Raises:
        CalibrationError: as `read_camera`.
    """
    path = Path(path)
    text = read_text(path, CalibrationError, _LIMIT_BYTES)
    if is_dat(text) or is_h2o(text):
        return {"": read_camera(path)}
    names = _parse(path, text).get("cameras", {"": None})
    return {name: read_camera(path, name=name or None) for name in names}


def write_camera(path: Path | str, camera: Camera) -> None:
    """Write a camera so that `read_camera` gives an equal one: JSON, or YAML for a name in .yaml or .yml.

    Raises:
        OutputError: another suffix, or the file cannot be written.
    """
    path = Path(path)
    values = camera_to_dict(camera)
    if path.suffix == ".json":
        write_text(path, json.dumps(values, indent=2) + "\n")
    elif path.suffix in (".yaml", ".yml"):
        write_text(path, yaml.safe_dump(values, sort_keys=False))
    else:
        raise OutputError(f"cannot write {path}: a camera file ends in .json, .yaml or .yml")


def camera_to_dict(camera: Camera) -> dict[str, Any]:
    """The fields of a camera under the names of the file layout, as plain numbers and lists."""
    model = next(name for name, kind in _MODELS.items() if type(camera) is kind)
    return {"model": model, **{name: np.asarray(value).tolist() for name, value in asdict(camera).items()}}


def camera_from_dict(values: dict[str, Any], place: str) -> Camera:
    """The inverse of `camera_to_dict`; `place` says in errors where the fields stand.

    Raises:
        CalibrationError: unknown model, a field missing or unknown, or an impossible value.
    """
    known = ", ".join(_MODELS)
    if "model" not in values:
        raise CalibrationError(f'{place}: no "model" (one of {known}), and no camera matrix; is this a calibration?')
    if str(values["model"]) not in _MODELS:
        raise CalibrationError(f"{place}: unknown model {values['model']!r}; known: {known}")
    model = _MODELS[values["model"]]
    names = [field.name for field in fields(model)]
    missing = [name for name in names if name not in values]
    unknown = sorted(str(key) for key in values.keys() - {"model", *names})
    if missing or unknown:
        faults = [f"{kind} {', '.join(keys)}" for kind, keys in (("missing", missing), ("unknown", unknown)) if keys]
        raise CalibrationError(f"{place}: {'; '.join(faults)}; a {values['model']} camera has {', '.join(names)}")
    return build_camera(place, model, {name: _field(place, name, values[name]) for name in names})


def _field(place: str, name: str, value: Any) -> int | float | tuple[float, ...]:
    if name in ("width", "height"):
        return pixels(place, name, value)
    if name == "distortion":
        return tuple(numbers(place, name, value))
    return number(place, name, value)


def _parse(path: Path, text: str) -> dict[str, Any]:
    if path.suffix == ".xml" or text.lstrip().startswith("<"):
        return parse_xml(path, text)
    if path.suffix == ".json" or (path.suffix not in (".yaml", ".yml") and text.lstrip().startswith("{")):
        return parse_json(path, text, CalibrationError)
    return parse_yaml(path, text)


def _chosen(place: str, values: dict[str, Any], name: str | None) -> tuple[str, dict[str, Any]]:
    cameras = values["cameras"]
    if not isinstance(cameras, dict) or not cameras or not all(isinstance(item, dict) for item in cameras.values()):
        raise CalibrationError(f'{place}: "cameras" must map names to cameras, found {cameras!r:.80}')
    names = ", ".join(map(str, cameras))
    if name is None and len(cameras) > 1:
        raise CalibrationError(f"{place} holds several cameras ({names}); say which one")
    if name is not None and name not in cameras:
        raise CalibrationError(f"{place} holds no camera {name!r}; it holds {names}")
    chosen = next(iter(cameras)) if name is None else name
    return f"{place}, camera {chosen!r}", cameras[chosen]


def _refuse_name(place: str, name: str | None) -> None:
    if name is not None:
        raise CalibrationError(f"{place} holds one camera without a name; leave {name!r} out")


def _check_plausible(place: str, camera: Camera) -> None:
    inside = -camera.width <= camera.cx <= 2 * camera.width and -camera.height <= camera.cy <= 2 * camera.height
    if not inside:
        raise CalibrationError(
            f"{place}: the principal point ({camera.cx:g}, {camera.cy:g}) is far outside the image of "
            f"{camera.width} x {camera.height}; check cx, cy and the image size"
        )
    try:
        with np.errstate(all="ignore"):  # coefficients may be anything here
            camera.unproject(np.array([camera.cx, camera.cy]))
    except CalibrationError as refusal:
        raise CalibrationError(f"{place}: {refusal}") from None


def camera_for_size(place: str, camera: Camera, size: Size | None, rescale: bool) -> Camera:
    """The camera for images of a size; `rescale` and errors as for `read_camera`, `place` names it in them."""
    if size is None or size == (camera.width, camera.height):
        return camera
    width, height = size
    mismatch = f"{place} is for {camera.width} x {camera.height} but the video is {width} x {height}"
    if (height, width) == (camera.width, camera.height):
        raise CalibrationError(f"{mismatch}; the sides are swapped: calibrate with images that stand as the video does")
    if not same_shape(camera, size):
        raise CalibrationError(f"{mismatch}; the shape differs, so use the calibration of this video's mode")
    if not rescale:
        raise CalibrationError(
            f"{mismatch}; the shape is the same: if the video is the whole image scaled, use --rescale-camera"
        )
    return camera.resized(width, height)
