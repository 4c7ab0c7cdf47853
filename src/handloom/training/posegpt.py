"""`handloom train posegpt`: the codec on all motion, then the language model on labelled segments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from handloom.datasets.motions import MotionRecording, action_vocabulary, open_stores, stored_motions
from handloom.datasets.sampler import sample_rng
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.formats.weights import load_pretrained, save_pretrained
from handloom.label_vectors import action_vectors
from handloom.models.motion_vae import set_statistics
from handloom.models.posegpt import HALVING, CodecConfig, MotionCodec, PoseGPT, PoseGPTConfig
from handloom.progress import Progress, silent
from handloom.training.ghtt_loss import counted_l1
from handloom.training.ghtt_recipe import POSEGPT_PRESETS, MotionRecipe
from handloom.training.ghtt_samples import counted, feature_statistics
from handloom.training.loop import LossTerms
from handloom.training.motion_run import about_stores, padded
from handloom.training.options import RunOptions
from handloom.training.processes import Processes, local_device, processes
from handloom.training.run_folder import MODEL, RunFolder
from handloom.training.stacked import StackedStage, on_device


class MotionSample(NamedTuple):
    """A stretch of motion, padded to a fixed length, or a batch; `action` is -1 where there is none."""

    features: Float[Tensor, "*B T 153"]
    known: Bool[Tensor, "*B T 42"]
    counted: Bool[Tensor, "*B T 153"]
    length: Int[Tensor, "*B"]
    action: Int[Tensor, "*B"]
    place: Tensor


class MotionSamples:
    """Stretches of at most `frames` frames by (epoch, number), begun anywhere in their span.

    Args:
        spans: recording, first frame, end, and row of the action or -1.
        frames: the most.
        seed: of where a longer span is begun.
    """

    def __init__(
        self, recordings: Sequence[MotionRecording], spans: Sequence[tuple[int, int, int, int]], frames: int, seed: int
    ) -> None:
        self.recordings, self.spans, self.frames, self.seed = recordings, list(spans), frames, seed
        if not self.spans:
            raise InputError("there is nothing to train on: no recording is long enough, or none is labelled")

    def __len__(self) -> int:
        """Number of spans."""
        return len(self.spans)

    def __getitem__(self, item: tuple[int, int]) -> MotionSample:
        epoch, number = item
        index, start, end, action = self.spans[number]
        if end - start > self.frames and action < 0:
            rng = sample_rng(self.seed, epoch, number)
            start += int(rng.integers(end - start - self.frames + 1))
        motion = self.recordings[index].motion.part(slice(start, min(end, start + self.frames)))
        length = len(motion.present) // HALVING * HALVING
        return MotionSample(
            padded(motion.features[:length], self.frames, np.float32),
            padded(motion.known.reshape(len(motion.known), -1)[:length], self.frames, bool),
            padded(counted(motion)[:length], self.frames, bool),
            torch.tensor(length),
            torch.tensor(action),
            torch.tensor([index, start]),
        )


class CodecForward(nn.Module):
    """The codec from features to features, as one module."""

    def __init__(self, model: MotionCodec) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Features that came through the code, and the loss of the code."""
        coded = self.model.encode(features, known, learns=True)
        return self.model.decode(coded.vectors), coded.loss


@dataclass(eq=False)
class MotionStage(StackedStage):
    """What trainings on stretches of motion share."""

    recipe: MotionRecipe
    samples: MotionSamples

    def places(self, batch: MotionSample) -> list[str]:
        """Recordings and first frames."""
        return [f"{self.samples.recordings[k].name} from frame {frame}" for k, frame in batch.place.tolist()]


@dataclass(eq=False)
class CodecStage(MotionStage):
    """The codec in training."""

    terms, title = ("features", "code"), "PoseGPT, codec"

    def wrapped(self) -> nn.Module:
        """See `CodecForward`."""
        assert isinstance(self.model, MotionCodec)
        return CodecForward(self.model)

    def local_terms(self, batch: MotionSample) -> LossTerms:
        """L1 of the features, and the loss of the code."""
        given = on_device(batch, self.device)
        found, code = self.forward(given.features, given.known)
        terms = torch.stack([counted_l1(found, given.features, given.counted), code])
        counts = terms.new_full((2,), float(len(given.length)))
        return LossTerms(terms * counts, counts)


class WordsForward(nn.Module):
    """The language model on the codes of features, as one module; the codec stays as it is."""

    def __init__(self, model: PoseGPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: MotionSample) -> Tensor:
        """Cross-entropy per word."""
        with torch.no_grad():
            indices = self.model.codec.encode(batch.features, batch.known).indices
        steps = torch.arange(indices.shape[1], device=indices.device) < batch.length[:, None] // HALVING
        return self.model.loss(self.model.action_vectors[batch.action], batch.length, indices, steps)


