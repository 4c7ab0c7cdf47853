"""`forecast.parquet`: one row per sample and frame, with both hands."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from handloom import __version__
from handloom.errors import InputError
from handloom.formats.atomic import json_text, replacing
from handloom.futures import Futures
from handloom.skeleton import HANDS, JOINT_COUNT, JOINT_NAMES

FUTURES_FILE = "forecast.parquet"
_KEY = b"handloom.forecast"


def write_futures(path: Path, futures: Futures) -> None:
    """Write columns sample (0 is the mean), frame, time_s, left_joints_m, right_joints_m (63 numbers, NaN where a joint
    is not predicted, null where the hand is not). Raises OutputError.
    """
    samples, frames = futures.joints_m.shape[:2]
    columns = {
        "sample": pa.array(np.repeat(np.arange(samples), frames)),
        "frame": pa.array(np.tile(np.arange(frames), samples)),
        "time_s": pa.array(np.tile(futures.times_s, samples)),
    }
    for hand, side in enumerate(HANDS):
        flat = pa.array(futures.joints_m[:, :, hand].astype(np.float32).ravel())
        missing = np.full(samples * frames, not futures.valid[hand].any())
        columns[f"{side}_joints_m"] = pa.FixedSizeListArray.from_arrays(flat, 3 * JOINT_COUNT, mask=pa.array(missing))
    about = {
        "handloom_version": __version__,
        "joint_names": list(JOINT_NAMES),
        "frame": futures.frame,
        "path": futures.path,
        "valid": futures.valid,
    }
    with replacing(path) as part:
        table = pa.table(columns).replace_schema_metadata({_KEY: json_text(about).encode()})
        pq.write_table(table, part, compression="zstd")


def read_futures(path: Path) -> Futures:
    """Read what `write_futures` wrote. Raises InputError: not there, damaged, or another file."""
    try:
        table = pq.read_table(path, partitioning=None)
        about = json.loads((table.schema.metadata or {})[_KEY])
        samples = 1 + max(table["sample"].to_pylist())
        joints = []
        for side in HANDS:
            column = table[f"{side}_joints_m"].combine_chunks()
            rows = np.full((len(column), 3 * JOINT_COUNT), np.nan)
            known = column.is_valid().to_numpy(zero_copy_only=False)
            rows[known] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, 3 * JOINT_COUNT)
            joints.append(rows.reshape(samples, -1, JOINT_COUNT, 3))
        times = table["time_s"].to_numpy()[: joints[0].shape[1]]
        return Futures(times, np.stack(joints, 2), np.array(about["valid"], bool), about["frame"], about["path"])
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; handloom forecast writes it") from None
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as failure:
        raise InputError(f"{path} is damaged or no forecast: {failure!r:.200}") from None
