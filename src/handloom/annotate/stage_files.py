"""Files of the stages: NumPy archives that are whole or not there, and know what they were made of."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import numpy as np

from handloom.formats.atomic import replacing
from handloom.formats.npz_files import read_npz

_MADE_OF = "made_of"


def digest(*facts: object) -> str:
    """A short text that changes when any of the facts does."""
    return sha256(repr(facts).encode()).hexdigest()[:24]


def safe(name: str) -> str:
    """A name that may have "/" in it, as the name of a folder."""
    return quote(name, safe=" ")


def save_stage(path: Path, made_of: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a stage's result. Raises OutputError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_MADE_OF: np.array(made_of)}, **arrays)  # type: ignore[arg-type]


def load_stage(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a stage's result. Raises InputError: damaged."""
    arrays = read_npz(path)
    arrays.pop(_MADE_OF, None)
    return arrays


def stands(path: Path, made_of: str) -> bool:
    """Whether a stage's result is there and was made of the same."""
    if not path.is_file():
        return False
    try:
        with np.load(path, allow_pickle=False) as archive:
            return str(archive[_MADE_OF]) == made_of
    except (OSError, ValueError, KeyError):
        return False


def blocks(length: int, size: int) -> list[range]:
    """The shards of `length` frames, `size` in each."""
    return [range(start, min(start + size, length)) for start in range(0, length, size)]


def block_path(folder: Path, block: range) -> Path:
    """File of a shard."""
    return folder / f"{block.start:08d}.npz"
