"""What trainings on motion share: batches, and what they are trained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Shaped

from handloom.datasets.motion_variants import variants_of_track
from handloom.datasets.motions import MotionRecording, stored_motions
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.formats.tracks import read_any_track

VALIDATION = "val"
Item = TypeVar("Item", covariant=True)
Sample = TypeVar("Sample", bound=tuple)


@runtime_checkable
class Samples(Protocol[Item]):
    """Training samples by (epoch, number)."""

    def __getitem__(self, item: tuple[int, int]) -> Item: ...


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


def about_stores(stores: Sequence[Store], split: str, more: Sequence[MotionRecording] = ()) -> dict[str, Any]:
    """What a training is about, as far as its data goes."""
    digests: dict[str, list[str]] = {}
    for store in stores:
        digests.setdefault(store.root.name, []).append(store_digest(store))
    named = {name: found[0] if len(found) == 1 else found for name, found in digests.items()}
    return {"stores": named, "split": split, "more": sorted(recording.name for recording in more)}


def recordings_of_tracks(paths: Sequence[Path]) -> list[MotionRecording]:
    """Recordings of results and devices, each in several variants. Raises InputError as their readers."""
    return [recording for path in paths for recording in variants_of_track(read_any_track(path), path.name)]


def split_or_none(stores: Sequence[Store], training: str) -> list[MotionRecording]:
    """The recordings of the validation split of those stores that have one; none if it is the one trained on."""
    if training == VALIDATION:
        return []
    chosen = [store for store in stores if any(item.split == VALIDATION for item in store.recordings)]
    return stored_motions(chosen, VALIDATION)


def padded(values: Shaped[np.ndarray, "n *rest"], length: int, dtype: type) -> torch.Tensor:
    """The rows of an array and zeros behind them, `length` in all."""
    out = np.zeros((length, *values.shape[1:]), dtype)
    out[: len(values)] = values
    return torch.from_numpy(out)


def _stack(samples: Sequence[Sample]) -> Sample:
    parts = []
    for values in zip(*samples):
        parts.append(_stack(values) if isinstance(values[0], tuple) else torch.stack(values))
    return type(samples[0])(*parts)
