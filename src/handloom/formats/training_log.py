"""The CSV log of a training: a row per report, with the columns of `LOG_COLUMNS` and one per loss or metric.

    split,step,epoch,wall_s,loss,accuracy
    train,50,0.1,12.5,3.41,
    val,500,1,130.2,2.9,0.31

An empty cell was not measured. Steps of one split never go back: a resumed run continues the log where its checkpoint
was written.
"""

import csv
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.formats.text_files import read_text

LOG_COLUMNS = ("split", "step", "epoch", "wall_s")
LOG_SPLITS = ("train", "val")


@dataclass(frozen=True, eq=False)
class TrainingLog:
    """Rows of one split: step, epoch and seconds since the start, and the measured values by name, NaN where none."""

    step: Float[np.ndarray, "R"]
    epoch: Float[np.ndarray, "R"]
    wall_s: Float[np.ndarray, "R"]
    values: dict[str, Float[np.ndarray, "R"]]
    not_finite: tuple[tuple[str, int], ...]
    """Measured values that were NaN or infinite, as (name, step)."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.step)


def read_training_log(path: Path) -> dict[str, TrainingLog]:
    """Read the log, by split; a split without rows has an empty log.

    Raises:
        InputError: not there, no rows, columns missing or given twice, or a bad row, with its line.
    """
    lines = list(csv.reader(read_text(path).splitlines()))
    header = [name.strip() for name in lines[0]]
    if missing := [name for name in LOG_COLUMNS if name not in header]:
        raise InputError(f"{path}: no column {missing[0]!r}; a training log has {', '.join(LOG_COLUMNS)}, then values")
    if twice := [name for name in header if header.count(name) > 1]:
        raise InputError(f"{path}: the column {twice[0]!r} is there twice; keep one")
    if "" in header:
        raise InputError(f"{path}: column {header.index('') + 1} has no name")
    names = [name for name in header if name not in LOG_COLUMNS]
    if not names:
        raise InputError(f"{path} measures nothing: no column beside {', '.join(LOG_COLUMNS)}")
    rows: dict[str, list[dict[str, float]]] = {split: [] for split in LOG_SPLITS}
    for line, cells in enumerate(lines[1:], 2):
        if cells:
            split, row = _row(f"{path}, line {line}", header, cells)
            if rows[split] and row["step"] < rows[split][-1]["step"]:
                raise InputError(
                    f"{path}, line {line}: {split} step {row['step']:g} comes after {rows[split][-1]['step']:g}; "
                    "was an old log continued? Cut it where the run resumed"
                )
            rows[split].append(row)
    if not any(rows.values()):
        raise InputError(f"{path} has a header and no rows yet")
    return {split: _log(found, names) for split, found in rows.items()}


def _row(place: str, header: list[str], cells: list[str]) -> tuple[str, dict[str, float]]:
    if len(cells) != len(header):
        raise InputError(f"{place}: expected {len(header)} cells as in the header, found {len(cells)}")
    row = dict(zip(header, map(str.strip, cells)))
    if (split := row.pop("split")) not in LOG_SPLITS:
        raise InputError(f"{place}: split must be {' or '.join(LOG_SPLITS)}, found {split!r}")
    numbers = {}
    for name, cell in row.items():
        if not cell and name not in LOG_COLUMNS:
            continue
        try:
            numbers[name] = float(cell)
        except ValueError:
            raise InputError(f"{place}: {name} must be a number, found {cell!r}") from None
        if name in LOG_COLUMNS and not isfinite(numbers[name]):
            raise InputError(f"{place}: {name} must be finite, found {cell!r}")
    return split, numbers


def _log(rows: list[dict[str, float]], names: list[str]) -> TrainingLog:
    def column(name: str) -> np.ndarray:
        values = np.array([row.get(name, np.nan) for row in rows], np.float64)
        return np.where(np.isfinite(values), values, np.nan)

    bad = tuple((name, int(row["step"])) for row in rows for name in names if name in row and not isfinite(row[name]))
    values = {name: column(name) for name in names}
    return TrainingLog(column("step"), column("epoch"), column("wall_s"), values, bad)
