"""AssemblyHands' single-view network: train svegonet, reproduce its table."""

from pathlib import Path
from typing import Literal

from handloom.cli.machine import needing_torch, resumable

Preset = Literal["paper", "small"]
Behaviour = Literal["paper", "official"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def train_svegonet(
    data: Path,
    out: Path,
    preset: Preset = "small",
    behaviour: Behaviour = "paper",
    cameras: tuple[str, ...] = (),
    split: str = "train",
    crops: Path | None = None,
    backbone_weights: Path | None = None,
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    frame_step: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train SVEgoNet on the egocentric cameras of a store: single hands, 2.5D; resumable.

    Args:
        data: The store.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        preset: paper (ResNet-50, 256 px, for a GPU), or small, for 2 CPU cores.
        behaviour: Of the paper, with crop cameras that take any lens, both hands of a crop, and augmentation; or of the
            released toolkit, on rectified pictures.
        cameras: Whose pictures; by default all that move.
        split: Of the store.
        crops: Folder for the crops, which several runs may share; by default in the run.
        backbone_weights: ImageNet weights of the ResNet in torchvision's layout (.pth, .safetensors).
        epochs: Instead of the preset's.
        batch_clips: Hands of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        frame_step: Train on every so many frames of a recording, instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps, as if interrupted.
    """
    with needing_torch():
        from handloom.training.svegonet import EgoOptions
        from handloom.training.svegonet import train_svegonet as run_training
    from handloom.terminal import print_rows

    options = EgoOptions(
        preset, behaviour, cameras, split, crops, backbone_weights, seed, epochs, batch_clips, learning_rate,
        frame_step, device, checkpoint_minutes, max_steps,
    )  # fmt: skip
    weights = resumable(
        "Training", lambda progress, stop: run_training(data, out, options, progress=progress, should_stop=stop)
    )
    if weights is not None:
        print_rows(
            "Training finished", [("weights", str(weights)), ("score it", f"handloom evaluate {out} --data ...")]
        )
