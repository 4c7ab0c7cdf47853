"""A record of predictions as an NPZ archive, so that an evaluation can be redone or drawn without the model."""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from handloom.errors import InputError, RecordError
from handloom.formats.atomic import replacing
from handloom.formats.npz_files import read_npz
from handloom.metrics.predictions import Predictions

FORMAT = "handloom-predictions 1"
_NAMES = ("hands", "video_names", "object_names", "action_names")


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write every field as an array of that name; names as text. Raises OutputError."""
    arrays = {"format": np.array(FORMAT)}
    for field in fields(predictions):
        value = getattr(predictions, field.name)
        if value is not None:
            arrays[field.name] = value if isinstance(value, np.ndarray) else np.array(value, dtype=np.str_)
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_predictions(path: Path) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        InputError: not there, damaged, of another kind, or arrays that do not belong together.
    """
    arrays = read_npz(path)
    found = str(arrays.pop("format", np.array("none")))
    if found != FORMAT:
        raise InputError(f"{path}: expected predictions in format {FORMAT!r}, found {found!r}; see formats.predictions")
    known = {field.name: field for field in fields(Predictions)}
    if strange := sorted(set(arrays) - set(known)):
        raise InputError(f"{path}: unknown array {strange[0]!r}; known are {', '.join(known)}")
    if missing := [name for name, field in known.items() if field.default is MISSING and name not in arrays]:
        raise InputError(f"{path}: the array {missing[0]!r} is missing; write the file with write_predictions")
    for name in ("data", *_NAMES):
        if arrays[name].dtype.kind != "U" or arrays[name].ndim != (name != "data"):
            raise InputError(f"{path}: {name} must hold text, found {arrays[name].dtype} of shape {arrays[name].shape}")
    values: dict[str, Any] = {**arrays, "data": str(arrays["data"])}
    values |= {name: tuple(arrays[name].tolist()) for name in _NAMES}
    try:
        return Predictions(**values)
    except RecordError as failure:
        raise InputError(f"{path}: {failure}") from failure
