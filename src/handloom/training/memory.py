"""When a GPU's memory does not suffice: which batch would fit."""

import gc
from collections.abc import Callable

import torch

from handloom.errors import TrainingError


class GPUMemoryError(TrainingError):
    """A batch does not fit into the GPU's memory; the message says which would."""

    def __init__(self, clips: int, fits: int) -> None:
        advice = f"{fits} would fit: set --batch-clips {fits} for each GPU" if fits else "not even one fits"
        super().__init__(f"the GPU's memory does not suffice for {clips} clips; {advice}, or use a smaller network")


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
