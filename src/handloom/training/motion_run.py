"""What trainings on motion are trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped

from handloom.datasets.motion_variants import variants_of_track
from handloom.datasets.motions import MotionRecording, stored_motions
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.formats.tracks import read_any_track
from handloom.training.held_out import VALIDATION, validates


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
    return stored_motions([store for store in stores if validates(store, training)], VALIDATION)


def padded(values: Shaped[np.ndarray, "n *rest"], length: int, dtype: type) -> torch.Tensor:
    """The rows of an array and zeros behind them, `length` in all."""
    out = np.zeros((length, *values.shape[1:]), dtype)
    out[: len(values)] = values
    return torch.from_numpy(out)
