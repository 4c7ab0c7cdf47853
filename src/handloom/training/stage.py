"""One stage of training HTT: the loop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from handloom.datasets.sampler import epoch_order, rank_share
from handloom.errors import TrainingError
from handloom.formats.weights import save_pretrained
from handloom.models.htt import HTT, HTTOutput
from handloom.progress import Progress, silent
from handloom.training.checkpoint import Place, load_checkpoint, save_checkpoint
from handloom.training.htt_loss import TERMS, LossTerms, htt_loss, loss_weights
from handloom.training.memory import GPUMemoryError, largest_batch
from handloom.training.precision import arithmetic
from handloom.training.processes import Processes
from handloom.training.recipe import Recipe
from handloom.training.run_folder import CURVES, LOG, RunFolder
from handloom.training.samples import PictureSamples, Sample, batches, to_device
from handloom.training.validation import VALIDATED, validate
from handloom.view.curves import write_curves

LOG_EVERY, CURVES_EVERY = 10, 200


@dataclass(frozen=True)
class LoopOptions:
    """How a stage is carried out; nothing here changes what comes out.

    Attributes:
        workers: processes that load pictures.
        checkpoint_minutes: between two checkpoints.
        stop_after_steps: end early, as if killed; the next run goes on there.
        should_stop: asked after every step; True ends the stage with a checkpoint.
        progress: told of every step.
    """

    workers: int = 0
    checkpoint_minutes: float = 5.0
    stop_after_steps: int | None = None
    should_stop: Callable[[], bool] = lambda: False
    progress: Progress = silent


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
class Stage:
    """A stage that is being trained: network, data, recipe, place.

    `run` trains until the last epoch is over, from wherever the folder's last checkpoint is.
    """

    model: HTT
    samples: PictureSamples
    validation: PictureSamples | None
    recipe: Recipe
    seed: int
    folder: RunFolder
    about: dict[str, Any]
    device: torch.device
    processes: Processes
    options: LoopOptions = field(default_factory=LoopOptions)

    def __post_init__(self) -> None:
        recipe, model = self.recipe, self.model.to(self.device)
        if self.device.type == "cuda" or recipe.batch_norm == "trained":
            model.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        set_trainable(model, recipe)
        self.optimizer = make_optimizer(model, recipe)
        self.local_batch, rest = divmod(recipe.batch_clips, self.processes.count)
        if rest or not self.local_batch:
            raise TrainingError(
                f"{recipe.batch_clips} clips per batch do not go round {self.processes.count} processes; "
                "choose a multiple of their number with --batch-clips"
            )
        self.steps_per_epoch = len(self.samples) // recipe.batch_clips
        if not self.steps_per_epoch:
            raise TrainingError(
                f"{len(self.samples)} training clips are less than one batch of {recipe.batch_clips}; "
                "use more data or smaller batches"
            )
        forward = Forward(model)
        self.forward: nn.Module = forward
        if self.processes.count > 1:
            # Statistics of batch norms are averaged after every step; the wrapper would take those of one process.
            self.forward = DistributedDataParallel(forward, broadcast_buffers=False)
        self.statistics = trained_statistics(model, recipe)
        self.weights = loss_weights(recipe).to(self.device)
        self.place = Place()

    def run(self) -> None:
        """Train to the end, or to `stop_after_steps`.

        Raises:
            TrainingError: a loss is not finite, or memory does not suffice; says for which clips.
            InputError: the folder holds another training.
        """
        checkpoint = self.folder.begin(self.about)
        if checkpoint is not None:
            self.place = load_checkpoint(checkpoint, self.model, self.optimizer)
            if self.processes.leads:
                self.folder.cut_log(self.place)
        self.processes.wait()
        started, saved = time.monotonic() - self.place.wall_s, time.monotonic()
        steps = self.recipe.epochs * self.steps_per_epoch
        stop = min(steps, self.place.step + (self.options.stop_after_steps or steps))
        running = torch.zeros(2, len(TERMS), device=self.device)
        while self.place.step < stop:
            for batch in self._epoch():
                terms = self._step(batch)
                running += torch.stack([terms.sums.detach(), terms.counts])
                done = self.place.clips + self.recipe.batch_clips
                self.place = Place(self.place.step + 1, self.place.epoch, done, time.monotonic() - started)
                self.options.progress("train", self.place.step, steps)
                if self.place.step % LOG_EVERY == 0:
                    self._log("train", self._train_values(running))
                    running.zero_()
                if self._asked_to_stop():
                    stop = self.place.step
                if self.place.step == stop:
                    break
                if time.monotonic() - saved > 60 * self.options.checkpoint_minutes:
                    self._save()
                    saved = time.monotonic()
            if self.place.clips >= self.steps_per_epoch * self.recipe.batch_clips:
                self._validate()
                self.place = self.place._replace(epoch=self.place.epoch + 1, clips=0)
        self._save()
        if self.place.step == steps and self.processes.leads:
            save_pretrained(self.model, self.folder.model, self.about)
        self.processes.wait()

    def _asked_to_stop(self) -> bool:
        """Whether any of the processes was: all stop after the same step."""
        return bool(self.processes.sum(torch.tensor(float(self.options.should_stop()), device=self.device)) > 0)

    def _epoch(self) -> Any:
        order = epoch_order(len(self.samples), self.seed, self.place.epoch)
        whole = order[: self.steps_per_epoch * self.recipe.batch_clips]
        share = rank_share(whole, self.processes.rank, self.processes.count, self.place.clips)
        items = [(self.place.epoch, int(number)) for number in share]
        set_mode(self.model, self.recipe)
        return batches(self.samples, items, self.local_batch, self.options.workers)

    def _step(self, batch: Sample) -> LossTerms:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.place.step, self.steps_per_epoch)
        try:
            return self._update(batch)
        except torch.OutOfMemoryError:
            self.optimizer.zero_grad(set_to_none=True)
        # Out here, because the exception keeps the tensors of the step that failed.
        fits = largest_batch(lambda size: self._try(_first(batch, size)), len(batch.inputs))
        raise GPUMemoryError(len(batch.inputs), fits, self.processes.count)

    def _update(self, batch: Sample) -> LossTerms:
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._backward(batch)
        if self.recipe.max_gradient is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.max_gradient)
        self.optimizer.step()
        self.processes.average(self.statistics)
        return terms

    def _terms(self, forward: nn.Module, batch: Sample) -> LossTerms:
        given = to_device(batch, self.device)
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

    def _backward(self, batch: Sample) -> LossTerms:
        local = self._terms(self.forward, batch)
        counts = self.processes.sum(local.counts)
        # The data-parallel wrapper averages gradients; this way they are those of one process with the whole batch.
        total = (self.weights * local.sums / counts.clamp(min=1)).sum() * self.processes.count
        if not math.isfinite(float(total.detach())):
            raise TrainingError(self._not_finite(batch, local))
        total.backward()
        return LossTerms(self.processes.sum(local.sums), counts)

    def _not_finite(self, batch: Sample, terms: LossTerms) -> str:
        recordings = self.samples.clips.store.recordings
        places = [f"{recordings[recording].name} from frame {frame}" for recording, frame in batch.place.tolist()]
        bad = [name for name, value in zip(TERMS, terms.means.tolist()) if not math.isfinite(value)] or ["total"]
        return (
            f"the loss is not finite ({', '.join(bad)}) at step {self.place.step}, clips: {'; '.join(places)}. Look at "
            "them with `handloom check`; if they are sound, lower the learning rate. The last checkpoint is kept"
        )

    def _train_values(self, running: Float[Tensor, "2 4"]) -> dict[str, float]:
        means = running[0] / running[1].clamp(min=1)
        values = dict(zip(TERMS, means.tolist()))
        rate = learning_rate(self.recipe, self.place.step - 1, self.steps_per_epoch)
        return {"total": float((self.weights * means).sum()), **values, "learning_rate": rate}

    def _validate(self) -> None:
        if self.validation is not None and self.processes.leads:
            values = validate(self.model, self.validation, self.recipe, self.device, self.options.workers)
            self._log("val", values)
        self.processes.wait()

    def _log(self, split: str, values: dict[str, float]) -> None:
        if not self.processes.leads:
            return
        names = ["total", *TERMS, "learning_rate", *VALIDATED]
        self.folder.log(self.place, self.steps_per_epoch, split, values, names)
        if split == "val" or self.place.step % CURVES_EVERY == 0:
            self._draw()

    def _draw(self) -> None:
        path = self.folder.path
        write_curves(path / LOG, path / CURVES, f"HTT, {path.name}")

    def _save(self) -> None:
        if self.processes.leads:
            save_checkpoint(self.folder.checkpoints, self.model, self.optimizer, self.place)
            if (self.folder.path / LOG).exists():
                self._draw()
        self.processes.wait()


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


def trained_statistics(model: HTT, recipe: Recipe) -> list[Tensor]:
    """The running means and variances of batch norms that are trained."""
    if recipe.batch_norm != "trained" or recipe.freeze_backbone:
        return []
    return [value for name, value in model.backbone.named_buffers() if name.endswith(("running_mean", "running_var"))]


def make_optimizer(model: HTT, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay of what has two dimensions or more; without decay it is plain Adam."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The rate of a step (from 0)."""
    warm = min(1.0, (step + 1) / recipe.warm_up_steps) if recipe.warm_up_steps else 1.0
    if recipe.schedule == "steps":
        return recipe.learning_rate * warm * recipe.decay ** (step // steps_per_epoch // recipe.decay_epochs)
    share = step / (recipe.epochs * steps_per_epoch)
    return recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * share))


def _first(batch: Sample, count: int) -> Sample:
    target = type(batch.target)(*(value[:count] for value in batch.target))
    return Sample(batch.inputs[:count], batch.intrinsics[:count], target, batch.place[:count])
