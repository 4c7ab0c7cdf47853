"""Stored joints of any other tracker, in JSON, NPZ or Parquet; docs/formats.md shows the layouts."""

from pathlib import Path

from handloom.errors import InputError
from handloom.formats.joints_json import read_joints_json
from handloom.formats.joints_npz import read_joints_npz
from handloom.formats.joints_parquet import read_joints_parquet
from handloom.formats.stored_joints import StoredJoints

__all__ = ["StoredJoints", "read_joints"]

_READERS = {".json": read_joints_json, ".npz": read_joints_npz, ".parquet": read_joints_parquet}


def read_joints(
    path: Path | str, *, order: str | None = None, unit: str | None = None, space: str | None = None
) -> StoredJoints:
    """Read 2D or 3D joints that another tracker has stored; the suffix names the layout.

    Args:
        path: a .json, .npz or .parquet file; Handloom's own hands.parquet is one of them.
        order: joint order, a key of `skeleton.JOINT_ORDERS`, for a file that does not say.
        unit: "m", "cm" or "mm", for a file that does not say.
        space: "camera", "root_relative" or "world", for a file that does not say.

    Raises:
        InputError: missing, damaged, of another layout, ambiguous, or with impossible values; says where.
    """
    path = Path(path)
    if path.suffix not in _READERS:
        raise InputError(f"{path}: stored joints end in {', '.join(_READERS)}; found {path.suffix or 'no suffix'!r}")
    if not path.is_file():
        raise InputError(f"{path} {'is a folder; give the file itself' if path.is_dir() else 'does not exist'}")
    return _READERS[path.suffix](path, order, unit, space)
