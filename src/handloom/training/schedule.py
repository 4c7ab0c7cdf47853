"""For how long and how fast something is trained."""

import math
from dataclasses import dataclass
from typing import Literal

from handloom.errors import InputError


@dataclass(frozen=True)
class Schedule:
    """What the recipes of all networks share.

    Attributes:
        epochs: passes over all training clips.
        batch_clips: clips of a step, over all processes together.
        learning_rate: at the start.
        warm_up_steps: steps in which the rate rises from 0.
        schedule: "steps" multiplies the rate by `decay` every `decay_epochs`; "cosine" lets it fall to 0.
        decay_at: the epochs at which the rate is multiplied, instead.
        weight_decay: decoupled, of matrices and convolutions.
        max_gradient: clip the norm of the gradient; None for never.
        steps: how many there are, instead of `epochs`: as much training for clips of any length.
    """

    epochs: int = 45
    batch_clips: int = 2
    learning_rate: float = 3e-5
    warm_up_steps: int = 0
    schedule: Literal["steps", "cosine"] = "steps"
    decay: float = 0.5
    decay_epochs: int = 15
    decay_at: tuple[int, ...] | None = None
    weight_decay: float = 0.0
    max_gradient: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_clips < 1 or not 0 < self.learning_rate < math.inf:
            raise InputError(
                "a recipe needs 1 epoch, 1 clip per batch and a positive learning rate or more; found "
                f"{self.epochs}, {self.batch_clips}, {self.learning_rate:g}"
            )

    def total_steps(self, steps_per_epoch: int) -> int:
        """How many steps the whole training has."""
        return self.epochs * steps_per_epoch if self.steps is None else self.steps


def learning_rate(recipe: Schedule, step: int, steps_per_epoch: int) -> float:
    """The rate of a step (from 0)."""
    warm = min(1.0, (step + 1) / recipe.warm_up_steps) if recipe.warm_up_steps else 1.0
    if recipe.schedule == "steps":
        epoch = step // steps_per_epoch
        times = epoch // recipe.decay_epochs if recipe.decay_at is None else sum(e <= epoch for e in recipe.decay_at)
        return recipe.learning_rate * warm * recipe.decay**times
    share = step / recipe.total_steps(steps_per_epoch)
    return recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * share))
