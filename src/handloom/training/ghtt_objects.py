"""Training of E^PO, which sums up what F says of the object in the frames of a clip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from handloom.datasets.sampler import sample_rng
from handloom.datasets.store import Store
from handloom.formats.weights import read_tensors, write_tensors
from handloom.models.ghtt_image import ImageEstimator
from handloom.progress import Progress
from handloom.training.ghtt_image_recipe import AggregatorRecipe
from handloom.training.ghtt_loss import label_loss
from handloom.training.image_samples import joined_views, object_places
from handloom.training.loop import Loop, LossTerms
from handloom.training.processes import Processes
from handloom.training.samples import batches

LOADED = 4
"""Clips whose pictures are held at a time."""


class ObjectClips(NamedTuple):
    """N clips: F's object features of their t frames, and the row of the object in most of them."""

    features: Float[Tensor, "N t dim"]
    labels: Int[Tensor, "N"]


class AggregatorForward(nn.Module):
    """E^PO on whole clips, as one module."""

    def __init__(self, model: ImageEstimator) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Float[Tensor, "B t dim"]) -> Float[Tensor, "B dim"]:
        """See `ImageEstimator.clip_objects`."""
        return self.model.clip_objects(features, torch.ones_like(features[..., 0], dtype=torch.bool))


@dataclass(eq=False)
class AggregatorStage(Loop):
    """E^PO in training."""

    model: ImageEstimator
    recipe: AggregatorRecipe
    samples: ObjectClips
    validation: ObjectClips | None

    terms, validated, title = ("distance", "contrast"), ("object_accuracy",), "G-HTT, object aggregator"

    @property
    def count(self) -> int:
        """Number of training clips."""
        return len(self.samples.labels)

    def wrapped(self) -> nn.Module:
        """See `AggregatorForward`."""
        return AggregatorForward(self.model)

    def batches(self, items: list[tuple[int, int]]) -> Iterator[ObjectClips]:
        """Clips with noise on their features."""
        for start in range(0, len(items), self.local_batch):
            chosen = items[start : start + self.local_batch]
            if len(chosen) < self.local_batch:
                return
            rows = torch.tensor([number for _, number in chosen])
            shape = self.samples.features.shape[1:]
            drawn = np.stack([sample_rng(self.seed, *item).normal(0, self.recipe.noise, shape) for item in chosen])
            noisy = self.samples.features[rows] + torch.from_numpy(drawn.astype(np.float32))
            yield ObjectClips(noisy, self.samples.labels[rows])

    def local_terms(self, batch: ObjectClips) -> LossTerms:
        """Distance and contrast of the clips' features to their labels."""
        found = self.forward(batch.features.to(self.device))
        return self._terms(found, batch.labels.to(self.device))

    def places(self, batch: ObjectClips) -> list[str]:
        """The objects: which clips they are of is no longer known."""
        return [self.model.config.objects[row] for row in batch.labels.tolist()]

    @torch.inference_mode()
    def validate(self) -> dict[str, float] | None:
        """The terms and the share of clips named right, on the validation split."""
        if self.validation is None:
            return None
        self.model.eval()
        labels = self.validation.labels.to(self.device)
        found = AggregatorForward(self.model)(self.validation.features.to(self.device))
        means = self._terms(found, labels).means
        right = (self.model.object_logits(found).argmax(-1) == labels).float().mean()
        return {
            "total": float(means.sum()),
            **dict(zip(self.terms, means.tolist())),
            "object_accuracy": float(right),
        }

    def _terms(self, found: Tensor, labels: Tensor) -> LossTerms:
        means = torch.stack(label_loss(found, self.model.object_vectors, labels))
        counts = torch.full_like(means, float(len(labels)))
        return LossTerms(means * counts, counts.detach())


@torch.inference_mode()
def object_clips(
    model: ImageEstimator,
    store: Store,
    cameras: Sequence[str],
    most: int | None,
    split: str,
    seed: int | None,
    device: torch.device,
    folder: Path,
    shared: Processes,
    progress: Progress,
) -> ObjectClips | None:
    """F's object features of clips of a split, augmented if there is a seed; computed once, and kept in a file.

    Args:
        model: F.
        store, cameras, split: whose clips.
        most: so many clips, evenly chosen; None for all.
        seed: of the augmentation.
        device: where to compute.
        folder: of the file.
        shared: the first process computes, the others wait.
        progress: told of every clip.

    Returns:
        None if not one clip shows a labelled object.
    """
    path = folder / f"{split}.safetensors"
    if shared.leads and not path.exists():
        model.to(device).eval()
        places = object_places(store, split, model.config.clip_frames)
        views = joined_views(store, cameras, places, model.config, seed)
        count = len(views) if most is None else min(most, len(views))
        chosen = np.unique(np.linspace(0, len(views) - 1, count).astype(int)) if count else np.array([], int)
        features, labels, done = [], [], 0
        for batch in batches(views, [(0, int(number)) for number in chosen], LOADED, 0, keep_last=True):
            found = model(batch.inputs.flatten(0, 1).to(device)).objects
            features.append(found.unflatten(0, batch.inputs.shape[:2]).cpu())
            labels += [row[row >= 0].mode().values for row in batch.target.object]
            done += len(batch.inputs)
            progress("features", done, len(chosen))
        folder.mkdir(parents=True, exist_ok=True)
        kept = {"features": torch.cat(features), "labels": torch.stack(labels)} if features else {}
        write_tensors(path, kept)
    shared.wait()
    stored = read_tensors(path)
    return ObjectClips(stored["features"], stored["labels"]) if stored else None
