"""Arrays to Parquet columns and back: scalars for shape [1], nested lists of fixed length for the rest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Shaped

from handloom.errors import InputError

Columns = dict[str, Shaped[np.ndarray, "T ..."]]


def to_table(columns: Mapping[str, Shaped[np.ndarray, "T ..."]], features: Mapping[str, Any]) -> pa.Table:
    """The table of arrays of T rows each, in the declared types and shapes."""
    return pa.table({name: _nested(array, features[name]) for name, array in columns.items()})


def read_columns(path: Path, features: Mapping[str, Any], names: list[str] | None = None) -> Columns:
    """The declared columns of a data file as arrays of their declared shapes.

    Raises:
        InputError: no file, not Parquet, a column missing, nulls, another shape.
    """
    wanted = [name for name, feature in features.items() if feature["dtype"] != "video"] if names is None else names
    try:
        # A dataset's own reader would take "chunk-000" for a partition.
        with pq.ParquetFile(path) as file:
            if absent := sorted(set(wanted) - set(file.schema_arrow.names)):
                raise InputError(f"{path} has no column {', '.join(absent)}; prepare the store again")
            table = file.read(columns=wanted)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; the store is not whole: prepare it again") from None
    except (pa.ArrowException, OSError) as failure:
        raise InputError(f"{path} is damaged or not a Parquet file: {failure}") from None
    return {name: _dense(path, name, table[name].combine_chunks(), features[name]) for name in wanted}


def _nested(array: Shaped[np.ndarray, "T ..."], feature: Mapping[str, Any]) -> pa.Array:
    shape = [] if feature["shape"] == [1] else feature["shape"]
    values = np.ascontiguousarray(array, dtype=feature["dtype"]).reshape(len(array), *shape)
    column = pa.array(values.reshape(-1))
    for side in reversed(shape):
        column = pa.FixedSizeListArray.from_arrays(column, side)
    return column


def _dense(path: Path, name: str, column: Any, feature: Mapping[str, Any]) -> Shaped[np.ndarray, "T ..."]:
    shape = () if feature["shape"] == [1] else tuple(feature["shape"])
    rows = len(column)
    while pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        if column.null_count:
            break
        column = column.flatten()
    if column.null_count or len(column) != rows * int(np.prod(shape, dtype=int)):
        raise InputError(
            f"{path}: column {name!r} has {'nulls' if column.null_count else 'another shape'}; expected "
            f"{rows} x {list(shape) or 'one value'} of {feature['dtype']}"
        )
    values = np.asarray(column.to_numpy(zero_copy_only=False), feature["dtype"])
    return values.reshape(rows, *shape)
