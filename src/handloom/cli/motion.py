"""G-HTT: train its blocks, refine, recognise, forecast."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from handloom.cli.machine import needing_torch

Preset = Literal["paper", "small"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def train_ghtt_pose(
    data: tuple[Path, ...],
    out: Path,
    preset: Preset = "small",
    split: str = "train",
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train G-HTT's block P on the motion of one or several stores, labelled or not; resumable.

    Args:
        data: Stores; pictures are not needed (handloom simulate ... --no-pictures).
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        preset: paper, as published, for a GPU; or small, for 2 CPU cores.
        split: Of the stores.
        epochs: Instead of the preset's.
        batch_clips: Windows of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps, as if interrupted.
    """
    with needing_torch():
        from handloom.training.ghtt_pose import train_ghtt_pose as run_training
        from handloom.training.motion_run import MotionOptions

    options = MotionOptions(
        preset, split, seed, epochs, batch_clips, learning_rate, device, checkpoint_minutes, max_steps
    )
    _train(lambda **listeners: run_training(data, out, options, **listeners))


def train_ghtt_action(
    data: tuple[Path, ...],
    pose: Path,
    out: Path,
    preset: Preset = "small",
    level: Literal["mid", "pose"] = "mid",
    labels: Path | None = None,
    split: str = "train",
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train G-HTT's block A on labelled segments, with a trained block P that stays as it is; resumable.

    Args:
        data: Stores with labelled actions; pictures are not needed.
        pose: Folder of a run of ghtt-pose, or of its weights.
        out: Folder of the run; in the end model/ holds both blocks.
        preset: paper, as published, for a GPU; or small, for 2 CPU cores.
        level: mid, or pose for the flattened model without mid-level that the paper compares with.
        labels: Table of text embeddings of all actions and objects (.npz with names and vectors, or .json), CLIP's say;
            by default random directions of verbs and nouns, which know no words but those of the training.
        split: Of the stores.
        epochs: Instead of the preset's.
        batch_clips: Segments of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps, as if interrupted.
    """
    with needing_torch():
        from handloom.training.ghtt_action import train_ghtt_action as run_training
        from handloom.training.motion_run import MotionOptions

    options = MotionOptions(
        preset, split, seed, epochs, batch_clips, learning_rate, device, checkpoint_minutes, max_steps
    )
    _train(lambda **listeners: run_training(data, pose, out, options, level, labels, **listeners))


def _train(run: Callable[..., Path | None]) -> None:
    """Carry out a training, show how far it is, and end it softly on Ctrl-C."""
    from handloom.terminal import ProgressBar, print_rows
    from handloom.tracking.interrupt import Interruption

    with ProgressBar("steps") as progress, Interruption() as interruption:
        listeners: dict[str, Any] = {"progress": progress, "should_stop": lambda: interruption.requested}
        weights = run(**listeners)
    if weights is not None:
        print_rows("Training finished", [("weights", str(weights))])
        return
    print_rows("Training ended early", [("go on with", "the same command")])
    if interruption.requested:
        sys.exit(130)
