"""`handloom train ghtt-action`: block A on labelled segments, with block P frozen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from handloom.datasets.motions import MotionRecording, action_vocabulary, open_stores, stored_motions
from handloom.datasets.sampler import sample_rng
from handloom.estimators.htt_torch import choose_device
from handloom.formats.ghtt_weights import POSE, load_pose_block
from handloom.formats.weights import save_pretrained, tensors_digest
from handloom.label_vectors import action_vectors, object_vectors
from handloom.models.ghtt_action import ActionBlock, ActionBlockConfig
from handloom.models.ghtt_pose import PoseBlock
from handloom.models.motion_vae import Encoded, set_statistics
from handloom.progress import Progress, silent
from handloom.training.action_samples import ActionSample, ActionSamples, without_padding
from handloom.training.ghtt_loss import ACTION_WEIGHTS, ActionLoss, action_loss
from handloom.training.ghtt_recipe import ACTION_PRESETS, MotionRecipe
from handloom.training.ghtt_samples import feature_statistics
from handloom.training.label_tables import label_digest, label_table
from handloom.training.loop import LossTerms
from handloom.training.motion_run import about_stores, split_or_none
from handloom.training.options import RunOptions
from handloom.training.processes import local_device, processes
from handloom.training.run_folder import RunFolder
from handloom.training.stacked import StackedStage, on_device, stacked


class ActionForward(nn.Module):
    """Block A from observed steps to both losses' inputs, as one module."""

    def __init__(self, model: ActionBlock) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: ActionSample, skip: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Predicted steps, the drawn latent, its mean and log-variance."""
        objects = vectors_of(self.model, batch.noun)[:, None].expand(-1, batch.seen.shape[1], -1)
        encoded = self.model.encode(batch.inputs, objects, batch.phase, batch.seen, batch.known)
        latent = encoded.sample(batch.noise)
        predicted = self.model.decode(latent, batch.future_phase, batch.future_seen, encoded if skip else None)
        return predicted, latent, encoded.mean, encoded.log_variance


@dataclass(eq=False)
class ActionStage(StackedStage):
    """Block A in training."""

    model: ActionBlock
    recipe: MotionRecipe
    samples: ActionSamples
    validation: ActionSamples | None

    terms, validated, title = ActionLoss._fields, ("action_accuracy",), "G-HTT, block A"

    def wrapped(self) -> nn.Module:
        """See `ActionForward`."""
        return ActionForward(self.model)

    def term_weights(self) -> Float[Tensor, "4"]:
        """The paper's lambdas."""
        return torch.stack(ACTION_WEIGHTS)

    def local_terms(self, batch: ActionSample) -> LossTerms:
        """The four terms; whether the decoder sees the encoder's tokens is drawn for every step."""
        given = on_device(without_padding(batch), self.device)
        skip = bool(sample_rng(self.seed, self.place.step, 0).uniform() < self.recipe.skip)
        predicted, latent, mean, variance = self.forward(given, skip)
        encoded = Encoded(mean, variance, mean[:, None], given.seen[:, :1])
        terms = torch.stack(
            action_loss(predicted, given.future, given.future_counted, latent, encoded, self.model, given.action)
        )
        counts = terms.new_full((len(terms),), float(len(mean)))
        return LossTerms(terms * counts, counts)

    def places(self, batch: ActionSample) -> list[str]:
        """Recordings and first frames."""
        return [self.samples.place_name(place) for place in batch.place.tolist()]

    @torch.inference_mode()
    def validate(self) -> dict[str, float] | None:
        """Top-1 accuracy on whole segments of the validation split."""
        if self.validation is None:
            return None
        self.model.eval()
        right = 0
        items = [(0, k) for k in range(len(self.validation))]
        for batch in stacked(self.validation, items, self.local_batch, keep_last=True):
            given = on_device(without_padding(batch), self.device)
            _, _, mean, _ = ActionForward(self.model)(given._replace(noise=torch.zeros_like(given.noise)), True)
            right += int((self.model.logits(mean, self.model.labels()).argmax(-1) == given.action).sum())
        return {"action_accuracy": right / len(items)}


