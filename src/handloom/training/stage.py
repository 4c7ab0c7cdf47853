"""One stage of training HTT: pictures in, losses out."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from handloom.models.htt import HTT, HTTOutput
from handloom.training.htt_loss import TERMS, htt_loss, loss_weights
from handloom.training.loop import Loop, LossTerms, running_statistics
from handloom.training.memory import GPUMemoryError, largest_batch
from handloom.training.precision import arithmetic
from handloom.training.recipe import Recipe
from handloom.training.samples import JoinedSamples, Sample, batches, to_device, trimmed
from handloom.training.surroundings import exchange_surroundings
from handloom.training.validation import VALIDATED, validate


class Forward(nn.Module):
    """HTT on pictures or on their features, as one module: the data-parallel wrapper wants it so."""

    def __init__(self, model: HTT) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, valid: Tensor, intrinsics: Tensor) -> HTTOutput:
        """See `HTT.forward`."""
        network = self.model if inputs.dim() == 5 else self.model.from_features
        output: HTTOutput = network(inputs, valid, intrinsics)
        return output


@dataclass(eq=False)
class Stage(Loop):
    """A stage of HTT: what it is trained on, and what it is validated on."""

    model: HTT
    recipe: Recipe
    samples: JoinedSamples
    validation: JoinedSamples | None

    terms, validated, title = TERMS, VALIDATED, "HTT"

    def __post_init__(self) -> None:
        recipe, model = self.recipe, self.model
        if self.device.type == "cuda" or recipe.batch_norm == "trained":
            model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        set_trainable(model, recipe)
        super().__post_init__()

    @property
    def count(self) -> int:
        """Number of training clips."""
        return len(self.samples)

    def wrapped(self) -> nn.Module:
        """See `Forward`."""
        return Forward(self.model)

    def term_weights(self) -> Float[Tensor, "5"]:
        """Those of the recipe."""
        return loss_weights(self.recipe)

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
        """HTT's losses."""
        chance = torch.Generator().manual_seed(hash((self.seed, self.place.step, self.processes.rank)))
        return self._terms(self.forward, exchange_surroundings(batch, self.recipe.exchange, chance))

    def _terms(self, forward: nn.Module, batch: Sample) -> LossTerms:
        given = to_device(trimmed(batch, self.model.config.pose_window), self.device)
        with arithmetic(self.device, self.recipe.precision):
            output = forward(given.inputs, given.target.valid, given.intrinsics)
        return htt_loss(output, given.target, self.recipe.clip_mean)

    def _try(self, batch: Sample) -> None:
        """Take the memory of a step on a batch, by this process alone: the others wait for the step that failed."""
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        # What Adam will remember, if it has made no step yet.
        remembered = [torch.empty_like(p) for p in trained for _ in range(2) if p not in self.optimizer.state]
        loss = (self.weights * self._terms(Forward(self.model), batch).sums).sum()
        # Unlike `backward`, this calls no hook of the data-parallel wrapper.
        torch.autograd.grad(loss, trained, allow_unused=True)
        del remembered

    def statistics(self) -> list[Tensor]:
        """The running means and variances of batch norms that are trained."""
        if self.recipe.batch_norm != "trained" or self.recipe.freeze_backbone:
            return []
        return running_statistics(self.model.backbone)

    def places(self, batch: Sample) -> list[str]:
        """Recordings and first frames."""
        names = self.samples.names
        return [f"{names[recording]} from frame {frame}" for recording, frame in batch.place.tolist()]

    def validate(self) -> dict[str, float] | None:
        """Losses and simple errors on the clips of the validation split."""
        if self.validation is None:
            return None
        return validate(self.model, self.validation, self.recipe, self.device, self.options.workers)


def set_trainable(model: HTT, recipe: Recipe) -> None:
    """Freeze what the recipe does not train."""
    for module in model.backbone.modules():
        if recipe.freeze_backbone or (isinstance(module, nn.BatchNorm2d) and recipe.batch_norm == "frozen"):
            module.requires_grad_(False)


def set_mode(model: HTT, recipe: Recipe) -> None:
    """Evaluation mode, as in the released code, but for batch norms that are trained. There is no dropout."""
    model.eval()
    if recipe.batch_norm == "trained" and not recipe.freeze_backbone:
        model.backbone.train()


def _first(batch: Sample, count: int) -> Sample:
    target = type(batch.target)(*(value[:count] for value in batch.target))
    return Sample(batch.inputs[:count], batch.intrinsics[:count], target, batch.place[:count])
