"""How precisely a network computes."""

from contextlib import AbstractContextManager

import torch


def arithmetic(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """A block in which networks compute in "float32" or, where it is safe, in "bfloat16"."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
