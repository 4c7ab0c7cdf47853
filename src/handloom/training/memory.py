"""When a GPU's memory does not suffice: which batch would fit."""

import gc
from collections.abc import Callable

import torch

from handloom.errors import TrainingError


class GPUMemoryError(TrainingError):
    """A batch does not fit into a GPU's memory; the message says which would.

    Args:
        clips: of the batch, on this process's GPU.
        fits: how many would fit there.
        processes: that share a batch.
    """

    def __init__(self, clips: int, fits: int, processes: int) -> None:
        share = f" (of {clips * processes} over {processes} processes)" if processes > 1 else ""
        most = fits * processes
        advice = f"{most} would fit: use --batch-clips {most}" if fits else "not even one fits: use more memory"
        super().__init__(
            f"the GPU's memory does not suffice for a batch of {clips} clips{share}; {advice}, or a smaller network"
        )


def largest_batch(attempt: Callable[[int], object], tried: int) -> int:
    """The largest of tried / 2, tried / 4, ... 1 clips with which `attempt` succeeds; 0 if none does."""
    size = tried // 2
    while size:
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            attempt(size)
            return size
        except torch.OutOfMemoryError:
            size //= 2
    return 0
