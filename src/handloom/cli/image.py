"""G-HTT on video: train its image estimator; Table 1."""

from pathlib import Path
from typing import Literal

from handloom.cli.machine import carry_out_training, needing_torch, resumable

Preset = Literal["paper", "small"]
Device = Literal["auto", "cpu", "cuda", "mps"]


def train_ghtt_image(
    data: Path,
    out: Path,
    preset: Preset = "small",
    cameras: tuple[str, ...] = (),
    labels: Path | None = None,
    backbone_weights: Path | None = None,
    split: str = "train",
    epochs: int | None = None,
    batch_clips: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: Device = "auto",
    workers: int = 1,
    checkpoint_minutes: float = 5.0,
    max_steps: int | None = None,
) -> None:
    """Train G-HTT's image estimator F, and on its object features the aggregator E^PO; resumable.

    Args:
        data: A store with pictures, hands and objects.
        out: Folder of the run: 1-frames/ (F), 2-objects/ (E^PO), and in the end model/ with both.
        preset: paper, for a GPU and with --backbone-weights; or small, for 2 CPU cores and without.
        cameras: Whose pictures, all at once; by default all cameras that are pinholes.
        labels: Table of text embeddings of the objects (.npz with names and vectors, or .json), CLIP's say; or text,
            for those of the small language model in the extra [text]; by default random directions.
        backbone_weights: ImageNet weights of the ResNet in torchvision's layout (.pth, .safetensors).
        split: Of the store.
        epochs: Of F and of E^PO, instead of the preset's.
        batch_clips: Clips of 4 frames in a step of F, over all processes, instead of the preset's.
        learning_rate: Of F, instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        workers: Processes that load pictures.
        checkpoint_minutes: Time between two checkpoints.
        max_steps: End after so many steps of a network, as if interrupted.
    """
    with needing_torch():
        from handloom.training.ghtt_image import ImageOptions
        from handloom.training.ghtt_image import train_ghtt_image as run_training
    from handloom.terminal import print_text

    options = ImageOptions(
        preset, split, seed, epochs, batch_clips, learning_rate, device, checkpoint_minutes, max_steps, cameras, labels,
        backbone_weights, workers,
    )  # fmt: skip
    if preset == "paper" and backbone_weights is None:
        print_text(
            "Without --backbone-weights the ResNet starts from chance, and the preset paper keeps its "
            "batch norms' statistics as they are: expect little. Give ImageNet weights, or use --preset small.\n"
        )
    carry_out_training(
        lambda **listeners: run_training(data, out, options, **listeners),
        lambda _: ("score it", f"handloom evaluate {out} --data ..."),
    )


def reproduce_ghtt_views(
    table: str,
    /,
    data: Path,
    out: Path,
    views: tuple[str, ...] = (),
    htt_view: str | None = None,
    image: Path | None = None,
    pose: Path | None = None,
    action: Path | None = None,
    htt: Path | None = None,
    preset: Preset = "small",
    split: str = "test",
    epochs: int | None = None,
    seed: int = 0,
    device: Device = "auto",
    workers: int = 1,
) -> None:
    """Poses and actions seen by several cameras: F, HTT and G-HTT, beside the published numbers; resumable.

    F is trained on all views, HTT on one of them with F's backbone, P and A on poses.

    Args:
        table: Its name.
        data: A store with pictures, labelled actions and objects.
        out: Folder for runs, scores, and the table as .md and .json.
        views: Cameras that are compared; by default all that are pinholes.
        htt_view: The one whose pictures HTT is trained on; by default the first view, as in the paper.
        image: Run or weights of ghtt-image, instead of training.
        pose: Run or weights of ghtt-pose, instead of training.
        action: Run or weights of ghtt-action, trained with that P, instead of training.
        htt: Run or weights of htt, trained on the pictures of --htt-view, instead of training.
        preset: Of all networks that are trained.
        split: That is scored; "train" is trained on.
        epochs: Of all networks, instead of the preset's; to train them apart is the finer way.
        seed: Of all chance.
        device: Where to compute.
        workers: Processes that load pictures.
    """
    with needing_torch():
        from handloom.reproduction.ghtt_views import Trained, reproduce_views
        from handloom.training.ghtt_image import ImageOptions
    from handloom.terminal import print_text

    options = ImageOptions(preset, seed=seed, epochs=epochs, device=device, cameras=views, workers=workers)
    trained = Trained(image, pose, action, htt)
    measured = resumable(
        table, lambda *listeners: reproduce_views(data, out, options, htt_view, trained, split, *listeners)
    )
    if measured is not None:
        print_text(measured.as_markdown())
