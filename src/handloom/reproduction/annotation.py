"""`handloom reproduce assemblyhands-table2|3`: the annotation network against triangulation, round by round."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from handloom import __version__
from handloom.annotate.labelled_hands import labelled_hands
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.estimators.mvexonet import Annotator
from handloom.evaluation.rounds import BoxNoise, Estimates, estimate, scores
from handloom.formats.atomic import json_text, write_text
from handloom.progress import Progress, named, silent
from handloom.reproduction.annotation_pictures import write_one_pose, write_rounds
from handloom.reproduction.annotation_tables import TABLES
from handloom.reproduction.tables import Measured
from handloom.training.mvexonet import CROPS, train_mvexonet
from handloom.training.options import MVExoNetOptions
from handloom.training.processes import require_one_process

RUN, ROUNDS_PNG, POSE_PNG = "run", "rounds.png", "one-pose.png"
_ROOM = 3.5
"""Kept pictures reach so far that imperfect boxes lie within: their edges must not tell where the hand is."""
_KEPT_SHARE = 2.75
"""Side of kept pictures by that of the network's crops: as fine as what the network is shown."""


def reproduce_annotation(
    name: str,
    data: Path,
    out: Path,
    options: MVExoNetOptions | None = None,
    weights: Path | None = None,
    split: str | None = "test",
    noise: BoxNoise | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Measured | None:
    """Score 2D and triangulation and every round of the network on a store, beside the published numbers.

    Args:
        name: of the table, a key of `TABLES`.
        data: the store that is scored.
        out: folder for the training, the table as .md and .json, and pictures like Figures 4 and 5.
        options: of the training, which `data` is for if there are no weights.
        weights: of a trained network. Table 3 needs them: its rig is one that no training has seen.
        split: of the store; None for all of it.
        noise: of the boxes at the start.
        progress: told of every step.
        should_stop: asked after every step of the training; True ends it, to be gone on with.

    Returns:
        The table; None if it ended early.

    Raises:
        InputError: no weights where they are needed, or a store that cannot be used.
    """
    require_one_process(name)
    options, noise, table = options or MVExoNetOptions(), noise or BoxNoise(), TABLES[name]
    if weights is None:
        if name == "assemblyhands-table3":
            raise InputError(
                "table 3 is of a rig that no training has seen; train on another one (handloom train mvexonet, or "
                "reproduce assemblyhands-table2) and give its network with --weights RUN/model"
            )
        weights = train_mvexonet(data, out / RUN, options, named(progress, "train"), should_stop)
        if weights is None:
            return None
    annotator = Annotator(weights, options.device)
    kept = round(annotator.config.crop_size * _KEPT_SHARE)
    crops = options.crops or out / CROPS
    hands = labelled_hands(data, split, crops, kept, options.cameras, _ROOM, named(progress, "score"))
    estimates = [estimate(part, annotator, noise, options.seed) for part in hands if len(part.left)]
    found = scores(estimates, [row.label for row in table.rows])
    values = tuple(tuple(column.value(found.get(row.label, {})) for column in table.columns) for row in table.rows)
    notes = _notes(data, split, weights, estimates, noise, replace(options, crops=None))
    measured = Measured(table, values, notes)
    about = {**measured.as_json(), "scores": found}
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / f"{name}.json", json_text(about, indent=2) + "\n")
    write_text(out / f"{name}.md", measured.as_markdown())
    write_rounds(estimates, annotator, out / f"{name}-{ROUNDS_PNG}")
    write_one_pose(data, estimates, out / f"{name}-{POSE_PNG}")
    return measured


def _notes(
    data: Path,
    split: str | None,
    weights: Path,
    estimates: Sequence[Estimates],
    noise: BoxNoise,
    options: MVExoNetOptions,
) -> tuple[str, ...]:
    device = choose_device(options.device)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    count = sum(len(item.hands.left) for item in estimates)
    overlap = np.concatenate([item.overlap.ravel() for item in estimates])
    which = "all of it" if split is None else f"split {split}"
    return (
        "The paper's numbers are of real recordings and cannot be compared one by one with those of other data; what "
        "can is how the rows differ.",
        f"Data: {Store(data).layout.dataset} {data.name}, {which}, {count} hands in {len(estimates)} recordings; "
        f"weights {weights}; seed {options.seed}, {hardware}, Handloom {__version__}.",
        f"Boxes at the start are true ones made imperfect: middle off by {100 * noise.shift:.0f} % of the side each "
        f"way, side by {100 * noise.scale:.0f} % (standard deviations), {100 * noise.both:.0f} % hold both hands; mean "
        f"overlap (IoU) with true ones {np.nanmean(overlap):.2f}. All methods begin with the same.",
        "2D keypoints are those of the network's own heatmaps of single views. Errors are in the world, nothing is "
        "aligned; the AUC is over 0 ... 20 mm.",
    )
