"""What validations share: whether there is one, on which samples, and means over them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from handloom.datasets.store import Store
from handloom.training.loop import LossTerms

VALIDATION = "val"


def validates(store: Store, training: str) -> bool:
    """Whether a store has a validation split, beside the one that is trained on."""
    return training != VALIDATION and any(recording.split == VALIDATION for recording in store.recordings)


def evenly(count: int, most: int) -> list[tuple[int, int]]:
    """At most so many of `count` samples, evenly chosen, each an (epoch, number)."""
    return [(0, int(number)) for number in np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))]


class Means:
    """The terms of a loss, and errors beside them, over all batches of a validation.

    Args:
        terms: their names.
        weights: what each counts in the total.
    """

    def __init__(self, terms: Sequence[str], weights: Float[Tensor, "terms"]) -> None:
        self.terms, self.weights = terms, weights.cpu()
        self.summed = torch.zeros(2, len(terms))
        self.errors: dict[str, list[float]] = {}

    def add(self, terms: LossTerms, errors: Mapping[str, Tensor] | None = None) -> None:
        """Those of a batch; of errors, all that could be measured."""
        self.summed += torch.stack([terms.sums, terms.counts]).cpu()
        for name, values in (errors or {}).items():
            so_far = self.errors.setdefault(name, [0.0, 0.0])
            so_far[0] += float(values.sum())
            so_far[1] += values.numel()

    def values(self) -> dict[str, float]:
        """The total, the terms, and those errors that could be measured."""
        means = self.summed[0] / self.summed[1].clamp(min=1e-6)  # counts may be shares
        errors = {name: total / count for name, (total, count) in self.errors.items() if count}
        return {"total": float((self.weights * means).sum()), **dict(zip(self.terms, means.tolist())), **errors}
