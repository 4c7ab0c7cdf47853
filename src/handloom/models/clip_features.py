"""Features of many pictures in little memory: a few pictures go through the backbone at a time."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from handloom.models.htt import HTT


def clip_features(
    model: HTT,
    images: UInt8[Tensor, "*clips 3 H W"] | Float[Tensor, "*clips 3 H W"],
    chunk: int = 16,
    recompute: bool = False,
) -> Float[Tensor, "*clips width"]:
    """`model.features` of all pictures, `chunk` at a time; also under autocast, and differentiable.

    Small chunks stay in the processor's cache, and the allocator uses the same blocks again for each.

    Args:
        model: its batch norms must have fixed statistics (evaluation mode), as HTT's do in training too; else a
            picture's features would depend on the others of its chunk.
        images: of one or several clips.
        chunk: pictures at a time; of the result only rounding depends on it.
        recompute: keep nothing but the features for the backward pass, which computes each chunk once more: a third
            more time, and memory for one chunk instead of all.
    """
    pictures = images.flatten(0, -4)
    parts = []
    for part in pictures.split(chunk):
        if recompute and torch.is_grad_enabled():
            # Nothing in the backbone is random, so there is no state of a generator to keep.
            parts.append(checkpoint(model.features, part, use_reentrant=False, preserve_rng_state=False))
        else:
            parts.append(model.features(part))
    return torch.cat(parts).unflatten(0, images.shape[:-3])
