"""The papers' tables again: reproduce."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import tyro

from handloom.cli.capture import reproduce_annotation
from handloom.cli.ego import reproduce_assemblyhands
from handloom.cli.image import reproduce_ghtt_views
from handloom.cli.machine import needing_torch, resumable
from handloom.cli.motion import reproduce_ghtt
from handloom.errors import InputError

HTT_TABLES = {
    "htt-table1": "Actions on FPHA (stores of one hand).",
    "htt-table2": "Hand poses on H2O (stores of two hands).",
    "htt-table3": "Actions on H2O.",
    "htt-table4": "The time span t of the pose block.",
    "htt-table5": "The time span T of the action block, and what it reads.",
    "htt-fig4": "AUC of PCK on FPHA; the curves are on the evaluation page.",
    "htt-fig5": "AUC of PCK on H2O; the curves are on the evaluation page.",
}
VIEW_TABLES = {"ghtt-table1": "F, HTT and G-HTT in several views."}
GHTT_TABLES = {
    "ghtt-table2": "PoseGPT and path P.b.",
    "ghtt-table3": "Paths P.a and P.b.",
    "ghtt-table4": "With and without mid-level.",
}
ANNOTATION_TABLES = {
    "assemblyhands-table2": "Annotation methods: triangulation, MVExoNet and its refinement.",
    "assemblyhands-table3": "The same on a rig that no training has seen.",
}

VERB_TABLES = {"assemblyhands-table5": "Verbs from poses of different quality, and Figure 6."}


def reproduce_htt(
    table: str,
    /,
    data: Path,
    out: Path,
    preset: Literal["paper", "small"] = "small",
    split: str = "test",
    camera: str | None = None,
    behaviour: Literal["official", "paper"] = "official",
    backbone_weights: Path | None = None,
    backbone_from: Path | None = None,
    features: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    workers: int = 1,
) -> None:
    """Train and score the settings of a table of HTT, beside the published numbers; killed, the same command goes on.

    Tables 1, 4, 5 and Figure 4 are for stores of one hand (FPHA); Tables 2 to 5 and Figure 5 for two (H2O). Tables
    share the settings they have in common in one folder.

    Args:
        table: Its name.
        data: The store.
        out: Folder for runs, scores with their pages, and the table as .md and .json.
        preset: small shares one trained, frozen backbone among all settings; paper trains each from end to end.
        split: That is scored; "train" is trained on.
        camera: Whose pictures; by default the only camera, or H2O's on the head.
        behaviour: Of the released code, or of the paper where the two differ.
        backbone_weights: ImageNet weights of the ResNet in torchvision's layout (.pth, .safetensors).
        backbone_from: Folder of weights of a trained HTT whose backbone all settings have, instead of training one.
        features: Folder for the features of the frozen backbone, which several runs may share; by default in out.
        epochs: Of every stage, instead of the preset's.
        seed: Of all chance.
        device: Where to compute.
        workers: Processes that load pictures.
    """
    with needing_torch():
        from handloom.reproduction.htt import reproduce_htt as run_table
        from handloom.training.htt import TrainOptions
    from handloom.terminal import print_text

    options = TrainOptions(
        preset=preset,
        camera=camera,
        seed=seed,
        behaviour=behaviour,
        backbone_weights=backbone_weights,
        backbone_from=backbone_from,
        features=features,
        epochs=epochs,
        device=device,
        workers=workers,
    )
    measured = resumable(table, lambda *listeners: run_table(table, data, out, options, split, *listeners))
    if measured is not None:
        print_text(measured.as_markdown())


ASSEMBLYHANDS_TABLES = {
    "assemblyhands-table4": "Manual and automatic labels for SVEgoNet.",
}


def reproduce_verbs(
    table: str,
    /,
    data: tuple[Path, ...],
    out: Path,
    poses: tuple[str, ...] = (),
    preset: Literal["paper", "small"] = "small",
    split: str = "test",
    epochs: int | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
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
        from handloom.training.motion_run import MotionOptions
    from handloom.terminal import print_text

    given = dict(_named_path(text) for text in poses)
    options = MotionOptions(preset, seed=seed, epochs=epochs, device=device)
    measured = resumable(table, lambda *listeners: run_table(data, out, options, split, given, *listeners))
    if measured is not None:
        print_text(measured.as_markdown())


def _named_path(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise InputError(f"--poses takes NAME=PATH, as in UmeTrack=results/umetrack; found {text!r}")
    return name, Path(path)


_FAMILIES: tuple[tuple[dict[str, str], Callable[..., None]], ...] = (
    (HTT_TABLES, reproduce_htt),
    (VIEW_TABLES, reproduce_ghtt_views),
    (GHTT_TABLES, reproduce_ghtt),
    (ANNOTATION_TABLES, reproduce_annotation),
    (ASSEMBLYHANDS_TABLES, reproduce_assemblyhands),
    (VERB_TABLES, reproduce_verbs),
)
reproduce = tyro.extras.SubcommandApp()
for tables, run in _FAMILIES:
    for name, about in tables.items():
        reproduce.command(name=name, help=about)(partial(run, name))