def vectors_of(block: ActionBlock, noun: Int[Tensor, "B"]) -> Float[Tensor, "B label_dim"]:
    """Text embeddings of objects by their rows; zero for -1, an object that is not known."""
    return torch.where((noun >= 0)[:, None], block.object_vectors[noun.clamp(min=0)], 0.0)


def train_ghtt_action(
    data: Sequence[Path],
    pose: Path,
    out: Path,
    options: RunOptions | None = None,
    level: Literal["mid", "pose"] = "mid",
    labels: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
    more: Sequence[MotionRecording] = (),
) -> Path | None:
    """Train block A; a begun run goes on where its last checkpoint is.

    Args:
        data: stores with labelled segments.
        pose: weights of block P, which stays as it is.
        out: folder of the run; `out/model` holds the weights of both blocks when it is done.
        options: see there.
        level: "mid", or "pose" for the flattened model without mid-level.
        labels: table of text embeddings of all actions and objects, or `TEXT` for those of a language model; by
            default those of `label_vectors`.
        changes: of the block's config.
        progress: told of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.
        more: recordings beside those of stores.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store or weights, no labels, no vector for one, or the folder holds another training.
        TrainingError: a loss is not finite.
    """
    options = options or RunOptions()
    block = load_pose_block(pose)
    stores = open_stores(data)
    recordings = [*stored_motions(stores, options.split), *more]
    actions, objects = action_vocabulary(recordings)
    held_out = known_segments(split_or_none(stores, options.split), actions)
    preset = ACTION_PRESETS[options.preset]
    config = _config(preset.config, block, actions, objects or ("",), level, labels, changes)
    vectors = _vectors(config, labels)
    recipe = options.applied(preset.recipe)
    folder = RunFolder(out)
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        about = options.about(config, recipe, about_stores(stores, options.split, more), shared)
        about |= {"pose": tensors_digest(block.state_dict()), "labels": label_digest(labels)}
        if folder.finished:
            folder.begin(about)
        else:
            torch.manual_seed(options.seed)
            model = ActionBlock(config)
            for buffer, values in zip((model.action_vectors, model.object_vectors), vectors):
                buffer.copy_(torch.from_numpy(values))
            if recipe.normalise:
                set_statistics(model, *feature_statistics(recordings))
            block.to(device)
            ActionStage(
                model=model,
                recipe=recipe,
                samples=ActionSamples(recordings, config, block, options.seed, recipe.mid_noise, recipe.hide_noun),
                validation=ActionSamples(held_out, config, block, None) if held_out else None,
                seed=options.seed,
                folder=folder,
                about=about,
                device=device,
                processes=shared,
                options=options.loop(shared, progress, should_stop),
            ).run()
        if not folder.finished:
            return None
        if shared.leads and not (folder.model / POSE).exists():
            save_pretrained(block, folder.model / POSE, {"from": pose.name})
        return folder.model


def known_segments(recordings: Sequence[MotionRecording], actions: Sequence[str]) -> list[MotionRecording]:
    """Recordings with those segments alone whose label is among the actions, if there are any."""
    kept = [replace(r, segments=tuple(s for s in r.segments if s.label in actions)) for r in recordings]
    return [recording for recording in kept if recording.segments]


def _config(
    shape: Mapping[str, Any],
    block: PoseBlock,
    actions: tuple[str, ...],
    objects: tuple[str, ...],
    level: Literal["mid", "pose"],
    labels: Path | None,
    changes: Mapping[str, Any] | None,
) -> ActionBlockConfig:
    values = {"dim": block.config.dim, **shape, "level": level}
    if labels is not None:
        values["label_dim"] = label_table(labels, actions).shape[1]
    if level == "pose":
        values["steps"] = values["steps"] * block.config.clip_frames
    return ActionBlockConfig(actions, objects, **(values | dict(changes or {})))


def _vectors(config: ActionBlockConfig, labels: Path | None) -> tuple[np.ndarray, np.ndarray]:
    if labels is None:
        return action_vectors(config.actions, config.label_dim), object_vectors(config.objects, config.label_dim)
    return label_table(labels, config.actions, config.label_dim), label_table(labels, config.objects, config.label_dim)
