"""The tables of AssemblyHands again."""

from pathlib import Path
from typing import Literal

from handloom.cli.machine import carry_out_table, needing_torch
from handloom.errors import InputError

Preset = Literal["paper", "small"]
Device = Literal["auto", "cpu", "cuda", "mps"]

ANNOTATION_TABLES = {
    "assemblyhands-table2": "Annotation methods: triangulation, MVExoNet and its refinement.",
    "assemblyhands-table3": "The same on a rig that no training has seen.",
}
ASSEMBLYHANDS_TABLES = {
    "assemblyhands-table4": "Manual and automatic labels for SVEgoNet.",
}
VERB_TABLES = {"assemblyhands-table5": "Verbs from poses of different quality, and Figure 6."}


def reproduce_annotation(
    table: str,
    /,
    data: Path,
    out: Path,
    weights: Path | None = None,
    preset: Preset = "small",
    split: str = "test",
    cameras: tuple[str, ...] = (),
    crops: Path | None = None,
    epochs: int | None = None,
    box_shift: float = 0.12,
    box_scale: float = 0.2,
    box_both: float = 0.1,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Score triangulation and MVExoNet's rounds on a store, beside the published numbers; killed, it can go on.

    Args:
        table: Its name.
        data: The store that is scored.
        out: Folder for the training, the table as .md and .json, and pictures like Figures 4 and 5.
        weights: Folder of a trained MVExoNet; without, it is trained on the store's split "train". Table 3 needs it.
        preset: Of the training.
        split: That is scored; "all" for the whole store.
        cameras: Names of those that are used; by default all.
        crops: Folder for the hands that are cut once, which several runs may share; by default in out.
        epochs: Of the training, instead of the preset's.
        box_shift: How far the first boxes are off each way, in sides: standard deviation.
        box_scale: How far the logarithms of their sides are off: standard deviation.
        box_both: How often they hold both hands.
        seed: Of all chance.
        device: Where to compute.
    """
    with needing_torch():
        from handloom.evaluation.rounds import BoxNoise
        from handloom.reproduction.annotation import reproduce_annotation as run_table
        from handloom.training.options import MVExoNetOptions

    options = MVExoNetOptions(preset, seed=seed, epochs=epochs, device=device, cameras=cameras, crops=crops)
    noise, scored = BoxNoise(box_shift, box_scale, box_both), None if split == "all" else split
    carry_out_table(table, lambda *listeners: run_table(table, data, out, options, weights, scored, noise, *listeners))


def reproduce_assemblyhands(
    table: str,
    /,
    data: Path,
    out: Path,
    preset: Preset = "small",
    behaviour: Literal["paper", "official"] = "paper",
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
        from handloom.training.options import EgoOptions

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
    carry_out_table(
        table, lambda progress, stop: reproduce_table4(data, out, options, split, progress=progress, should_stop=stop)
    )


def reproduce_verbs(
    table: str,
    /,
    data: tuple[Path, ...],
    out: Path,
    poses: tuple[str, ...] = (),
    preset: Preset = "small",
    split: str = "test",
    epochs: int | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Train and score verb classifiers on poses of different quality; killed, the same command goes on.

    On simulated stores, poses of UmeTrack and SVEgoNet that are not given have a stand-in: the labels with made-up
    errors of the size that the paper tells.

    Args:
        table: Its name.
        data: Stores whose segments have the paper's six verbs; pictures are not needed.
        out: Folder for runs, scores, and the table as .md, .json and .html (confusion matrices).
        poses: NAME=PATH of poses to compare, UmeTrack, SVEgoNet, AssemblyHands-A or any other name: a store with the
            same recordings, or a folder of results that are called as they are.
        preset: Of all classifiers.
        split: That is scored; "train" is trained on.
        epochs: Instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
    """
    with needing_torch():
        from handloom.reproduction.assemblyhands_verbs import reproduce_verbs as run_table
        from handloom.training.options import RunOptions

    given = dict(_named_path(text) for text in poses)
    options = RunOptions(preset, seed=seed, epochs=epochs, device=device)
    carry_out_table(table, lambda *listeners: run_table(data, out, options, split, given, *listeners))


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise InputError(f"--poses takes NAME=PATH, as in UmeTrack=results/umetrack; found {text!r}")
    return name, Path(path)
