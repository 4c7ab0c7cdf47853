"""AssemblyHands' single-view network: train svegonet, reproduce its table."""

from pathlib import Path
from typing import Literal

from handloom.cli.machine import carry_out_training, needing_torch, resumable

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

    options = EgoOptions(
        preset, behaviour, cameras, split, crops, backbone_weights, seed, epochs, batch_clips, learning_rate,
        frame_step, device, checkpoint_minutes, max_steps,
    )  # fmt: skip
    carry_out_training(
        lambda **listeners: run_training(data, out, options, **listeners),
        lambda _: ("score it", f"handloom evaluate {out} --data ..."),
    )


def train_hand_detector(
    data: tuple[Path, ...],
    out: Path,
    preset: Preset = "small",
    cameras: tuple[str, ...] = (),
    split: str = "train",
    pictures: Path | None = None,
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    frame_step: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train a detector of hands on whole pictures of any cameras, for track and annotate --detector; resumable.

    Args:
        data: Stores with pictures, and boxes or joints of hands.
        out: Folder of the run: settings, log.csv, curves.html, checkpoints, and in the end model/.
        preset: paper (EfficientNet-B0, 512 px, for a GPU), or small (192 px), for 2 CPU cores.
        cameras: Whose pictures; by default all.
        split: Of the stores.
        pictures: Folder for the scaled pictures, which several runs may share; by default in the run.
        epochs: Instead of the preset's.
        batch_clips: Pictures of a step, over all processes, instead of the preset's.
        learning_rate: Instead of the preset's.
        frame_step: Train on every so many frames of a recording, instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps, as if interrupted.
    """
    with needing_torch():
        from handloom.training.hand_detector import HandDetectorOptions
        from handloom.training.hand_detector import train_hand_detector as run_training

    options = HandDetectorOptions(
        preset, split, seed, epochs, batch_clips, learning_rate, device, checkpoint_minutes, max_steps, cameras,
        pictures, frame_step,
    )  # fmt: skip
    carry_out_training(
        lambda **listeners: run_training(data, out, options, **listeners),
        lambda _: ("use it", f"handloom track ... --estimator svegonet --detector {out}"),
    )


def reproduce_assemblyhands(
    table: str,
    /,
    data: Path,
    out: Path,
    preset: Preset = "small",
    behaviour: Behaviour = "paper",
    cameras: tuple[str, ...] = (),
    split: str = "test",
    crops: Path | None = None,
    backbone_weights: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Train SVEgoNet on manual labels, on automatic ones, and on both, beside the paper's numbers; resumable.

    In each split every other person stands for manual labels: one frame a second, as labelled. The others stand for
    automatic ones: every frame, with errors like those of automatic annotation.

    Args:
        table: Its name.
        data: The store; at least two people in the splits that are trained on and scored.
        out: Folder for runs, scores with their pages, and the table as .md and .json.
        preset: paper (ResNet-50, 256 px, for a GPU), or small, for 2 CPU cores.
        behaviour: Of the paper, or of the released toolkit.
        cameras: Whose pictures; by default all that move.
        split: That is scored; "train" is trained on.
        crops: Folder for the crops; by default in out.
        backbone_weights: ImageNet weights of the ResNet in torchvision's layout (.pth, .safetensors).
        epochs: Of manual and automatic labels together, instead of the preset's; less data is seen more often.
        seed: Of all chance.
        device: Where to compute.
    """
    with needing_torch():
        from handloom.reproduction.assemblyhands import reproduce_table4
        from handloom.training.svegonet import EgoOptions
    from handloom.terminal import print_text

    options = EgoOptions(
        preset=preset,
        behaviour=behaviour,
        cameras=cameras,
        crops=crops,
        backbone_weights=backbone_weights,
        seed=seed,
        epochs=epochs,
        device=device,
    )
    measured = resumable(
        table,
        lambda progress, stop: reproduce_table4(data, out, options, split, progress=progress, should_stop=stop),
    )
    if measured is not None:
        print_text(measured.as_markdown())
