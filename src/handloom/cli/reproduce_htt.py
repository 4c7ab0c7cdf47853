"""The tables of HTT and G-HTT again."""

from pathlib import Path
from typing import Literal

from handloom.cli.machine import carry_out_table, needing_torch, resumable

Preset = Literal["paper", "small"]
Device = Literal["auto", "cpu", "cuda", "mps"]

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


def reproduce_htt(
    table: str,
    /,
    data: Path,
    out: Path,
    preset: Preset = "small",
    split: str = "test",
    camera: str | None = None,
    behaviour: Literal["official", "paper"] = "official",
    backbone_weights: Path | None = None,
    backbone_from: Path | None = None,
    features: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: Device = "auto",
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
        from handloom.training.options import HTTOptions

    options = HTTOptions(
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
    carry_out_table(table, lambda *listeners: run_table(table, data, out, options, split, *listeners))


def reproduce_ghtt(
    table: str,
    /,
    data: tuple[Path, ...],
    out: Path,
    preset: Preset = "small",
    split: str = "test",
    epochs: int | None = None,
    windows: int | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Train and score what a table of G-HTT compares, beside the published numbers; killed, the same command goes on.

    Table 2: PoseGPT and P.b; 3: P.a and P.b; 4: with and without mid-level. All share their networks in OUT.

    Args:
        table: Its name.
        data: Stores with labelled actions; pictures are not needed.
        out: Folder for runs, and the table as .md and .json.
        preset: Of all networks.
        split: That is scored; "train" is trained on.
        epochs: Of all networks, instead of the preset's.
        windows: Score so many windows, evenly chosen; by default all.
        seed: Of all chance.
        device: Where to compute.
    """
    with needing_torch():
        from handloom.reproduction.ghtt import reproduce_ghtt as run_table
        from handloom.training.options import RunOptions
    from handloom.terminal import print_text

    options = RunOptions(preset, seed=seed, epochs=epochs, device=device)
    text = resumable(table, lambda *listeners: run_table(table, data, out, options, split, windows, *listeners))
    if text is not None:
        print_text(text)


def reproduce_ghtt_more(
    data: tuple[Path, ...],
    more: tuple[Path, ...],
    out: Path,
    preset: Preset = "small",
    split: str = "test",
    epochs: int | None = None,
    windows: int | None = None,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """P and A trained on stores, and on others too: does more data help? Killed, the same command goes on.

    Networks of DATA alone are shared with the other tables in OUT.

    Args:
        data: Stores with labelled actions, that are scored.
        more: Further stores to train on.
        out: Folder for runs, and the table as .md and .json.
        preset: Of all networks.
        split: That is scored; "train" is trained on.
        epochs: Of all networks, instead of the preset's.
        windows: Score so many windows, evenly chosen; by default all.
        seed: Of all chance.
        device: Where to compute.
    """
    with needing_torch():
        from handloom.reproduction.ghtt_more_data import NAME, reproduce_more_data
        from handloom.training.options import RunOptions
    from handloom.terminal import print_text

    options = RunOptions(preset, seed=seed, epochs=epochs, device=device)
    text = resumable(NAME, lambda *listeners: reproduce_more_data(data, more, out, options, split, windows, *listeners))
    if text is not None:
        print_text(text)


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
        from handloom.training.options import ImageOptions

    options = ImageOptions(preset, seed=seed, epochs=epochs, device=device, cameras=views, workers=workers)
    trained = Trained(image, pose, action, htt)
    carry_out_table(table, lambda *listeners: reproduce_views(data, out, options, htt_view, trained, split, *listeners))
