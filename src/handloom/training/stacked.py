"""Trainings whose samples are made here, one by one, and stacked: it takes a fraction of a step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

from handloom.training.loop import Loop

Item = TypeVar("Item", covariant=True)
Sample = TypeVar("Sample", bound=tuple)


@runtime_checkable
class Samples(Protocol[Item]):
    """Training samples by (epoch, number)."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: tuple[int, int]) -> Item: ...


@dataclass(eq=False)
class StackedStage(Loop):
    """A network in training on such samples."""

    samples: Samples[Any]

    @property
    def count(self) -> int:
        """Number of training samples."""
        return len(self.samples)

    def batches(self, items: list[tuple[int, int]]) -> Iterator[Any]:
        """See `stacked`."""
        return stacked(self.samples, items, self.local_batch)


def stacked(
    samples: Samples[Sample], items: Sequence[tuple[int, int]], batch: int, keep_last: bool = False
) -> Iterator[Sample]:
    """Samples in an order, stacked to batches; a last one that is not full is left out unless `keep_last`."""
    for start in range(0, len(items), batch):
        chosen = items[start : start + batch]
        if len(chosen) == batch or keep_last:
            yield _stack([samples[item] for item in chosen])


def on_device(sample: Sample, device: torch.device) -> Sample:
    """A sample or batch, nested tuples of tensors, on a device."""
    parts = (on_device(part, device) if isinstance(part, tuple) else part.to(device) for part in sample)
    return type(sample)(*parts)


def _stack(samples: Sequence[Sample]) -> Sample:
    parts = []
    for values in zip(*samples):
        parts.append(_stack(values) if isinstance(values[0], tuple) else torch.stack(values))
    return type(samples[0])(*parts)
