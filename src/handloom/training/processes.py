"""One training on several processes, as `torchrun` starts them; without it, on one."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from handloom.errors import InputError


@dataclass(frozen=True)
class Processes:
    """This process's number and how many there are."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes, in each of them."""
        if self.count == 1:
            return values
        total = values.detach().clone()
        distributed.all_reduce(total)
        return total

    def average(self, values: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes, in place."""
        if self.count == 1 or not values:
            return
        together = torch.cat([value.flatten() for value in values])
        distributed.all_reduce(together)
        for value, mean in zip(values, (together / self.count).split([value.numel() for value in values])):
            value.copy_(mean.view_as(value))

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.count > 1:
            distributed.barrier()


def require_one_process(what: str) -> None:
    """Refuse to be started by torchrun: several trainings, one after the other, cannot share its processes.

    Raises:
        InputError: names `what` cannot be made so.
    """
    if _count() > 1:
        raise InputError(f"{what} is made by one process, {_count()} were started; run the command without torchrun")


def _count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """The processes that torchrun started; this one alone if it did not."""
    count = _count()
    if count == 1:
        yield Processes()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


def local_device(device: torch.device) -> torch.device:
    """The GPU of this process, where each has its own."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return device
