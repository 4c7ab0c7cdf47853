"""Stored joints as Parquet: one row per frame, hand and joint; or Handloom's own hands.parquet."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from handloom.errors import InputError
from handloom.formats.result import METADATA_KEY, read_track
from handloom.formats.stored_joints import (
    FORMAT,
    HEADER_FIELDS,
    Header,
    StoredJoints,
    assemble,
    read_header,
    refuse_unknown,
)
from handloom.formats.text_files import parse_json
from handloom.skeleton import HANDS, JOINT_NAMES

_COLUMNS = ("frame", "time_s", "hand", "joint", "x", "y", "z", "u", "v", "confidence")


def read_joints_parquet(path: Path, order: str | None, unit: str | None, space: str | None) -> StoredJoints:
    """Read the Parquet layouts; see `formats.joints.read_joints`."""
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            if METADATA_KEY in metadata:
                return _own(path, order, unit, space)
            table = file.read()
        table.validate(full=True)
        described = metadata.get(FORMAT.encode(), b"{}").decode()
    except (pa.ArrowException, OSError, ValueError) as failure:
        raise InputError(f"{path} is damaged or not a Parquet file: {failure}") from None
    columns = [name for name in table.column_names if not name.startswith("__index_level_")]
    refuse_unknown(path, "column", columns, _COLUMNS)
    missing = [name for name in ("hand", "joint") if name not in columns]
    if missing or not {"frame", "time_s"} & set(columns):
        raise InputError(f"{path} has no column {', '.join(missing) or 'frame or time_s'}; found {', '.join(columns)}")

    named = _is_text(table["joint"].type)
    found = parse_json(path, described)
    refuse_unknown(path, "metadata field", found, HEADER_FIELDS)
    if named:
        found = {"order": "handloom"} | found
    header = read_header(path, found, order, unit, space)
    return _scattered(path, table, header, named)


def _own(path: Path, order: str | None, unit: str | None, space: str | None) -> StoredJoints:
    track = read_track(path)
    read_header(path, {"order": "handloom", "unit": "m", "space": track.frame}, order, unit, space)
    return StoredJoints(
        valid=track.valid,
        confidence=track.confidence,
        frames=np.arange(len(track)),
        times_s=track.times_s,
        keypoints_px=None if np.isnan(track.keypoints_px).all() else track.keypoints_px,
        joints_m=track.joints_m,
        space=track.frame,
    )


def _scattered(path: Path, table: pa.Table, header: Header, named: bool) -> StoredJoints:
    """Long form to dense arrays; a row that is not there is a missing joint."""
    N = header.joint_count
    hand = _index(path, table, "hand", HANDS)
    joint = _index(path, table, "joint", JOINT_NAMES) if named else _integers(path, table, "joint")
    outside = (joint < 0) | (joint >= N)
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(f"{path}: joint {joint[row]} in row {row} is outside 0 ... {N - 1} of order {header.order!r}")

    frame = _integers(path, table, "frame") if "frame" in table.column_names else None
    time = _floats(path, table, "time_s")
    if time is not None and np.isnan(time).any():
        raise InputError(f"{path}: time_s of row {int(np.argmax(np.isnan(time)))} is missing")
    keys, row_of = np.unique(np.asarray(time if frame is None else frame), return_inverse=True)
    times = None
    if time is not None:
        times = np.zeros(len(keys))
        times[row_of] = time
        differs = times[row_of] != time
        if differs.any():
            row = int(np.argmax(differs))
            found = f"{time[row]:g} and {times[row_of[row]]:g}"
            raise InputError(f"{path}: rows of frame {keys[row_of[row]]} have different time_s: {found}")

    T = len(keys)
    cell = (row_of * 2 + hand) * N + joint
    counts = np.bincount(cell, minlength=T * 2 * N)
    if (counts > 1).any():
        frame_row, side, twice = np.unravel_index(int(np.argmax(counts > 1)), (T, 2, N))
        raise InputError(
            f"{path}: frame {keys[frame_row]}, {HANDS[side]} hand, joint {twice} appears {counts.max()} times"
        )

    def dense(names: tuple[str, ...]) -> np.ndarray | None:
        columns = [_floats(path, table, name) for name in names]
        given = [column for column in columns if column is not None]
        if not given:
            return None
        if len(given) < len(names):
            raise InputError(f"{path} needs all of the columns {', '.join(names)}, or none of them")
        array = np.full((T * 2 * N, len(names)), np.nan)
        array[cell] = np.stack(given, -1)
        return array.reshape(T, 2, N, len(names))

    confidence = dense(("confidence",))
    return assemble(
        path,
        header,
        frames=None if frame is None else keys,
        times_s=times,
        keypoints=dense(("u", "v")),
        joints=dense(("x", "y", "z")),
        confidence=None if confidence is None else confidence[..., 0],
    )


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _index(path: Path, table: pa.Table, name: str, values: tuple[str, ...]) -> np.ndarray:
    if not _is_text(table[name].type):
        raise InputError(f"{path}: column {name} must hold text, found {table[name].type}")
    column = table[name].cast(pa.string())
    index = pc.fill_null(pc.index_in(column, value_set=pa.array(values)), -1).to_numpy()
    if (index < 0).any():
        row = int(np.argmax(index < 0))
        raise InputError(f"{path}: {name} {column[row].as_py()!r} in row {row} is unknown; known: {', '.join(values)}")
    return np.asarray(index, dtype=np.int64)


def _integers(path: Path, table: pa.Table, name: str) -> np.ndarray:
    column = table[name]
    if not pa.types.is_integer(column.type) or column.null_count:
        found = f"{column.null_count} nulls" if column.null_count else str(column.type)
        raise InputError(f"{path}: column {name} must hold whole numbers, found {found}")
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _floats(path: Path, table: pa.Table, name: str) -> np.ndarray | None:
    """A column as float64, null as NaN; None if there is no such column."""
    if name not in table.column_names:
        return None
    column = table[name]
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise InputError(f"{path}: column {name} must hold numbers, found {column.type}")
    return np.asarray(column.cast(pa.float64()).to_numpy())
