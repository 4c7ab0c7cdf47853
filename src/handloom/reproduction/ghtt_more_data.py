"""Whether more data helps G-HTT (section 4.5, "Training with Assembly101"): on stores alone, and on others too."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from handloom.datasets.motions import open_stores, stored_motions
from handloom.datasets.store_digest import store_digest
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.evaluation.generation import (
    Generate,
    GenerationScore,
    by_path,
    evaluation_windows,
    score_generation,
    weights_hash,
)
from handloom.evaluation.recognition import recognition_accuracy
from handloom.forecast.forecaster import Forecaster
from handloom.formats.atomic import json_text, write_text
from handloom.formats.ghtt_weights import load_action_block, load_pose_block
from handloom.formats.weights import load_pretrained
from handloom.models.motion_recogniser import MotionRecogniser, MotionRecogniserConfig
from handloom.progress import Progress, silent
from handloom.reproduction.ghtt import described, epochs_said, train_network
from handloom.reproduction.setting import setting_of
from handloom.training.ghtt_action import known_segments
from handloom.training.options import RunOptions
from handloom.training.processes import require_one_process

NAME = "ghtt-more-data"
ALONE, TOGETHER = "", "-more"
"""What the folders of networks end in."""
_SHORTEST_S = 1.0


def reproduce_more_data(
    data: Sequence[Path],
    more: Sequence[Path],
    out: Path,
    options: RunOptions,
    split: str = "test",
    most_windows: int | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> str | None:
    """Train P and A on `data` and on `data` and `more`, score both on `data`, write OUT/ghtt-more-data.md and .json.

    Resumable; the networks of `data` alone are those of the other tables in OUT. Both have as many epochs, so the
    second takes more steps.

    Args:
        data: stores with labelled actions.
        more: further stores, whose split of training is added; their labels are added to those of block A.
        out: folder for all runs and tables.
        options: of all trainings; the split in it is trained on.
        split: of `data`, that is scored.
        most_windows: score so many, evenly chosen.
        progress: told of every step and window.
        should_stop: asked after every training step.

    Returns:
        The table as Markdown; None if it ended early.

    Raises:
        InputError, TrainingError: as the trainings; or the split has no long enough labelled segment.
    """
    require_one_process("a table")
    if not data or not more:
        raise InputError("give stores with --data, and others with --more")
    stores, others, device = open_stores(data), open_stores(more), choose_device(options.device)
    stored_motions(others, options.split)  # a store that cannot be read is told now, not after hours
    recordings = stored_motions(stores, split)
    windows = evaluation_windows(recordings, _SHORTEST_S, most_windows)
    fid = train_network("fid", data, out, options, progress, should_stop)
    if fid is None:
        return None
    models: dict[str, Generate] = {}
    named: dict[str, float] = {}
    for suffix, trained_on in ((ALONE, data), (TOGETHER, (*data, *more))):
        folders = [
            train_network(network, trained_on, out, options, progress, should_stop, suffix)
            for network in ("pose", "action")
        ]
        if folders[0] is None or folders[1] is None:
            return None
        pose, action = load_pose_block(folders[0]).to(device), load_action_block(folders[1]).to(device)
        found = recognition_accuracy(known_segments(recordings, action.config.actions), action, pose)
        named[suffix] = found.first / found.segments
        forecaster = Forecaster(pose, action, options.device, keep_shape=False)
        models |= {f"P.{path}{suffix}": by_path(forecaster, path) for path in ("a", "b")}
    recogniser = load_pretrained(MotionRecogniser, MotionRecogniserConfig, fid).to(device)
    scores = score_generation(windows, models, recogniser, progress)
    added = ", ".join(f"{store.root.name} ({store_digest(store)})" for store in others)
    setting = setting_of(
        described(stores, split, recordings, windows),
        options.preset,
        options.seed,
        options.device,
        epochs_said(options),
    )
    text = _markdown(scores, named, setting, ", ".join(path.name for path in data), added, weights_hash(fid))
    kept: dict[str, Any] = {
        "setting": setting,
        "more": added,
        "scores": {row: score._asdict() for row, score in scores.items()},
        "top1": {row or "alone": value for row, value in named.items()},
    }
    write_text(out / f"{NAME}.json", json_text(kept, indent=2) + "\n")
    write_text(out / f"{NAME}.md", text)
    return text


def _markdown(
    scores: Mapping[str, GenerationScore],
    named: Mapping[str, float],
    setting: str,
    data: str,
    more: str,
    network: str,
) -> str:
    lines = [
        "# More data for G-HTT (section 4.5)",
        "",
        f"{setting} More data: {more}. FID with the network {network}, which no other table may be compared with. The "
        "paper gives no numbers; it finds that more data help both, prediction and recognition.",
        "",
        "| P and A trained on | top-1 | P.a: FID | wrist ADE (mm) | P.b: FID | wrist ADE (mm) |",
        "|---|---|---|---|---|---|",
    ]
    for suffix, title in ((ALONE, data), (TOGETHER, f"{data} and more")):
        found = [scores[f"P.{path}{suffix}"] for path in ("a", "b")]
        ways = " | ".join(f"{score.fid:.2f} | {1000 * score.ade:.1f}" for score in found)
        lines.append(f"| {title} | {100 * named[suffix]:.1f} % | {ways} |")
    return "\n".join(lines) + "\n"
