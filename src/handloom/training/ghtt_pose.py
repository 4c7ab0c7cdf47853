"""`handloom train ghtt-pose`: block P on the motion of one or several stores, whatever their labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from handloom.datasets.motions import FRAME_RATE, MotionRecording, open_stores, stored_motions
from handloom.datasets.sampler import sample_rng
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.formats.ghtt_weights import load_pose_block
from handloom.formats.weights import tensors_digest
from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig
from handloom.models.motion_vae import Encoded, set_statistics
from handloom.progress import Progress, silent
from handloom.training.ghtt_loss import POSE_WEIGHTS, PoseLoss, pose_loss
from handloom.training.ghtt_recipe import POSE_PRESETS, MotionRecipe
from handloom.training.ghtt_samples import PoseSample, PoseSamples, feature_statistics
from handloom.training.held_out import Means, evenly
from handloom.training.loop import LossTerms
from handloom.training.motion_run import about_stores, split_or_none
from handloom.training.options import RunOptions
from handloom.training.processes import local_device, processes
from handloom.training.run_folder import RunFolder
from handloom.training.stacked import StackedStage, on_device, stacked

MOST_VALIDATED = 1024


class PoseForward(nn.Module):
    """Block P from observed features to both losses' inputs, as one module."""

    def __init__(self, model: PoseBlock) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, features: Tensor, known: Tensor, seen: Tensor, noise: Tensor, skip: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Refined and predicted features, mean and log-variance of the mid-level."""
        encoded = self.model.encode(features, known, seen)
        predicted = self.model.decode(encoded.sample(noise), encoded if skip else None)
        return self.model.refined(encoded), predicted, encoded.mean, encoded.log_variance


@dataclass(eq=False)
class PoseStage(StackedStage):
    """Block P in training."""

    model: PoseBlock
    recipe: MotionRecipe
    samples: PoseSamples
    validation: PoseSamples | None

    terms, title = PoseLoss._fields, "G-HTT, block P"

    def wrapped(self) -> nn.Module:
        """See `PoseForward`."""
        return PoseForward(self.model)

    def term_weights(self) -> Float[Tensor, "4"]:
        """The paper's lambdas."""
        return torch.stack(POSE_WEIGHTS)

    def local_terms(self, batch: PoseSample) -> LossTerms:
        """The four terms; whether the decoder sees the encoder's tokens is drawn for every step."""
        given = on_device(batch, self.device)
        skip = bool(sample_rng(self.seed, self.place.step, 0).uniform() < self.recipe.skip)
        refined, predicted, mean, variance = self.forward(given.features, given.known, given.seen, given.noise, skip)
        return self._terms(refined, predicted, mean, variance, given)

    def places(self, batch: PoseSample) -> list[str]:
        """Recordings and first frames."""
        names = [recording.name for recording in self.samples.recordings]
        return [f"{names[index]} from frame {frame}" for index, frame in batch.place.tolist()]

    @torch.inference_mode()
    def validate(self) -> dict[str, float] | None:
        """The terms on undisturbed windows of the validation split, with the latent's mean and without tokens."""
        if self.validation is None:
            return None
        self.model.eval()
        means = Means(self.terms, self.weights)
        items = evenly(len(self.validation), MOST_VALIDATED)
        for batch in stacked(self.validation, items, self.local_batch, keep_last=True):
            given = on_device(batch, self.device)
            refined, predicted, mean, variance = PoseForward(self.model)(
                given.features, given.known, given.seen, torch.zeros_like(given.noise), False
            )
            means.add(self._terms(refined, predicted, mean, variance, given))
        return means.values()

    def _terms(
        self, refined: Tensor, predicted: Tensor, mean: Tensor, variance: Tensor, given: PoseSample
    ) -> LossTerms:
        encoded = Encoded(mean, variance, mean[:, None], given.seen[:, :1])
        terms = torch.stack(pose_loss(refined, predicted, encoded, given.target))
        counts = terms.new_full((len(terms),), float(len(mean)))
        return LossTerms(terms * counts, counts)


def train_ghtt_pose(
    data: Sequence[Path],
    out: Path,
    options: RunOptions | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
    more: Sequence[MotionRecording] = (),
    start: Path | None = None,
) -> Path | None:
    """Train block P; a begun run goes on where its last checkpoint is.

    Args:
        data: stores.
        out: folder of the run; `out/model` holds the weights when it is done.
        options: see there.
        changes: of the block's config.
        progress: told of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.
        more: recordings beside those of stores.
        start: weights of a block P to go on from.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store, no motion in it, weights of another shape, or the folder holds another training.
        TrainingError: a loss is not finite.
    """
    options = options or RunOptions()
    preset = POSE_PRESETS[options.preset]
    config = replace(preset.config, frame_rate=FRAME_RATE, **(changes or {}))
    recipe = options.applied(preset.recipe)
    stores = open_stores(data)
    folder = RunFolder(out)
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        about = options.about(config, recipe, about_stores(stores, options.split, more), shared)
        trained = None if start is None else _trained(start, config)
        about["start"] = None if trained is None else tensors_digest(trained)
        if folder.finished:
            folder.begin(about)
            return folder.model
        torch.manual_seed(options.seed)
        model = PoseBlock(config)
        t, dim = config.clip_frames, config.dim
        recordings = [*stored_motions(stores, options.split), *more]
        if not recordings:
            raise InputError("there is no motion to train on; give stores with --data, or recordings with --tracks")
        if trained is not None:
            model.load_state_dict(trained)
        elif recipe.normalise:
            set_statistics(model, *feature_statistics(recordings))
        held_out = split_or_none(stores, options.split)
        stage = PoseStage(
            model=model,
            recipe=recipe,
            samples=PoseSamples(recordings, t, dim, recipe.disturbance, options.seed),
            validation=PoseSamples(held_out, t, dim, recipe.disturbance, None) if held_out else None,
            seed=options.seed,
            folder=folder,
            about=about,
            device=device,
            processes=shared,
            options=options.loop(shared, progress, should_stop),
        )
        stage.run()
        return folder.model if folder.finished else None


def _trained(start: Path, config: PoseBlockConfig) -> dict[str, Tensor]:
    """All weights of a trained block P, and how it counts features. Raises InputError: none, or of another shape."""
    block = load_pose_block(start)
    if block.config != config:
        raise InputError(f"{start} has {block.config}, to be trained is {config}; choose the preset that it has")
    return block.state_dict()
