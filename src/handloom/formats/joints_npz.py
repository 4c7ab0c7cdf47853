"""Stored joints as NPZ: dense arrays over frames, hands (0 left, 1 right) and joints. Never unpickles."""

from pathlib import Path

import numpy as np

from handloom.errors import InputError
from handloom.formats.npz_files import read_npz
from handloom.formats.stored_joints import HEADER_FIELDS, StoredJoints, assemble, read_header, refuse_unknown

_ARRAYS = ("frame", "times_s", "keypoints_px", "joints", "confidence", "valid")


def read_joints_npz(path: Path, order: str | None, unit: str | None, space: str | None) -> StoredJoints:
    """Read the NPZ layout; see `formats.joints.read_joints`."""
    arrays = read_npz(path)
    refuse_unknown(path, "array", arrays, (*HEADER_FIELDS, *_ARRAYS))
    for name in HEADER_FIELDS:
        if name in arrays and arrays[name].ndim:
            raise InputError(f"{path}: {name} must be a single value, found shape {arrays[name].shape}")
    header = read_header(
        path, {name: arrays[name].item() for name in HEADER_FIELDS if name in arrays}, order, unit, space
    )

    present = [arrays[name] for name in ("joints", "keypoints_px") if name in arrays]
    T = len(present[0]) if present and present[0].ndim else 0
    N = header.joint_count
    frames = _checked(path, arrays, "frame", (T,), "iu")
    valid = _checked(path, arrays, "valid", (T, 2, N), "b")
    confidence = arrays.get("confidence")
    if confidence is not None and confidence.shape == (T, 2):
        arrays["confidence"] = np.repeat(confidence[..., None], N, axis=-1)
    return assemble(
        path,
        header,
        frames=None if frames is None else frames.astype(np.int64),
        times_s=_floats(path, arrays, "times_s", (T,)),
        keypoints=_floats(path, arrays, "keypoints_px", (T, 2, N, 2)),
        joints=_floats(path, arrays, "joints", (T, 2, N, 3)),
        confidence=_floats(path, arrays, "confidence", (T, 2, N)),
        valid=valid,
    )


def _floats(path: Path, arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    array = _checked(path, arrays, name, shape, "fiu")
    return None if array is None else array.astype(np.float64)


def _checked(
    path: Path, arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...], kinds: str
) -> np.ndarray | None:
    array = arrays.get(name)
    if array is None:
        return None
    if array.shape != shape:
        raise InputError(f"{path}: {name} must have shape {shape}, found {array.shape}")
    if array.dtype.kind not in kinds:
        wanted = {"iu": "integers", "b": "booleans"}.get(kinds, "numbers")
        raise InputError(f"{path}: {name} must hold {wanted}, found {array.dtype}")
    return array
