"""A track from whatever holds one: a result, or a recording of a device."""

from pathlib import Path

from handloom.formats.hololens import is_hololens, read_hololens
from handloom.formats.leap import is_leap, read_leap
from handloom.formats.result import read_track
from handloom.hands import HandTrack


def read_any_track(path: Path) -> HandTrack:
    """A result folder or its hands.parquet; a Leap Motion .json or .json.xz; a HoloLens .csv.

    Raises:
        InputError: as the readers of these formats.
    """
    if path.is_file() and is_leap(path):
        return read_leap(path)
    if path.is_file() and is_hololens(path):
        return read_hololens(path)
    return read_track(path)
