"""Where an HTT looks; only one that PyTorch computes can tell."""

import numpy as np
from jaxtyping import Bool, Float

from handloom.estimators.htt_network import HTTNetwork

Attention = tuple[Float[np.ndarray, "t t"], Float[np.ndarray, "T"]]


def attention_of(
    network: HTTNetwork, features: Float[np.ndarray, "T width"], valid: Bool[np.ndarray, "T"]
) -> Attention | None:
    """Attention of the last layers: inside the first window of block P, and of the action token on the frames.

    None for an exported network.
    """
    looks = getattr(network, "attention", None)
    if looks is None:
        return None
    windows, of_token = looks(features[None], valid[None])
    return windows[-1, 0, 0], of_token[-1, 0]
