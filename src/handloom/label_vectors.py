"""Text embeddings of labels without a language model: one random direction for every verb and every noun.

Labels that share the verb or the noun are alike by half; nothing else is. Words that were not trained on have a
direction that means nothing, so unseen words cannot be recognised: for that, give a table of a text model's vectors.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError


def action_vectors(labels: Sequence[str], width: int) -> Float[np.ndarray, "labels width"]:
    """Unit vectors of actions: the first word is the verb, the rest the noun.

    Raises:
        InputError: the width is odd or not positive.
    """
    half = _half(width)
    pairs = [(label.partition(" ")[0], label.partition(" ")[2]) for label in labels]
    rows = [
        np.concatenate([_direction("verb " + verb, half), _direction("noun " + noun, half)]) for verb, noun in pairs
    ]
    return np.array(rows, np.float32).reshape(-1, width) / np.float32(np.sqrt(2))


def object_vectors(names: Sequence[str], width: int) -> Float[np.ndarray, "names width"]:
    """Unit vectors of objects: the noun's half of an action's vector."""
    half = _half(width)
    rows = [np.concatenate([np.zeros(half), _direction("noun " + name, half)]) for name in names]
    return np.array(rows, np.float32).reshape(-1, width)


def _half(width: int) -> int:
    if width < 2 or width % 2:
        raise InputError(f"label vectors need an even width of 2 or more, found {width}")
    return width // 2


def _direction(word: str, width: int) -> Float[np.ndarray, "width"]:
    seed = int.from_bytes(hashlib.sha256(word.lower().encode()).digest()[:8], "little")
    vector = np.random.Generator(np.random.Philox(seed)).normal(size=width)
    return np.asarray(vector / np.linalg.norm(vector))
