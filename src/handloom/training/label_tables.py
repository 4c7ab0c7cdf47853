"""Text embeddings of labels from where a training is told: a table, or a language model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.formats.vector_tables import read_vectors
from handloom.text_vectors import text_vectors
from handloom.video import file_digest

TEXT = Path("text")
"""In place of a table of vectors: ask the language model of the extra [text]."""


def label_table(labels: Path, names: Sequence[str], width: int | None = None) -> Float[np.ndarray, "names width"]:
    """Unit vectors of names.

    Raises:
        InputError: no vector for a name, or one of another width; see `read_vectors`.
        MissingDependencyError: the extra is not installed.
    """
    return text_vectors(names) if labels == TEXT else read_vectors(labels, names, width)


def label_digest(labels: Path | None) -> str | None:
    """What tells one source of embeddings from another: a table's content. Raises InputError: no such file."""
    return None if labels is None else str(labels) if labels == TEXT else file_digest(labels)
