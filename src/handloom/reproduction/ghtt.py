"""G-HTT's tables of prediction (2, 3, 4), trained and scored again on any stores, beside what was published."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from handloom.datasets.motions import MotionRecording, open_stores, stored_motions
from handloom.datasets.store import Store
from handloom.datasets.store_digest import store_digest
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device
from handloom.evaluation.generation import (
    Generate,
    GenerationScore,
    Window,
    by_flattened,
    by_path,
    by_posegpt,
    evaluation_windows,
    score_generation,
    weights_hash,
)
from handloom.forecast.against import plain_forecasts
from handloom.forecast.forecaster import SPREAD, Forecaster
from handloom.formats.atomic import json_text, write_text
from handloom.formats.ghtt_weights import load_action_block, load_pose_block
from handloom.formats.text_files import parse_json, read_text
from handloom.formats.weights import load_pretrained
from handloom.models.motion_recogniser import MotionRecogniser, MotionRecogniserConfig
from handloom.models.posegpt import PoseGPT, PoseGPTConfig
from handloom.progress import Progress, silent
from handloom.reproduction.setting import setting_of
from handloom.training.ghtt_action import train_ghtt_action
from handloom.training.ghtt_pose import train_ghtt_pose
from handloom.training.motion_recogniser import train_motion_recogniser
from handloom.training.options import RunOptions
from handloom.training.posegpt import train_posegpt
from handloom.training.processes import require_one_process

STATIC, STRAIGHT = "static", "constant velocity"
PA, PB, GPT = "G-HTT, P.a", "G-HTT, P.b", "PoseGPT (told the action)"
FLAT, FLAT_WIDE = "without mid-level", "without mid-level, 10 sigma"


@dataclass(frozen=True)
class GenerationTable:
    """A table: the shortest window, and the published FID and APD (mm) by row: H2O-val, H2O-test, AssemblyHands-val."""

    title: str
    min_window_s: float
    published: Mapping[str, tuple[str, str, str]]


TABLES = {
    "ghtt-table2": GenerationTable(
        "Table 2: PoseGPT and G-HTT, actions beyond 1 s",
        1.0,
        {
            GPT: ("5.19 / 32.3, 43.1", "11.70 / 24.1, 48.6", "16.07 / 25.3, 33.0"),
            PB: ("5.32 / 22.1, 25.7", "8.19 / 20.1, 33.9", "5.04 / 28.1, 32.8"),
        },
    ),
    "ghtt-table3": GenerationTable(
        "Table 3: from pose to pose (P.a) and by way of the action (P.b), actions beyond 2 s",
        2.0,
        {
            PA: ("8.18 / 40.7, 48.3", "12.78 / 36.7, 52.5", "8.20 / 40.8, 51.1"),
            PB: ("6.59 / 29.7, 33.3", "10.88 / 26.2, 48.3", "6.84 / 34.8, 42.3"),
        },
    ),
    "ghtt-table4": GenerationTable(
        "Table 4: with and without mid-level, actions beyond 2 s",
        2.0,
        {
            FLAT: ("6.69 / 18.0, 23.7", "13.84 / 17.9, 29.4", "5.67 / 16.9, 21.9"),
            FLAT_WIDE: ("14.05 / 25.5, 33.4", "22.64 / 24.1, 35.2", "6.31 / 23.3, 30.2"),
            PB: ("9.30 / 27.8, 31.4", "13.10 / 24.6, 43.3", "5.21 / 33.6, 40.0"),
        },
    ),
}


def reproduce_ghtt(
    name: str,
    data: Sequence[Path],
    out: Path,
    options: RunOptions,
    split: str = "test",
    most_windows: int | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> str | None:
    """Train what a table compares, score it, and write OUT/NAME.md and .json; resumable, networks are shared.

    Args:
        name: "ghtt-table2", "ghtt-table3" or "ghtt-table4".
        data: stores with labelled actions.
        out: folder for all runs and tables.
        options: of all trainings; the split in it is trained on.
        split: that is scored.
        most_windows: score so many, evenly chosen.
        progress: told of every step and window.
        should_stop: asked after every training step.

    Returns:
        The table as Markdown; None if it ended early.

    Raises:
        InputError, TrainingError: as the trainings; or the split has no long enough labelled segment.
    """
    require_one_process("a table")
    table = TABLES[name]
    stores = open_stores(data)
    recordings = stored_motions(stores, split)
    windows = evaluation_windows(recordings, table.min_window_s, most_windows)
    folders: dict[str, Path] = {}
    for network in ("fid", "pose", "action", *(("flat",) if FLAT in table.published else ()),
                    *(("posegpt",) if GPT in table.published else ())):  # fmt: skip
        trained = train_network(network, data, out, options, progress, should_stop)
        if trained is None:
            return None
        folders[network] = trained
    scored = out / f"{name}.json"
    weights = {network: weights_hash(folder) for network, folder in folders.items()}
    about = {"windows": len(windows), "split": split, "weights": weights}
    done = parse_json(scored, read_text(scored)) if scored.exists() else {}
    if done.get("about") != parse_json(scored, json_text(about)):
        device = choose_device(options.device)
        recogniser = load_pretrained(MotionRecogniser, MotionRecogniserConfig, folders["fid"]).to(device)
        scores = score_generation(windows, _models(table, folders, options.device), recogniser, progress)
        done = {
            "about": about,
            "setting": setting_of(described(stores, split, recordings, windows), options.preset, options.seed,
                                  options.device, epochs_said(options)),
            "scores": {row: score._asdict() for row, score in scores.items()},
        }  # fmt: skip
        write_text(scored, json_text(done, indent=2) + "\n")
    found = {row: GenerationScore(**values) for row, values in done["scores"].items()}
    text = as_markdown(table, found, done["setting"], weights["fid"])
    write_text(out / f"{name}.md", text)
    return text


def as_markdown(table: GenerationTable, scores: Mapping[str, GenerationScore], setting: str, network: str) -> str:
    """The table: published FID / APD left, right (mm) on the paper's data, and what was measured here."""
    lines = [
        f"# {table.title}",
        "",
        f"{setting} FID with the network {network}, which no other table may be compared with. Published numbers are "
        "of other data; one training for each row.",
        "",
        "| | paper: H2O-val | H2O-test | AssemblyHands-val | FID | APD left, right (mm) | wrist ADE (mm) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, score in scores.items():
        published = " | ".join(table.published.get(row, ("–", "–", "–")))
        apd = ", ".join("–" if value is None or value != value else f"{1000 * value:.1f}" for value in score.apd)
        lines.append(f"| {row} | {published} | {score.fid:.2f} | {apd} | {1000 * score.ade:.1f} |")
    return "\n".join(lines) + "\n"


def described(
    stores: Sequence[Store], split: str, recordings: Sequence[MotionRecording], windows: Sequence[Window]
) -> str:
    """The scored data, for a table."""
    names = ", ".join(f"{store.root.name} ({store_digest(store)})" for store in stores)
    subjects = len({recording.subject for recording in recordings})
    return f"{names}; {len(windows)} windows of the split {split!r}, {len(recordings)} recordings of {subjects} people"


def epochs_said(options: RunOptions) -> str:
    """The part of a table's setting that tells other epochs than the preset's."""
    return "" if options.epochs is None else f" with {options.epochs} epochs of every network"


def train_network(
    network: str,
    data: Sequence[Path],
    out: Path,
    options: RunOptions,
    progress: Progress,
    should_stop: Callable[[], bool],
    suffix: str = "",
) -> Path | None:
    """Train one of "fid", "pose", "action", "flat", "posegpt" in OUT/NAME + suffix, unless it is there already.

    "action" and "flat" read the "pose" of the same suffix. Returns the weights; None if it ended early. Raises as the
    trainings.
    """
    told = {"progress": progress, "should_stop": should_stop}
    folder, pose = out / (network + suffix), out / ("pose" + suffix)
    match network:
        case "fid":
            return train_motion_recogniser(data, folder, options, **told)  # type: ignore[arg-type]
        case "pose":
            return train_ghtt_pose(data, folder, options, **told)  # type: ignore[arg-type]
        case "action":
            return train_ghtt_action(data, pose, folder, options, **told)  # type: ignore[arg-type]
        case "flat":
            return train_ghtt_action(data, pose, folder, options, "pose", **told)  # type: ignore[arg-type]
    return train_posegpt(data, folder, options, **told)  # type: ignore[arg-type]


def _models(table: GenerationTable, folders: Mapping[str, Path], device: Device) -> dict[str, Generate]:
    pose, action = load_pose_block(folders["pose"]), load_action_block(folders["action"])
    forecaster = Forecaster(pose, action, device, keep_shape=False)
    where = choose_device(device)
    models: dict[str, Generate] = {}
    if GPT in table.published:
        gpt = load_pretrained(PoseGPT, PoseGPTConfig, folders["posegpt"]).to(where)
        models[GPT] = by_posegpt(gpt, forecaster)
    if FLAT in table.published:
        flat = load_action_block(folders["flat"]).to(where)
        models[FLAT] = by_flattened(flat, forecaster)
        models[FLAT_WIDE] = by_flattened(flat, forecaster, 2 * SPREAD)
    if PA in table.published:
        models[PA] = by_path(forecaster, "a")
    models[PB] = by_path(forecaster, "b")
    for name in (STATIC, STRAIGHT):
        models[name] = _plain(name)
    return models


def _plain(name: str) -> Generate:
    def generate(window: Window) -> Float[np.ndarray, "samples frames 2 21 3"]:
        past = window.recording.joints_m[window.start : window.start + len(window.observed.present)]
        return plain_forecasts(past, window.frames)[name][None]

    return generate
