"""What the calibration of a rig says, and whose name is whose."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from handloom.errors import CalibrationError
from handloom.formats.calibration_values import numbers
from handloom.geometry import Camera, rotation_from_vector

Entry = TypeVar("Entry")


@dataclass(frozen=True, eq=False)
class RigView:
    """One camera of a rig.

    Attributes:
        camera: its lens.
        camera_from_world: (4, 4) of a fixed camera, (T, 4, 4) of one that moves; in the unit of the calibration. All
            NaN where a pose is unknown.
        frame_ids: official numbers of the T poses; None where pose k belongs to picture k.
        on_headset: `camera_from_world` is camera_from_headset: where the headset is, another file must tell.
    """

    camera: Camera
    camera_from_world: Float[np.ndarray, "*poses 4 4"]
    frame_ids: tuple[int, ...] | None = None
    on_headset: bool = False


@dataclass(frozen=True, eq=False)
class RigCalibration:
    """All cameras by name, metres per unit of the poses (None where the layout does not say), and the layout's name."""

    views: dict[str, RigView]
    unit_m: float | None
    layout: str


def rigid_pose(place: str, rotation: Any, translation: Any) -> Float[np.ndarray, "4 4"]:
    """camera_from_world of a rotation (vector, or matrix in rows) and a translation; rounding is mended.

    Raises:
        CalibrationError: other numbers of values, or no rotation to within 1e-3.
    """
    values = np.array(numbers(place, "rotation", _flat(rotation)))
    t = np.array(numbers(place, "translation", _flat(translation)))
    if values.size not in (3, 9) or t.size != 3:
        raise CalibrationError(
            f"{place}: rotation must have 3 (a vector) or 9 numbers and translation 3, found {values.size} and {t.size}"
        )
    R = rotation_from_vector(values) if values.size == 3 else values.reshape(3, 3)
    return nearest_rigid(place, np.concatenate([R, t[:, None]], 1))


def nearest_rigid(place: str, top: Float[np.ndarray, "*poses 3 4"]) -> Float[np.ndarray, "*poses 4 4"]:
    """4 x 4 transforms of 3 x 4 ones, their rotations made exact.

    Raises:
        CalibrationError: they are not rotations within 1e-3.
    """
    R = top[..., :3]
    error = np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)).max() if np.isfinite(R).all() else np.inf
    if error > 1e-3 or (np.linalg.det(R) < 0).any():
        raise CalibrationError(f"{place}: the 3 x 3 part of a pose is not a rotation (it differs by {error:.2g})")
    U, _, Vt = np.linalg.svd(R)
    pose = np.zeros((*top.shape[:-2], 4, 4))
    pose[..., :3, :3], pose[..., :3, 3], pose[..., 3, 3] = U @ Vt, top[..., 3], 1
    return pose


def match_names(found: Mapping[str, Entry], wanted: Mapping[str, Any], place: str) -> dict[str, Entry]:
    """The entries of a calibration under the names of a capture's cameras.

    By equal names; else by the one that contains the other (`C10095` and `C10095_rgb`); else by the numbers in the
    names (`cam0_test` and `c0`), where that is unambiguous for all cameras. Entries that are not wanted are left out.

    Raises:
        CalibrationError: a camera without a calibration, or with several that might be meant.
    """
    for same in (lambda a, b: a == b, _contains, lambda a, b: bool(_numbers(a)) and _numbers(a) == _numbers(b)):
        matches = {name: [key for key in found if same(key, name)] for name in wanted}
        unique = all(len(keys) == 1 for keys in matches.values())
        if unique and len({keys[0] for keys in matches.values()}) == len(matches):
            return {name: found[keys[0]] for name, keys in matches.items()}
    known, names = ", ".join(found) or "none", ", ".join(wanted)
    raise CalibrationError(
        f"{place} calibrates the cameras {known}, but the capture has {names}; name videos and cameras alike, or "
        "choose with --cameras"
    )


def _contains(a: str, b: str) -> bool:
    a, b = a.casefold().removeprefix("hmc_"), b.casefold().removeprefix("hmc_")
    return a in b or b in a


def _numbers(name: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", name)][:1]


def _flat(values: Any) -> Any:
    """The numbers of rows, one after the other; what has no rows stays what it is."""
    if isinstance(values, list) and values and isinstance(values[0], list):
        return [value for row in values for value in row]
    return values
