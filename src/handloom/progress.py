"""How long-running work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called after every frame with the name of the stage, frames done, and frames in all where that is known.

Where a stage comes up several times, what tells one time from another follows after a comma: "train, clips".
"""


def silent(stage: str, done: int, total: int | None) -> None:
    """Tell nobody."""


def named(progress: Progress, name: str) -> Progress:
    """Tells of stages by a name of their own, so that they are not taken for others of the same kind."""
    return lambda stage, done, total: progress(f"{stage}, {name}", done, total)
