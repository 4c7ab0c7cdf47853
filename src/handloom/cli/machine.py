"""What the verbs ask of the machine: its cores, its extras, and to carry out what takes long."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from handloom.errors import MissingDependencyError
from handloom.progress import Progress

if TYPE_CHECKING:
    from handloom.reproduction.tables import Measured

Result = TypeVar("Result")


@contextmanager
def needing_torch() -> Iterator[None]:
    """Say how to get torch, an extra, where it cannot be imported."""
    try:
        yield
    except ImportError as failure:
        raise MissingDependencyError(
            f"this needs the extras torch and onnx ({failure}); install them with: pip install '.[torch,onnx]' in a "
            "clone of Handloom"
        ) from failure


def cores() -> int:
    """Processors of this machine."""
    return os.cpu_count() or 1


class _UnaskedError(Exception):
    """An end was requested, and what runs went on without asking: it is no training and keeps nothing but files."""


def resumable(what: str, run: Callable[[Progress, Callable[[], bool]], Result | None]) -> Result | None:
    """Carry out what can be gone on with: show how far it is, and end it softly on Ctrl-C, with exit code 130.

    Args:
        what: is said to have ended early.
        run: given the progress bar, and whom to ask whether to stop; returns None if it ended early.
    """
    from handloom.terminal import ProgressBar, print_rows
    from handloom.tracking.interrupt import Interruption

    result = None
    with ProgressBar("steps") as progress, Interruption() as interruption:
        unheeded = 0

        def told(stage: str, done: int, total: int | None) -> None:
            nonlocal unheeded
            progress(stage, done, total)
            unheeded += interruption.requested
            if unheeded > 1:
                raise _UnaskedError

        with suppress(_UnaskedError):
            result = run(told, lambda: interruption.requested)
    if result is None:
        print_rows(f"{what} ended early", [("go on with", "the same command")])
        if interruption.requested:
            sys.exit(130)
    return result


def carry_out_training(run: Callable[..., Path | None], *then: tuple[str, str]) -> None:
    """Carry out a training, and say where its weights are.

    Args:
        run: the training, which takes `progress` and `should_stop`.
        then: what to do next, and how.
    """
    from handloom.terminal import print_rows

    weights = resumable("Training", lambda progress, stop: run(progress=progress, should_stop=stop))
    if weights is not None:
        print_rows("Training finished", [("weights", str(weights)), *then])


def carry_out_table(table: str, run: Callable[[Progress, Callable[[], bool]], "Measured | None"]) -> None:
    """Measure a table of a paper, and print it; `run` as in `resumable`."""
    from handloom.terminal import print_text

    measured = resumable(table, run)
    if measured is not None:
        print_text(measured.as_markdown())
