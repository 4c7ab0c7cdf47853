"""The papers' tables again: reproduce."""

import sys
from pathlib import Path
from typing import Literal

import tyro

from handloom.cli.machine import needing_torch


def reproduce(
    table: tyro.conf.Positional[
        Literal["htt-table1", "htt-table2", "htt-table3", "htt-table4", "htt-table5", "htt-fig4", "htt-fig5"]
    ],
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
    """Train and score the settings of a paper's table on a store; prints published and measured numbers side by side.

    Killed at any moment, the same command goes on. Tables share the settings they have in common in one folder.

    Args:
        table: Of HTT: Tables 1, 4, 5 and Figure 4 for stores of one hand (FPHA); Tables 2 to 5 and Figure 5 for two.
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
        from handloom.reproduction.htt import reproduce_htt
        from handloom.training.htt import TrainOptions
    from handloom.terminal import ProgressBar, print_rows, print_text
    from handloom.tracking.interrupt import Interruption

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
    with ProgressBar("steps") as progress, Interruption() as interruption:
        measured = reproduce_htt(table, data, out, options, split, progress, lambda: interruption.requested)
    if measured is not None:
        print_text(measured.as_markdown())
        return
    print_rows("Ended early", [("go on with", "the same command")])
    sys.exit(130)
