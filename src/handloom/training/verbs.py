"""`handloom train verbs`: MS-G3D names the verb of a segment from the joints of both hands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch.nn.functional import cross_entropy

from handloom.datasets.motions import MotionRecording, open_stores, stored_motions
from handloom.datasets.verb_segments import Poses, verb_segments
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.models.verb_classifier import VerbClassifier, VerbClassifierConfig
from handloom.progress import Progress, silent
from handloom.training.loop import LossTerms
from handloom.training.motion_run import about_stores, split_or_none
from handloom.training.options import RunOptions
from handloom.training.processes import local_device, processes
from handloom.training.run_folder import RunFolder
from handloom.training.schedule import Schedule
from handloom.training.stacked import StackedStage, on_device, stacked
from handloom.training.verb_samples import VerbSample, VerbSamples

_SCORED_TOGETHER = 16


@dataclass(frozen=True)
class VerbRecipe(Schedule):
    """How it is trained. The defaults are those of MS-G3D on NTU, which Assembly101 keeps.

    Attributes:
        optimizer: stochastic gradient descent with Nesterov's momentum 0.9, or Adam.
        balanced, augment: see `VerbSamples`.
    """

    epochs: int = 50
    batch_clips: int = 16
    learning_rate: float = 0.05
    weight_decay: float = 5e-4
    optimizer: Literal["sgd", "adam"] = "sgd"
    decay: float = 0.1
    decay_at: tuple[int, ...] | None = (30, 40)
    balanced: bool = True
    augment: bool = False


@dataclass(frozen=True)
class VerbPreset:
    """Shape and recipe."""

    config: VerbClassifierConfig
    recipe: VerbRecipe


PRESETS = {
    "paper": VerbPreset(VerbClassifierConfig(()), VerbRecipe()),
    "small": VerbPreset(
        VerbClassifierConfig(
            (), frames=32, step=4, context=8, centred=True, scales=4, window_scales=2, windows=(3,), widths=(96, 96, 96)
        ),
        VerbRecipe(
            epochs=6,
            batch_clips=16,
            learning_rate=2e-3,
            warm_up_steps=20,
            schedule="cosine",
            weight_decay=0.01,
            optimizer="adam",
            augment=True,
        ),
    ),
}
"""`paper`: as published, for a GPU. `small`: 32 frames at 7.5 per second, and narrow."""


@dataclass(eq=False)
class VerbStage(StackedStage):
    """The classifier in training."""

    recipe: VerbRecipe
    samples: VerbSamples
    validation: VerbSamples | None = None

    terms, validated, title = ("cross_entropy",), ("accuracy",), "Verb classifier"
    batch_norms_learn = True

    def make_optimizer(self) -> torch.optim.Optimizer:
        """The recipe's."""
        if self.recipe.optimizer == "adam":
            return super().make_optimizer()
        recipe = self.recipe
        return torch.optim.SGD(
            self.model.parameters(), recipe.learning_rate, 0.9, weight_decay=recipe.weight_decay, nesterov=True
        )

    def local_terms(self, batch: VerbSample) -> LossTerms:
        """Cross-entropy."""
        given = on_device(batch, self.device)
        loss = cross_entropy(self.forward(given.hands), given.verb)
        counts = loss.new_full((1,), float(len(given.verb)))
        return LossTerms(loss[None] * counts, counts)

    def places(self, batch: VerbSample) -> list[str]:
        """Recordings and first frames."""
        chosen = [self.samples.segments[number] for number in batch.place.tolist()]
        return [f"{segment.recording} from frame {segment.start}" for segment in chosen]

    def validate(self) -> dict[str, float] | None:
        """Cross-entropy and accuracy on the segments of the validation split."""
        if self.validation is None:
            return None
        self.model.eval()
        loss, right, count = 0.0, 0.0, len(self.validation)
        with torch.no_grad():
            for batch in stacked(self.validation, [(0, k) for k in range(count)], _SCORED_TOGETHER, keep_last=True):
                given = on_device(batch, self.device)
                scores = self.model(given.hands)
                loss += float(cross_entropy(scores, given.verb, reduction="sum"))
                right += float((scores.argmax(1) == given.verb).sum())
        return {"total": loss / count, "cross_entropy": loss / count, "accuracy": right / count}


def train_verbs(
    data: Sequence[Path],
    out: Path,
    options: RunOptions | None = None,
    verbs: Sequence[str] = (),
    poses: Callable[[Sequence[MotionRecording]], Poses] | None = None,
    about_poses: str = "labels",
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train the classifier; a begun run goes on where its last checkpoint is.

    Args:
        data: stores with labelled verbs; pictures are not needed.
        out: folder of the run; `out/model` holds the weights when it is done.
        options: see there.
        verbs: to tell apart; by default all that the training split has.
        poses: other joints than the labels.
        about_poses: what the joints are, in words; a run with others does not go on here.
        progress: told of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store, no labelled verbs, or the folder holds another training.
        TrainingError: a loss is not finite, or there are too few segments for a batch.
    """
    options = options or RunOptions()
    preset = PRESETS[options.preset]
    recipe = options.applied(preset.recipe)
    stores = open_stores(data)
    recordings = stored_motions(stores, options.split)
    context = preset.config.context
    segments = verb_segments(recordings, verbs, context, None if poses is None else poses(recordings))
    named = tuple(verbs) or tuple(sorted({segment.verb for segment in segments}))
    if missing := sorted(set(named) - {segment.verb for segment in segments}):
        raise InputError(f"the split {options.split} has no segment of {', '.join(missing)}; name other --verbs")
    if len(named) < 2:
        raise InputError(f"there is nothing to tell apart: the only verb is {named[0]}")
    held_out = split_or_none(stores, options.split)
    config = replace(preset.config, verbs=named)
    validation = None
    if held_out:
        others = verb_segments(held_out, named, context, None if poses is None else poses(held_out))
        validation = VerbSamples(others, config, options.seed, balanced=False, augment=False)
    folder = RunFolder(out)
    device = local_device(choose_device(options.device))
    with processes(device) as shared:
        about = options.about(config, recipe, about_stores(stores, options.split) | {"poses": about_poses}, shared)
        if folder.finished:
            folder.begin(about)
            return folder.model
        torch.manual_seed(options.seed)
        VerbStage(
            model=VerbClassifier(config),
            recipe=recipe,
            samples=VerbSamples(segments, config, options.seed, recipe.balanced, recipe.augment),
            seed=options.seed,
            folder=folder,
            about=about,
            device=device,
            processes=shared,
            options=options.loop(shared, progress, should_stop),
            validation=validation,
        ).run()
        return folder.model if folder.finished else None
