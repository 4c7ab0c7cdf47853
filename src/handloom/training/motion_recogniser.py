"""Training of the network whose features FID compares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from handloom.datasets.motions import action_vocabulary, open_stores, stored_motions
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.label_vectors import action_vectors
from handloom.models.motion_recogniser import MotionRecogniser
from handloom.models.motion_vae import set_statistics
from handloom.progress import Progress, silent
from handloom.training.ghtt_loss import label_loss
from handloom.training.ghtt_recipe import RECOGNISER_PRESETS
from handloom.training.ghtt_samples import feature_statistics
from handloom.training.loop import LossTerms
from handloom.training.motion_run import about_stores
from handloom.training.options import RunOptions
from handloom.training.posegpt import MotionSample, MotionSamples, MotionStage
from handloom.training.processes import local_device, processes
from handloom.training.run_folder import RunFolder
from handloom.training.stacked import on_device


class RecogniserForward(nn.Module):
    """The recogniser on a batch, as one module."""

    def __init__(self, model: MotionRecogniser) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: MotionSample) -> tuple[Tensor, Tensor]:
        """Features, and where the actions lie."""
        seen = torch.arange(batch.features.shape[1], device=batch.length.device) < batch.length[:, None]
        return self.model(batch.features, batch.known, seen), self.model.labels()


@dataclass(eq=False)
class RecogniserStage(MotionStage):
    """The recogniser in training: cross-entropy of the cosines, and L1 to the label."""

    terms, title = ("contrast", "distance"), "Motion recogniser"

    def wrapped(self) -> nn.Module:
        """See `RecogniserForward`."""
        assert isinstance(self.model, MotionRecogniser)
        return RecogniserForward(self.model)

    def local_terms(self, batch: MotionSample) -> LossTerms:
        """The two terms."""
        given = on_device(batch, self.device)
        features, labels = self.forward(given)
        distance, contrast = label_loss(features, labels, given.action)
        terms = torch.stack([contrast, distance])
        counts = terms.new_full((2,), float(len(features)))
        return LossTerms(terms * counts, counts)


def train_motion_recogniser(
    data: Sequence[Path],
    out: Path,
    options: RunOptions | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
    changes: dict[str, Any] | None = None,
) -> Path | None:
    """Train the recogniser on labelled segments; resumable. Returns the folder of its weights, None if it ended early.

    Raises:
        InputError: no such store, no labels, or the folder holds another training.
        TrainingError: a loss is not finite.
    """
    options = options or RunOptions()
    stores = open_stores(data)
    recordings = stored_motions(stores, options.split)
    actions, _ = action_vocabulary(recordings)
    if not actions:
        raise InputError("no recording has a labelled action, which the recogniser learns to name")
    preset = RECOGNISER_PRESETS[options.preset]
    config = replace(preset.config, actions=actions, **(changes or {}))
    recipe = options.applied(preset.recipe)
    rows = {name: row for row, name in enumerate(actions)}
    spans = [(k, s.start, s.end, rows[s.label]) for k, r in enumerate(recordings) for s in r.segments]
    folder = RunFolder(out)
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        about = options.about(config, recipe, about_stores(stores, options.split), shared)
        if folder.finished:
            folder.begin(about)
            return folder.model
        torch.manual_seed(options.seed)
        model = MotionRecogniser(config)
        model.action_vectors.copy_(torch.from_numpy(action_vectors(actions, config.label_dim)))
        if recipe.normalise:
            set_statistics(model, *feature_statistics(recordings))
        RecogniserStage(
            model=model,
            recipe=recipe,
            samples=MotionSamples(recordings, spans, config.frames, options.seed),
            seed=options.seed,
            folder=folder,
            about=about,
            device=device,
            processes=shared,
            options=options.loop(shared, progress, should_stop),
        ).run()
        return folder.model if folder.finished else None
