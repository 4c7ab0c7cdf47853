"""A table of text embeddings from another program, CLIP's say: names and vectors in an .npz or .json file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.formats.npz_files import read_npz
from handloom.formats.text_files import parse_json, read_text


def read_vectors(path: Path, names: Sequence[str], width: int | None = None) -> Float[np.ndarray, "names width"]:
    """Unit vectors of names, looked up in a table: NPZ with arrays `names` and `vectors`, or JSON {name: [numbers]}.

    Args:
        path: the file.
        names: whose vectors.
        width: that they must have.

    Raises:
        InputError: damaged, a name that is missing or comes twice, vectors of another or of several widths, or 0.
    """
    known, table = _npz(path) if path.suffix == ".npz" else _json(path)
    if twice := next((name for name in known if known.count(name) > 1), None):
        raise InputError(f"{path}: {twice!r} comes twice")
    if width is not None and table.shape[1] != width:
        raise InputError(f"{path} holds vectors of {table.shape[1]} numbers; the network reads {width}")
    rows = {name: row for row, name in enumerate(known)}
    if missing := [name for name in names if name not in rows]:
        raise InputError(f"{path} has no vector for {missing[0]!r} ({len(missing)} names are missing)")
    chosen = table[[rows[name] for name in names]].astype(np.float64)
    length = np.linalg.norm(chosen, axis=-1, keepdims=True)
    if not (np.isfinite(chosen).all() and (length > 0).all()):
        raise InputError(f"{path}: a vector is zero or not finite; every label needs a direction")
    return np.asarray(chosen / length, np.float32)


def _npz(path: Path) -> tuple[list[str], Float[np.ndarray, "names width"]]:
    arrays = read_npz(path)
    if not {"names", "vectors"} <= set(arrays):
        raise InputError(f"{path} must hold the arrays names and vectors, found {', '.join(arrays) or 'none'}")
    names, vectors = arrays["names"], arrays["vectors"]
    if names.ndim != 1 or names.dtype.kind != "U" or vectors.ndim != 2 or len(names) != len(vectors):
        raise InputError(
            f"{path}: names must be texts (N,) and vectors numbers (N, width), found {names.dtype} {names.shape} and "
            f"{vectors.shape}"
        )
    if vectors.dtype.kind not in "fiu":
        raise InputError(f"{path}: vectors must be numbers, found {vectors.dtype}")
    return [str(name) for name in names], vectors


def _json(path: Path) -> tuple[list[str], Float[np.ndarray, "names width"]]:
    table = parse_json(path, read_text(path))
    if not isinstance(table, dict) or not table:
        raise InputError(f"{path} must hold an object of names and lists of numbers")
    widths = {len(row) if isinstance(row, list) else 0 for row in table.values()}
    if len(widths) != 1 or 0 in widths:
        raise InputError(f"{path}: every name needs as many numbers, found {sorted(widths)}")
    try:
        return list(table), np.array(list(table.values()), np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{path}: vectors must be numbers") from None
