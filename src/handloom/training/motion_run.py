"""What trainings on motion share: options, batches, what they are trained on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Shaped

from handloom.datasets.motion_variants import variants_of_track
from handloom.datasets.motions import MotionRecording, stored_motions
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.formats.tracks import read_any_track
from handloom.progress import Progress, silent
from handloom.training.loop import LoopOptions
from handloom.training.processes import Processes
from handloom.training.run_folder import described
from handloom.training.schedule import Schedule

VALIDATION = "val"
Item = TypeVar("Item", covariant=True)
Sample = TypeVar("Sample", bound=tuple)
Recipe = TypeVar("Recipe", bound=Schedule)


@dataclass(frozen=True)
class MotionOptions:
    """How a network is trained on motion.

    Attributes:
        preset: `paper` as published (for a GPU), or `small` for 2 CPU cores.
        split: of the stores.
        seed: of all chance.
        epochs, batch_clips, learning_rate: instead of the preset's.
        device: auto, cpu, cuda or mps.
        checkpoint_minutes: between two checkpoints.
        max_steps: end after so many steps, as if interrupted.
    """

    preset: Literal["paper", "small"] = "small"
    split: str = "train"
    seed: int = 0
    epochs: int | None = None
    batch_clips: int | None = None
    learning_rate: float | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    checkpoint_minutes: float = 5.0
    max_steps: int | None = None

    def applied(self, recipe: Recipe, *more: str) -> Recipe:
        """The recipe with what is given here, `more` naming what else may be."""
        given = {name: getattr(self, name) for name in ("epochs", "batch_clips", "learning_rate", *more)}
        return replace(recipe, **{name: value for name, value in given.items() if value is not None})

    def loop(self, shared: Processes, progress: Progress, should_stop: Callable[[], bool]) -> LoopOptions:
        """How the loop is carried out; the leading process alone tells of its progress."""
        return LoopOptions(
            checkpoint_minutes=self.checkpoint_minutes,
            stop_after_steps=self.max_steps,
            should_stop=should_stop,
            progress=progress if shared.leads else silent,
        )

    def about(self, config: Any, recipe: Schedule, data: dict[str, Any], shared: Processes) -> dict[str, Any]:
        """All that the weights of a training depend on."""
        return {
            "model": described(config),
            "recipe": described(recipe),
            "data": data,
            "seed": self.seed,
            "processes": shared.count,
        }


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
    digests = {store.root.name: store_digest(store) for store in stores}
    return {"stores": digests, "split": split, "more": sorted(recording.name for recording in more)}


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
