"""Pictures of one shape in a file that is looked at without being read as a whole."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.formats.atomic import replacing


def write_kept(path: Path, pictures: UInt8[np.ndarray, "N *shape"]) -> None:
    """Write pictures, whole or not at all. Raises OutputError."""
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, pictures, allow_pickle=False)


def read_kept(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "N *shape"]:
    """The pictures, on disk until they are looked at. Raises InputError: damaged, or of another shape."""
    if not shape[0]:
        return np.zeros(shape, np.uint8)
    try:
        pictures = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as failure:
        raise InputError(f"{path} is damaged: {failure}; delete it, and it will be made again") from None
    if pictures.shape != shape:
        raise InputError(f"{path} holds {pictures.shape}, expected {shape}; delete it, and it will be made again")
    return np.asarray(pictures)
