"""The result folder: `hands.parquet`, one row per frame with both hands, `run.json`, and `truth.parquet` if known."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handloom import __version__
from handloom.errors import CalibrationError, InputError, RecordError
from handloom.formats.atomic import json_text, replacing, write_text
from handloom.formats.cameras import camera_from_dict, camera_to_dict
from handloom.formats.text_files import parse_json, read_text
from handloom.hands import ActionSegment, CameraSource, HandTrack, ScaleSource
from handloom.skeleton import HANDS, JOINT_COUNT, JOINT_NAMES

HANDS_FILE, TRUTH_FILE, RUN_FILE = "hands.parquet", "truth.parquet", "run.json"
METADATA_KEY = b"handloom"
FORMAT_VERSION = 1


def write_track(path: Path | str, track: HandTrack, *, extra: Mapping[str, Any] | None = None) -> None:
    """Write a record as Parquet, whole or not at all; `read_track` gives it back exactly.

    Args:
        path: the file, usually `hands.parquet`.
        track: the record.
        extra: anything that JSON can hold, kept in the file's metadata under "extra".

    Raises:
        OutputError: the file cannot be written: no space, no permission, no such folder.
    """
    columns: dict[str, pa.Array] = {
        "frame": pa.array(np.arange(len(track)), pa.int64()),
        "time_s": pa.array(track.times_s, pa.float64()),
    }
    for hand, side in enumerate(HANDS):
        missing = ~track.present[:, hand]
        columns[f"{side}_joints_m"] = _lists(track.joints_m[:, hand], pa.float32(), missing)
        columns[f"{side}_keypoints_px"] = _lists(track.keypoints_px[:, hand], pa.float32(), missing)
        columns[f"{side}_confidence"] = _lists(track.confidence[:, hand], pa.float32(), missing)
        columns[f"{side}_valid"] = _lists(track.valid[:, hand], pa.bool_(), missing)
    for name, values, kind in (
        ("world_from_camera", track.world_from_camera, pa.float64()),
        ("object_probabilities", track.object_probabilities, pa.float32()),
    ):
        if values is not None:
            unknown = np.isnan(values).all(tuple(range(1, values.ndim)))
            columns[name] = _lists(values, kind, unknown)
    metadata = {METADATA_KEY: json_text(_metadata(track, extra or {})).encode()}
    with replacing(Path(path)) as part:
        pq.write_table(pa.table(columns).replace_schema_metadata(metadata), part, compression="zstd")


def read_track(path: Path | str) -> HandTrack:
    """Read a record from a result folder or from its `hands.parquet`.

    Raises:
        InputError: not there, damaged, not written by Handloom, or written by a newer version.
    """
    path = _hands_file(Path(path))
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (pa.ArrowException, OSError, ValueError) as failure:
        raise InputError(f"{path} is damaged or not a Parquet file: {failure}") from None
    described = _described(path, table.schema.metadata)
    T = table.num_rows
    frame = _column(path, table, "frame", pa.int64()).to_numpy()
    if not np.array_equal(frame, np.arange(T)):
        raise InputError(f"{path}: column frame must count 0 ... {T - 1}; rows were removed or sorted differently")

    def both(field: str, kind: pa.DataType, *shape: int) -> np.ndarray:
        return np.stack([_rows(path, table, f"{side}_{field}", kind, *shape) for side in HANDS], axis=1)

    names = described["object_names"]
    columns: dict[str, Any] = {
        "times_s": _column(path, table, "time_s", pa.float64()).to_numpy(),
        "joints_m": both("joints_m", pa.float32(), JOINT_COUNT, 3),
        "valid": both("valid", pa.bool_(), JOINT_COUNT),
        "confidence": both("confidence", pa.float32(), JOINT_COUNT),
        "keypoints_px": both("keypoints_px", pa.float32(), JOINT_COUNT, 2),
    }
    if "world_from_camera" in table.column_names:
        columns["world_from_camera"] = _rows(path, table, "world_from_camera", pa.float64(), 4, 4)
    if "object_probabilities" in table.column_names:
        columns["object_probabilities"] = _rows(path, table, "object_probabilities", pa.float32(), len(names))
    camera = described["camera"]
    try:
        return HandTrack(
            **columns,
            camera=None if camera is None else camera_from_dict(camera, "its metadata"),
            frame=described["frame"],
            object_names=tuple(names),
            actions=tuple(ActionSegment(**action) for action in described["actions"]),
            camera_source=CameraSource(described["camera_source"]),
            scale_source=ScaleSource(described["scale_source"]),
        )
    except (RecordError, CalibrationError, TypeError, ValueError) as fault:
        raise InputError(f"{path} does not hold a valid record: {fault}") from None


def is_track(path: Path | str) -> bool:
    """Whether a file is a record that `write_track` wrote. False for whatever cannot be read."""
    try:
        return METADATA_KEY in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False


def read_metadata(path: Path | str) -> dict[str, Any]:
    """What `hands.parquet` says about itself: versions, camera, sources, names, actions, extra.

    Raises:
        InputError: as `read_track`.
    """
    path = _hands_file(Path(path))
    try:
        return _described(path, pq.read_schema(path).metadata)
    except (pa.ArrowException, OSError, ValueError) as failure:
        raise InputError(f"{path} is damaged or not a Parquet file: {failure}") from None


def write_json(path: Path | str, values: Mapping[str, Any]) -> None:
    """Write a JSON object such as `run.json`, whole or not at all.

    NumPy values and paths are allowed; NaN and infinity become null.

    Raises:
        OutputError: the file cannot be written.
        TypeError: a value that JSON has no form for.
    """
    write_text(Path(path), json_text(values, indent=2) + "\n")


def read_run(folder: Path | str) -> dict[str, Any]:
    """Read the `run.json` of a result folder.

    Raises:
        InputError: not there (the run was interrupted, or this is no result folder), or damaged.
    """
    path = Path(folder) / RUN_FILE
    if Path(folder).is_dir() and not path.exists():
        raise InputError(f"{folder} holds no {RUN_FILE}; it is written last, so the run was not finished")
    return parse_json(path, read_text(path))


def _metadata(track: HandTrack, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "handloom_version": __version__,
        "camera": None if track.camera is None else camera_to_dict(track.camera),
        "camera_source": str(track.camera_source),
        "scale_source": str(track.scale_source),
        "frame": track.frame,
        "joint_names": list(JOINT_NAMES),
        "object_names": list(track.object_names),
        "actions": [asdict(action) for action in track.actions],
        "extra": extra,
    }


_FIELDS = ("camera", "camera_source", "scale_source", "frame", "joint_names", "extra")
_LISTS = ("object_names", "actions")
"""Fields that a file may lack: then nothing is known of them."""


def _described(path: Path, metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    if METADATA_KEY not in (metadata or {}):
        raise InputError(
            f'{path} was not written by Handloom (no "{METADATA_KEY.decode()}" in its metadata); joints of '
            "other trackers are read with --estimator joints"
        )
    assert metadata is not None
    try:
        described = json.loads(metadata[METADATA_KEY])
        found = described["format_version"]
    except (ValueError, KeyError, TypeError) as failure:
        raise InputError(f"{path}: its metadata is damaged: {failure!r}") from None
    if not isinstance(found, int) or found > FORMAT_VERSION:
        raise InputError(
            f"{path} has format version {found}, written by Handloom {described.get('handloom_version')}; "
            f"this Handloom reads up to {FORMAT_VERSION}: update it"
        )
    missing = [name for name in _FIELDS if name not in described]
    if missing:
        raise InputError(f"{path}: its metadata is damaged: no {', '.join(missing)}")
    if described["joint_names"] != list(JOINT_NAMES):
        raise InputError(f"{path}: its joints are not those of this Handloom: {', '.join(described['joint_names'])}")
    for name in _LISTS:
        if not isinstance(described.setdefault(name, []), list):
            raise InputError(f"{path}: its metadata is damaged: {name} must be a list, found {described[name]!r}")
    if not all(isinstance(name, str) for name in described["object_names"]):
        raise InputError(f"{path}: its metadata is damaged: object_names must be texts")
    return dict(described)


def _hands_file(path: Path) -> Path:
    if path.is_dir():
        if not (path / HANDS_FILE).exists():
            raise InputError(f"{path} holds no {HANDS_FILE}; it is not a result of handloom track")
        return path / HANDS_FILE
    if not path.exists():
        raise InputError(f"{path} does not exist; give a result folder or its {HANDS_FILE}")
    return path


def _lists(values: np.ndarray, kind: pa.DataType, null: np.ndarray) -> pa.Array:
    """One list per row, null where there is nothing to say."""
    size = int(np.prod(values.shape[1:]))
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), kind), size, mask=pa.array(null))


def _column(path: Path, table: pa.Table, name: str, kind: pa.DataType) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise InputError(f"{path} has no column {name}; found {', '.join(table.column_names)}")
    if table[name].type != kind:
        raise InputError(f"{path}: column {name} must be {kind}, found {table[name].type}")
    return table[name]


def _rows(path: Path, table: pa.Table, name: str, kind: pa.DataType, *shape: int) -> np.ndarray:
    """(T, *shape) of a list column; rows that are null hold NaN or False."""
    column = _column(path, table, name, pa.list_(kind, int(np.prod(shape)))).combine_chunks()
    nothing = False if kind == pa.bool_() else np.nan
    rows = np.full((table.num_rows, *shape), nothing, dtype=kind.to_pandas_dtype())
    # flatten() leaves out the null rows.
    present = column.is_valid().to_numpy(zero_copy_only=False)
    rows[present] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, *shape)
    return rows
