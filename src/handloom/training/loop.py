"""The loop of every training: epochs, steps, checkpoints, log; what is trained, and on what, is for the subclass."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from handloom.datasets.sampler import epoch_order, rank_share
from handloom.errors import TrainingError
from handloom.formats.weights import save_pretrained
from handloom.training.checkpoint import Place, load_checkpoint, save_checkpoint
from handloom.training.options import LoopOptions
from handloom.training.processes import Processes
from handloom.training.run_folder import CURVES, LOG, RunFolder
from handloom.training.schedule import Schedule, learning_rate
from handloom.view.curves import write_curves

LOG_EVERY, CURVES_EVERY = 10, 200


class LossTerms(NamedTuple):
    """Sums of the terms of a loss and what to divide them by: sums and counts of processes can be added."""

    sums: Float[Tensor, "terms"]
    counts: Float[Tensor, "terms"]

    @property
    def means(self) -> Float[Tensor, "terms"]:
        """The terms, each in its own unit; 0 where nothing was labelled."""
        return self.sums / self.counts.clamp(min=1)


@dataclass(eq=False)
class Loop(ABC):
    """A network that is being trained.

    `run` trains until the last epoch is over, from wherever the folder's last checkpoint is.

    Attributes:
        model: what is trained and saved.
        recipe: for how long and how fast.
        seed: of the order of samples, and of all that subclasses draw.
        folder: where to.
        about: all that the weights depend on.
        device, processes: where it runs.
        options: see there.
    """

    model: nn.Module
    recipe: Schedule
    seed: int
    folder: RunFolder
    about: dict[str, Any]
    device: torch.device
    processes: Processes
    options: LoopOptions = field(default_factory=LoopOptions, kw_only=True)

    terms: ClassVar[tuple[str, ...]]
    """Names of the terms of the loss."""
    validated: ClassVar[tuple[str, ...]] = ()
    """Names of what `validate` measures beside them."""
    title: ClassVar[str]
    batch_norms_learn: ClassVar[bool] = False
    """Whether the network is trained with the statistics of batches, and learns them."""

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.model.to(self.device)
        self.optimizer = self.make_optimizer()
        self.local_batch, rest = divmod(recipe.batch_clips, self.processes.count)
        if rest or not self.local_batch:
            raise TrainingError(
                f"{recipe.batch_clips} clips per batch do not go round {self.processes.count} processes; "
                "choose a multiple of their number with --batch-clips"
            )
        self.steps_per_epoch = self.count // recipe.batch_clips
        if not self.steps_per_epoch:
            raise TrainingError(
                f"{self.count} training clips are less than one batch of {recipe.batch_clips}; "
                "use more data or smaller batches"
            )
        self.forward = self.wrapped()
        if self.processes.count > 1:
            # What a network counts itself is averaged after every step; the wrapper would take that of one process.
            self.forward = DistributedDataParallel(self.forward, broadcast_buffers=False)
        self.weights = self.term_weights().to(self.device)
        self.place = Place()

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of training samples."""

    @abstractmethod
    def batches(self, items: list[tuple[int, int]]) -> Iterator[Any]:
        """Batches of `local_batch` training samples, each an (epoch, number)."""

    @abstractmethod
    def local_terms(self, batch: Any) -> LossTerms:
        """The terms of the loss on this process's batch, ready for `backward`."""

    @abstractmethod
    def places(self, batch: Any) -> list[str]:
        """Where the samples of a batch are from, for messages."""

    def wrapped(self) -> nn.Module:
        """The network as one module with one forward, which the data-parallel wrapper wants: by default as it is."""
        return self.model

    def term_weights(self) -> Float[Tensor, "terms"]:
        """What each term counts in the total: by default all the same."""
        return torch.ones(len(self.terms))

    def make_optimizer(self) -> torch.optim.Optimizer:
        """See the function of this name."""
        return make_optimizer(self.model, self.recipe)

    def begin_epoch(self) -> None:
        """Put the network into the mode in which it is trained."""
        self.model.train(self.batch_norms_learn)

    def validate(self) -> dict[str, float] | None:
        """Terms and measures on held-out samples; None if there are none."""
        return None

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
        steps = self.recipe.total_steps(self.steps_per_epoch)
        limit = self.options.stop_after_steps
        stop = steps if limit is None else min(steps, self.place.step + limit)
        running = torch.zeros(2, len(self.terms), device=self.device)
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

    def _epoch(self) -> Iterator[Any]:
        order = epoch_order(self.count, self.seed, self.place.epoch)
        whole = order[: self.steps_per_epoch * self.recipe.batch_clips]
        share = rank_share(whole, self.processes.rank, self.processes.count, self.place.clips)
        items = [(self.place.epoch, int(number)) for number in share]
        self.begin_epoch()
        return self.batches(items)

    def _step(self, batch: Any) -> LossTerms:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.place.step, self.steps_per_epoch)
        return self.update(batch)

    def update(self, batch: Any) -> LossTerms:
        """One step of the optimizer; the terms of all processes together. Raises TrainingError: see `backward`."""
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.backward(batch)
        if self.recipe.max_gradient is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.max_gradient)
        self.optimizer.step()
        self.processes.average(self.statistics())
        return terms

    def statistics(self) -> list[Tensor]:
        """What the network counts itself, in place: averaged over all processes after every step."""
        return running_statistics(self.model) if self.batch_norms_learn else []

    def backward(self, batch: Any) -> LossTerms:
        """Gradients of a batch; the terms of all processes together.

        Raises:
            TrainingError: the loss is not finite.
        """
        local = self.local_terms(batch)
        counts = self.processes.sum(local.counts)
        # The data-parallel wrapper averages gradients; this way they are those of one process with the whole batch.
        total = (self.weights * local.sums / counts.clamp(min=1)).sum() * self.processes.count
        if not math.isfinite(float(total.detach())):
            raise TrainingError(self._not_finite(batch, local))
        total.backward()
        return LossTerms(self.processes.sum(local.sums), counts)

    def _not_finite(self, batch: Any, terms: LossTerms) -> str:
        bad = [name for name, value in zip(self.terms, terms.means.tolist()) if not math.isfinite(value)] or ["total"]
        return (
            f"the loss is not finite ({', '.join(bad)}) at step {self.place.step}, clips: "
            f"{'; '.join(self.places(batch))}. Look at them with `handloom check`; if they are sound, lower the "
            "learning rate. The last checkpoint is kept"
        )

    def _train_values(self, running: Float[Tensor, "2 terms"]) -> dict[str, float]:
        means = running[0] / running[1].clamp(min=1)
        values = dict(zip(self.terms, means.tolist()))
        rate = learning_rate(self.recipe, self.place.step - 1, self.steps_per_epoch)
        return {"total": float((self.weights * means).sum()), **values, "learning_rate": rate}

    def _validate(self) -> None:
        if self.processes.leads and (values := self.validate()) is not None:
            self._log("val", values)
        self.processes.wait()

    def _log(self, split: str, values: dict[str, float]) -> None:
        if not self.processes.leads:
            return
        names = ["total", *self.terms, "learning_rate", *self.validated]
        self.folder.log(self.place, self.steps_per_epoch, split, values, names)
        if split == "val" or self.place.step % CURVES_EVERY == 0:
            self._draw()

    def _draw(self) -> None:
        path = self.folder.path
        write_curves(path / LOG, path / CURVES, f"{self.title}, {path.name}")

    def _save(self) -> None:
        if self.processes.leads:
            save_checkpoint(self.folder.checkpoints, self.model, self.optimizer, self.place)
            if (self.folder.path / LOG).exists():
                self._draw()
        self.processes.wait()


def make_optimizer(model: nn.Module, recipe: Schedule) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay of what has two dimensions or more; without decay it is plain Adam."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def running_statistics(network: nn.Module) -> list[Tensor]:
    """The running means and variances of a network's batch norms, in place."""
    return [value for name, value in network.named_buffers() if name.endswith(("running_mean", "running_var"))]
