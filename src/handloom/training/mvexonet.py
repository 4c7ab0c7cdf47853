"""`handloom train mvexonet`: the annotation network on hands that several cameras see and somebody has labelled."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from handloom.annotate.labelled_hands import labelled_hands
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.models.mvexonet import Joints, MVExoNet, ViewJoints, Views, triangulated
from handloom.progress import Progress, silent
from handloom.training.held_out import VALIDATION, Means, evenly, validates
from handloom.training.loop import LossTerms
from handloom.training.motion_run import about_stores
from handloom.training.mvexonet_loss import TERMS, mvexonet_loss
from handloom.training.mvexonet_recipe import MVEXONET_PRESETS, MVExoNetRecipe
from handloom.training.mvexonet_samples import HandSample, HandSamples
from handloom.training.options import MVExoNetOptions
from handloom.training.precision import arithmetic
from handloom.training.processes import local_device, processes
from handloom.training.run_folder import RunFolder
from handloom.training.stacked import StackedStage, on_device, stacked

CROPS = "crops"
MOST_VALIDATED = 128


class MVExoNetForward(nn.Module):
    """The network as one module with one forward, in the precision of the recipe."""

    def __init__(self, model: MVExoNet, precision: str) -> None:
        super().__init__()
        self.model, self.precision = model, precision

    def forward(self, views: Views, turn: Tensor) -> tuple[Joints, ViewJoints, Tensor]:
        """See `MVExoNet.forward`; the geometry is always single precision."""
        model, device = self.model, views.images.device
        with arithmetic(device, self.precision):
            features = model.features(views)
            alone = model.alone(features)
            found = model.together(features, views, turn)
        return found, alone, triangulated(alone, views)


@dataclass(eq=False)
class MVExoNetStage(StackedStage):
    """The network in training."""

    model: MVExoNet
    recipe: MVExoNetRecipe
    samples: HandSamples
    validation: HandSamples | None

    terms, title = TERMS, "MVExoNet"
    validated = ("joint_error_mm", "algebraic_error_mm")
    batch_norms_learn = True

    def wrapped(self) -> nn.Module:
        """See `MVExoNetForward`."""
        return MVExoNetForward(self.model, self.recipe.precision)

    def term_weights(self) -> Float[Tensor, "4"]:
        """The recipe's."""
        recipe = self.recipe
        weights = (recipe.weight_joints, recipe.weight_volume, recipe.weight_heatmaps, recipe.weight_algebraic)
        return torch.tensor(weights)

    def local_terms(self, batch: HandSample) -> LossTerms:
        """See `mvexonet_loss`."""
        given = on_device(batch, self.device)
        found, alone, algebraic = self.forward(given.views, given.turn)
        return mvexonet_loss(found, alone, algebraic, given, self.model.config.side_m)

    def places(self, batch: HandSample) -> list[str]:
        """Recordings and frames."""
        names = [hands.name for hands in self.samples.hands]
        return [f"{names[recording]} frame {frame}" for recording, frame in batch.place.tolist()]

    @torch.inference_mode()
    def validate(self) -> dict[str, float] | None:
        """Terms and mean errors on hands of the validation split, with true boxes and roots."""
        if self.validation is None:
            return None
        self.model.eval()
        means = Means(self.terms, self.weights)
        items = evenly(len(self.validation), MOST_VALIDATED)
        for batch in stacked(self.validation, items, self.local_batch, keep_last=True):
            given = on_device(batch, self.device)
            found, alone, algebraic = self.forward(given.views, given.turn)
            terms = mvexonet_loss(found, alone, algebraic, given, self.model.config.side_m)
            joints = found.joints_m, algebraic
            apart = (1000 * torch.linalg.vector_norm(one - given.joints_m, dim=-1) for one in joints)
            means.add(terms, {name: off[torch.isfinite(off)] for name, off in zip(self.validated, apart)})
        return means.values()


def train_mvexonet(
    data: Path,
    out: Path,
    options: MVExoNetOptions | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train MVExoNet; a begun run goes on where its last checkpoint is.

    Args:
        data: a store with pictures of two cameras or more and labels.
        out: folder of the run; `out/model` holds the weights when it is done.
        options: see there.
        progress: told of every recording that is cut, and of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store, pictures, cameras or labels, or the folder holds another training.
        TrainingError: a loss is not finite.
    """
    options = options or MVExoNetOptions()
    preset = MVEXONET_PRESETS[options.preset]
    config, recipe = preset.config, options.applied(preset.recipe, "precision")
    store = Store(data)
    if not store.layout.pictures:
        raise InputError(f"{data} is a store of poses alone; MVExoNet is trained on pictures")
    folder = RunFolder(out)
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        seen = {"cameras": list(options.cameras), "kept_px": preset.kept_px}
        about = options.about(config, recipe, about_stores([store], options.split) | seen, shared)
        if folder.finished:
            folder.begin(about)
            return folder.model

        def samples(split: str, seed: int | None) -> HandSamples:
            crops = options.crops or out / CROPS
            hands = labelled_hands(data, split, crops, preset.kept_px, options.cameras, progress=progress)
            return HandSamples(hands, config, recipe, seed)

        training = None
        if shared.leads:
            training = samples(options.split, options.seed)
        shared.wait()
        torch.manual_seed(options.seed)
        stage = MVExoNetStage(
            model=MVExoNet(config),
            recipe=recipe,
            samples=training or samples(options.split, options.seed),
            validation=samples(VALIDATION, None) if shared.leads and validates(store, options.split) else None,
            seed=options.seed,
            folder=folder,
            about=about,
            device=device,
            processes=shared,
            options=options.loop(shared, progress, should_stop),
        )
        stage.run()
        return folder.model if folder.finished else None
