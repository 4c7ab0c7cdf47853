"""Where and how precisely a network computes."""

from contextlib import AbstractContextManager

import torch

from handloom.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA, else MPS, else the processor.

    Raises:
        InputError: no such device here.
    """
    if name == "auto":
        found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(found)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as failure:
        reason = str(failure).splitlines()[0]
        raise InputError(f"the device {name!r} is not to be had here ({reason}); use auto or cpu") from None
    return device


def arithmetic(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """A block in which networks compute in "float32" or, where it is safe, in "bfloat16"."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
