"""NPZ archives in, never unpickled."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from handloom.errors import InputError


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an archive.

    Raises:
        InputError: not there, damaged, not an archive, or with pickled objects in it.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path} is not an NPZ archive; write it with numpy.savez")
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; check the path") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as failure:
        if "pickle" in str(failure).lower():
            raise InputError(
                f"{path} holds pickled objects, which could run code when read; store plain numeric arrays"
            ) from None
        raise InputError(f"{path} is damaged or not an NPZ archive: {failure}") from None
