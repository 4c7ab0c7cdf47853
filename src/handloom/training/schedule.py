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
        weight_decay: decoupled, of matrices and convolutions.
        max_gradient: clip the norm of the gradient; None for never.
    """

    epochs: int = 45
    batch_clips: int = 2
    learning_rate: float = 3e-5
    warm_up_steps: int = 0
    schedule: Literal["steps", "cosine"] = "steps"
    decay: float = 0.5
    decay_epochs: int = 15
    weight_decay: float = 0.0
    max_gradient: float | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_clips < 1 or not self.learning_rate > 0:
            raise InputError(
                "a recipe needs 1 epoch, 1 clip per batch and a positive learning rate or more; found "
                f"{self.epochs}, {self.batch_clips}, {self.learning_rate:g}"
            )


def learning_rate(recipe: Schedule, step: int, steps_per_epoch: int) -> float:
    """The rate of a step (from 0)."""
    warm = min(1.0, (step + 1) / recipe.warm_up_steps) if recipe.warm_up_steps else 1.0
    if recipe.schedule == "steps":
        return recipe.learning_rate * warm * recipe.decay ** (step // steps_per_epoch // recipe.decay_epochs)
    share = step / (recipe.epochs * steps_per_epoch)
    return recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * share))
