"""Stored joints as NPZ: dense arrays over frames, hands (0 left, 1 right) and joints. Never unpickles."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from handloom.errors import InputError
from handloom.formats.stored_joints import HEADER_FIELDS, StoredJoints, assemble, read_header, refuse_unknown

_ARRAYS = ("frame", "times_s", "keypoints_px", "joints", "confidence", "valid")


def read_joints_npz(path: Path, order: str | None, unit: str | None, space: str | None) -> StoredJoints:
    """Read the NPZ layout; see `formats.joints.read_joints`."""
    arrays = _load(path)
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


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path} is not an NPZ archive; write it with numpy.savez")
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as failure:
        if "pickle" in str(failure).lower():
            raise InputError(
                f"{path} holds pickled objects, which could run code when read; store plain numeric arrays"
            ) from None
        raise InputError(f"{path} is damaged or not an NPZ archive: {failure}") from None


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