@dataclass(eq=False)
class WordsStage(MotionStage):
    """The language model in training."""

    terms, title = ("words",), "PoseGPT"

    def __post_init__(self) -> None:
        assert isinstance(self.model, PoseGPT)
        self.model.codec.requires_grad_(False)
        super().__post_init__()

    def wrapped(self) -> nn.Module:
        """See `WordsForward`."""
        assert isinstance(self.model, PoseGPT)
        return WordsForward(self.model)

    def local_terms(self, batch: MotionSample) -> LossTerms:
        """Nats per word."""
        loss = self.forward(on_device(batch, self.device))
        counts = loss.new_full((1,), float(len(batch.length)))
        return LossTerms(loss[None] * counts, counts)


def train_posegpt(
    data: Sequence[Path],
    out: Path,
    options: RunOptions | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path | None:
    """Train PoseGPT; a begun run goes on where its last checkpoint is.

    Args:
        data: stores with labelled segments.
        out: folder of the run; `out/model` holds the weights when it is done.
        options: see there; the preset's epochs are replaced for both networks.
        changes: of the config.
        progress: told of every step.
        should_stop: asked after every step; True ends the training with a checkpoint.

    Returns:
        The folder of the weights; None if it ended early.

    Raises:
        InputError: no such store, no labels, or the folder holds another training.
        TrainingError: a loss is not finite.
    """
    options = options or RunOptions()
    preset = POSEGPT_PRESETS[options.preset]
    stores = open_stores(data)
    recordings = stored_motions(stores, options.split)
    actions, _ = action_vocabulary(recordings)
    if not actions:
        raise InputError("no recording has a labelled action; PoseGPT is told the action")
    config = replace(preset.config, actions=actions, **(changes or {}))
    rows = {name: row for row, name in enumerate(actions)}
    frames = config.frames
    untrimmed = [
        (k, start, min(start + 2 * frames, len(recording)), -1)
        for k, recording in enumerate(recordings)
        for start in range(0, max(len(recording) - HALVING + 1, 0), frames)
    ]
    trimmed = [
        (k, s.start, s.end, rows[s.label])
        for k, recording in enumerate(recordings)
        for s in recording.segments
        if s.end - s.start >= HALVING
    ]
    with processes(local_device(choose_device(options.device))) as shared:
        run = _Run(options, about_stores(stores, options.split), shared, progress, should_stop)
        codec_folder, words_folder = RunFolder(out / "1-codec"), RunFolder(out / "2-words")
        torch.manual_seed(options.seed)
        codec = MotionCodec(config.codec)
        samples = MotionSamples(recordings, untrimmed, frames, options.seed)
        recipe = options.applied(preset.codec_recipe)
        if recipe.normalise:
            set_statistics(codec, *feature_statistics(recordings))
        if not run.train(CodecStage, codec, recipe, samples, codec_folder, config.codec):
            return None
        model = PoseGPT(config)
        trained = load_pretrained(MotionCodec, CodecConfig, codec_folder.model)
        model.codec.load_state_dict(trained.state_dict())
        model.action_vectors.copy_(torch.from_numpy(action_vectors(actions, config.label_dim)))
        samples = MotionSamples(recordings, trimmed, frames, options.seed)
        recipe = options.applied(preset.recipe)
        if not run.train(WordsStage, model, recipe, samples, words_folder, config):
            return None
        final = out / MODEL
        if not final.exists() and shared.leads:
            save_pretrained(load_pretrained(PoseGPT, PoseGPTConfig, words_folder.model), final, run.data)
        return final


@dataclass(frozen=True, eq=False)
class _Run:
    options: RunOptions
    data: dict[str, Any]
    processes: Processes
    progress: Progress
    should_stop: Callable[[], bool]

    def train(
        self,
        stage: type[MotionStage],
        model: MotionCodec | PoseGPT,
        recipe: MotionRecipe,
        samples: MotionSamples,
        folder: RunFolder,
        config: CodecConfig | PoseGPTConfig,
    ) -> bool:
        """Train one of the two networks. Returns whether it is finished."""
        about = self.options.about(config, recipe, self.data, self.processes)
        if folder.finished:
            folder.begin(about)
            return True
        stage(
            model=model,
            recipe=recipe,
            samples=samples,
            seed=self.options.seed,
            folder=folder,
            about=about,
            device=local_device(choose_device(self.options.device)),
            processes=self.processes,
            options=self.options.loop(self.processes, self.progress, self.should_stop),
        ).run()
        return folder.finished
