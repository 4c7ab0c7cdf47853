"""One stage of training HTT: pictures in, losses out."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from handloom.models.htt import HTT, HTTOutput
from handloom.training.htt_loss import TERMS, htt_loss, loss_weights
from handloom.training.loop import LossTerms
from handloom.training.picture_stage import PictureStage
from handloom.training.precision import arithmetic
from handloom.training.recipe import Recipe
from handloom.training.samples import JoinedSamples, Sample, to_device, trimmed
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
class Stage(PictureStage):
    """A stage of HTT: what it is trained on, and what it is validated on."""

    model: HTT
    recipe: Recipe
    samples: JoinedSamples
    validation: JoinedSamples | None

    terms, validated, title = TERMS, VALIDATED, "HTT"

    def wrapped(self) -> nn.Module:
        """See `Forward`."""
        return Forward(self.model)

    def term_weights(self) -> Float[Tensor, "5"]:
        """Those of the recipe."""
        return loss_weights(self.recipe)

    def terms_of(self, forward: nn.Module, batch: Sample) -> LossTerms:
        """HTT's losses."""
        given = to_device(trimmed(batch, self.model.config.pose_window), self.device)
        with arithmetic(self.device, self.recipe.precision):
            output = forward(given.inputs, given.target.valid, given.intrinsics)
        return htt_loss(output, given.target, self.recipe.clip_mean)

    def validate(self) -> dict[str, float] | None:
        """Losses and simple errors on the clips of the validation split."""
        if self.validation is None:
            return None
        return validate(self.model, self.validation, self.recipe, self.device, self.options.workers)
