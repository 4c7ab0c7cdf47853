"""Files out: written under a temporary name and renamed, so that a file is either whole or not there."""

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from handloom.errors import OutputError

_ADVICE = {
    errno.ENOSPC: "free space or choose another disk",
    errno.EDQUOT: "free space or choose another disk",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.ENOENT: "make its folder first",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; on success what was written there takes the place of `path`.

    When the block fails, the temporary file is removed and whatever stood at `path` stays.

    Raises:
        OutputError: the operating system refused to write: no space, no permission, no such folder, ...
    """
    part = path.with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    except OSError as failure:
        advice = _ADVICE.get(failure.errno or 0, "nothing was changed")
        reason = os.strerror(failure.errno) if failure.errno else str(failure)
        raise OutputError(f"cannot write {path}: {reason}; {advice}") from failure
    finally:
        with suppress(OSError):
            part.unlink()


def make_folder(path: Path) -> None:
    """Make a folder for results unless it is there. Raises OutputError: a file stands there, no permission, ..."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise OutputError(f"cannot make the folder {path}: {failure.strerror}; choose another") from failure


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all. Raises OutputError."""
    with replacing(path) as part:
        # A file name that is not UTF-8 reaches us as lone surrogates; it must not cost the result.
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def json_text(values: Mapping[str, Any], indent: int | None = None) -> str:
    """Standard JSON of a mapping. NumPy values and paths are allowed; NaN and infinity become null.

    Raises:
        TypeError: a value that JSON has no form for.
    """
    return json.dumps(_plain(values), indent=indent, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return os.fspath(value) if isinstance(value, os.PathLike) else value
