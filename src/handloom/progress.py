"""How long-running work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called after every frame with the name of the stage, frames done, and frames in all where that is known."""


def silent(stage: str, done: int, total: int | None) -> None:
    """Tell nobody."""
