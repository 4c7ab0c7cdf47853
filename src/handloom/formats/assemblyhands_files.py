"""The three JSON files of a split of AssemblyHands, version 1.1, brought into arrays."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import InputError
from handloom.formats.assembly_names import full_camera_name
from handloom.formats.dataset_files import Faults
from handloom.formats.episode import is_rigid
from handloom.formats.text_files import parse_json, read_text

JOINTS = 42
"""Right hand first, then left; each tip to base, finger by finger, wrist last."""

_SIDES = ("right", "left")


@dataclass
class View:
    """The annotated images of one camera in one recording, in the order of the file; sides as in the file."""

    size: tuple[int, int]
    frames: list[int] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    joint_valid: list[list[bool]] = field(default_factory=list)


@dataclass
class SequenceFiles:
    """What the files tell of one recording. Joints are None where they are withheld."""

    place: str
    frame_ids: Int[np.ndarray, "T"]
    joints_mm: Float[np.ndarray, "T 42 3"] | None
    joint_valid: Bool[np.ndarray, "T 42"]
    views: dict[str, View]
    intrinsics: dict[str, list[list[float]]]
    extrinsics: dict[int, dict[str, list[list[float]]]]


def file_of(root: Path, split: str, kind: str) -> Path:
    """The path of "ego_data", "ego_calib" or "joint_3d"."""
    return root / "annotations" / split / f"assemblyhands_{split}_{kind}_v1-1.json"


def read_split(root: Path, split: str, faults: Faults) -> dict[str, SequenceFiles]:
    """All recordings of a split.

    Raises:
        InputError: a file is missing or malformed; or the first fault in it.
    """
    data_path, calib_path, joint_path = (file_of(root, split, kind) for kind in ("ego_data", "ego_calib", "joint_3d"))
    views = _read_views(data_path, faults)
    calibration = _object(calib_path, "calibration")
    # The joints of the test split are withheld.
    withheld = split == "test" and not joint_path.is_file()
    joints = {} if withheld else _object(joint_path, "annotations")
    found = {}
    for name in views if withheld else joints:
        place = f"{joint_path}, {name}"
        if name not in calibration:
            faults.add(calib_path, f"no calibration of {name}, which has labels; is it the file of another split?")
            continue
        cameras = calibration[name]
        if not isinstance(cameras, dict) or not all(
            isinstance(cameras.get(k), dict) for k in ("intrinsics", "extrinsics")
        ):
            faults.add(calib_path, f'{name} must have "intrinsics" and "extrinsics"')
            continue
        sequence_views = views.pop(name, {}) if not withheld else views[name]
        if withheld:
            ids = np.unique([frame for view in sequence_views.values() for frame in view.frames])
            values, valid = None, np.zeros((len(ids), JOINTS), bool)
        else:
            ids, values, valid = _read_joints(place, joints[name], faults)
        extrinsics = _by_frame(f"{calib_path}, {name}", cameras["extrinsics"], faults)
        found[name] = SequenceFiles(place, ids, values, valid, sequence_views, cameras["intrinsics"], extrinsics)
    if not withheld:
        for name in views:
            faults.add(data_path, f"images of {name}, which has no joints in {joint_path.name}")
    return found


def _object(path: Path, key: str) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; the download is not complete")
    values = parse_json(path, read_text(path))
    if not isinstance(values.get(key), dict):
        raise InputError(f'{path}: expected an object under "{key}"')
    return dict(values[key])


def _read_views(path: Path, faults: Faults) -> dict[str, dict[str, View]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; the download is not complete")
    values = parse_json(path, read_text(path))
    for key in ("images", "annotations"):
        if not isinstance(values.get(key), list):
            raise InputError(f'{path}: expected a list under "{key}"')
    images: dict[Any, tuple[str, dict[str, Any]]] = {}
    for index, image in enumerate(values["images"]):
        place = f"{path}, images[{index}]"
        if reason := _fault_of_image(image):
            faults.add(place, reason)
        elif image["id"] in images:
            faults.add(place, f"id {image['id']} is already that of {images[image['id']][0].rsplit(', ')[-1]}")
        else:
            images[image["id"]] = place, image
    views: dict[str, dict[str, View]] = {}
    annotated: dict[Any, str] = {}
    for index, annotation in enumerate(values["annotations"]):
        place = f"{path}, annotations[{index}]"
        identity = annotation.get("image_id") if isinstance(annotation, dict) else None
        if identity not in images:
            faults.add(place, f"belongs to image {identity!r}, which is not in the file")
            continue
        if identity in annotated:
            faults.add(place, f"image {identity} is already annotated by {annotated[identity].rsplit(', ')[-1]}")
            continue
        annotated[identity] = place
        _add_image(views, place, images[identity][1], annotation, faults)
    if lone := [place for identity, (place, _) in images.items() if identity not in annotated]:
        faults.add(lone[0], f"has no annotation ({len(lone)} such images, {len(annotated)} annotations)")
    return views


def _fault_of_image(image: Any) -> str:
    fields = {
        "id": int,
        "file_name": str,
        "width": int,
        "height": int,
        "seq_name": str,
        "camera": str,
        "frame_idx": int,
    }
    if not isinstance(image, dict):
        return f"expected an object, found {image!r:.40}"
    for name, kind in fields.items():
        if type(image.get(name)) is not kind:
            return f"{name} must be {'text' if kind is str else 'a whole number'}, found {image.get(name)!r:.40}"
    if not (1 <= image["width"] <= 1 << 14 and 1 <= image["height"] <= 1 << 14):
        return f"an image of {image['width']} x {image['height']} pixels"
    return ""


def _add_image(
    views: dict[str, dict[str, View]], place: str, image: dict[str, Any], annotation: dict[str, Any], faults: Faults
) -> None:
    boxes = [_box(annotation, side) for side in _SIDES]
    joint_valid = _flat(annotation.get("joint_valid"))
    if None in boxes:
        faults.add(place, f"bbox must give x0, y0, x1, y1 or null for each of {', '.join(_SIDES)}")
        return
    if len(joint_valid) != JOINTS or not all(value in (0, 1) for value in joint_valid):
        faults.add(place, f"joint_valid must have {JOINTS} values, 0 or 1")
        return
    cameras = views.setdefault(image["seq_name"], {})
    size = image["width"], image["height"]
    view = cameras.setdefault(full_camera_name(image["camera"], egocentric=True), View(size))
    if size != view.size:
        faults.add(place, f"its image is {size[0]} x {size[1]}, but the first of its camera is {view.size}")
        return
    view.frames.append(image["frame_idx"])
    view.files.append(image["file_name"])
    view.places.append(place)
    view.boxes.append([value for box in boxes for value in box or ()])
    view.joint_valid.append([bool(value) for value in joint_valid])


def _flat(joint_valid: Any) -> list[Any]:
    """One value per joint, as the files have it or, as InterHand2.6M has it, in a list of its own."""
    if not isinstance(joint_valid, list):
        return []
    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in joint_valid]


def _box(annotation: dict[str, Any], side: str) -> list[float] | None:
    """Four numbers, NaN for a hand without a box; None where it is malformed."""
    boxes = annotation.get("bbox")
    if not isinstance(boxes, dict) or side not in boxes:
        return None
    box = boxes[side]
    if box is None:
        return [float("nan")] * 4
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        return None
    x0, y0, x1, y1 = box
    return [float(value) for value in box] if x0 <= x1 and y0 <= y1 and max(map(abs, box)) < 1 << 20 else None


def _read_joints(
    place: str, frames: Any, faults: Faults
) -> tuple[Int[np.ndarray, "T"], Float[np.ndarray, "T 42 3"], Bool[np.ndarray, "T 42"]]:
    joints, flags = [], []
    by_frame = _by_frame(place, frames, faults)
    for frame, entry in list(by_frame.items()):
        reason = ""
        try:
            values = np.array(entry["world_coord"], np.float64)
            valid = np.array(_flat(entry["joint_valid"]), np.float64)
        except (TypeError, KeyError, ValueError):
            reason = "world_coord and joint_valid must be lists of numbers"
        else:
            if values.shape != (JOINTS, 3) or valid.shape != (JOINTS,):
                reason = f"expected {JOINTS} x 3 coordinates and {JOINTS} flags, found {values.shape} and {valid.shape}"
            elif not np.isfinite(values[valid > 0]).all():
                reason = "joints that are marked valid are not finite numbers"
        if reason:
            faults.add(f"{place}, frame {frame:06d}", reason)
            del by_frame[frame]
            continue
        joints.append(values)
        flags.append(valid > 0)
    return np.array(list(by_frame), int), np.array(joints).reshape(-1, JOINTS, 3), np.array(flags).reshape(-1, JOINTS)


def _by_frame(place: str, frames: Any, faults: Faults) -> dict[int, Any]:
    """Entries under keys like "001234", in order of the frame."""
    if not isinstance(frames, dict):
        raise InputError(f"{place}: expected an object with one entry per frame")
    found: dict[int, Any] = {}
    for key, entry in frames.items():
        if not (key.isascii() and key.isdecimal()):
            faults.add(place, f"frames are numbers like '000123', found {key!r}")
        elif int(key) in found:
            faults.add(place, f"frame {int(key)} is given twice")
        else:
            found[int(key)] = entry
    return dict(sorted(found.items()))


def transforms(place: str, entries: Iterable[list[list[float]] | None], faults: Faults) -> Float[np.ndarray, "T 4 4"]:
    """camera_from_world in metres from rows [R | t] in mm; NaN where there is none."""
    poses = []
    for entry in entries:
        pose = np.full((4, 4), np.nan)
        if entry is not None:
            try:
                pose[:3] = np.array(entry, np.float64).reshape(3, 4)
            except (TypeError, ValueError):
                faults.add(place, f"an extrinsic must have 3 x 4 numbers, found {entry!r:.60}")
            else:
                pose[:3, 3] /= 1000
                pose[3] = 0, 0, 0, 1
        poses.append(pose)
    found = np.array(poses).reshape(-1, 4, 4)
    bad = ~is_rigid(found) & ~np.isnan(found).all((1, 2))
    if bad.any():
        faults.add(place, f"{int(bad.sum())} extrinsics are not rigid transforms, the first one in row {bad.argmax()}")
        found[bad] = np.nan
    return found
