"""What stages of networks that see pictures share: frozen parts, exchanged surroundings, batches that do not fit."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handloom.models.ghtt_image import ImageEstimator
from handloom.models.htt import HTT
from handloom.training.loop import Loop, LossTerms, running_statistics
from handloom.training.memory import GPUMemoryError, largest_batch
from handloom.training.recipe import PictureRecipe
from handloom.training.samples import JoinedSamples, Sample, batches
from handloom.training.surroundings import exchange_surroundings


@dataclass(eq=False)
class PictureStage(Loop):
    """A network with a ResNet in front: what it is trained on, and what it is validated on."""

    model: HTT | ImageEstimator
    recipe: PictureRecipe
    samples: JoinedSamples
    validation: JoinedSamples | None

    def __post_init__(self) -> None:
        recipe, model = self.recipe, self.model
        if self.device.type == "cuda" or recipe.batch_norm == "trained":
            model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        set_trainable(model, recipe)
        super().__post_init__()

    @abstractmethod
    def terms_of(self, forward: nn.Module, batch: Sample) -> LossTerms:
        """The loss of a batch by the network as `wrapped`."""

    @property
    def count(self) -> int:
        """Number of training clips."""
        return len(self.samples)

    def begin_epoch(self) -> None:
        """See `set_mode`."""
        set_mode(self.model, self.recipe)

    def batches(self, items: list[tuple[int, int]]) -> Iterator[Sample]:
        """Clips, loaded by workers."""
        return batches(self.samples, items, self.local_batch, self.options.workers)

    def update(self, batch: Sample) -> LossTerms:
        """As in every loop; raises GPUMemoryError, which says what would fit, if the batch does not."""
        try:
            return super().update(batch)
        except torch.OutOfMemoryError:
            self.optimizer.zero_grad(set_to_none=True)
        # Out here, because the exception keeps the tensors of the step that failed.
        fits = largest_batch(lambda size: self._try(_first(batch, size)), len(batch.inputs))
        raise GPUMemoryError(len(batch.inputs), fits, self.processes.count)

    def local_terms(self, batch: Sample) -> LossTerms:
        """The network's losses, some clips in the surroundings of others."""
        chance = torch.Generator().manual_seed(hash((self.seed, self.place.step, self.processes.rank)))
        return self.terms_of(self.forward, exchange_surroundings(batch, self.recipe.exchange, chance))

    def places(self, batch: Sample) -> list[str]:
        """Recordings and first frames."""
        names = self.samples.names
        return [f"{names[recording]} from frame {frame}" for recording, frame in batch.place.tolist()]

    def _try(self, batch: Sample) -> None:
        """Take the memory of a step on a batch, by this process alone: the others wait for the step that failed."""
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # What Adam will remember, if it has made no step yet.
        remembered = [torch.empty_like(p) for p in trained for _ in range(2) if p not in self.optimizer.state]
        loss = (self.weights * self.terms_of(self.wrapped(), batch).sums).sum()
        # Unlike `backward`, this calls no hook of the data-parallel wrapper.
        torch.autograd.grad(loss, trained, allow_unused=True)
        del remembered

    def statistics(self) -> list[Tensor]:
        """The running means and variances of batch norms that are trained."""
        if self.recipe.batch_norm != "trained" or self.recipe.freeze_backbone:
            return []
        return running_statistics(self.model.backbone)


def set_trainable(model: HTT | ImageEstimator, recipe: PictureRecipe) -> None:
    """Freeze what the recipe does not train."""
    for module in model.backbone.modules():
        if recipe.freeze_backbone or (isinstance(module, nn.BatchNorm2d) and recipe.batch_norm == "frozen"):
            module.requires_grad_(False)


def set_mode(model: HTT | ImageEstimator, recipe: PictureRecipe) -> None:
    """Evaluation mode, as in the released code, but for batch norms that are trained. There is no dropout."""
    model.eval()
    if recipe.batch_norm == "trained" and not recipe.freeze_backbone:
        model.backbone.train()


def _first(batch: Sample, count: int) -> Sample:
    target = type(batch.target)(*(value[:count] for value in batch.target))
    return Sample(batch.inputs[:count], batch.intrinsics[:count], target, batch.place[:count])
