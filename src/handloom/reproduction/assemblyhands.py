"""`handloom reproduce assemblyhands-table4`: SVEgoNet trained on few clean labels, on many noisy ones, and on both.

AssemblyHands has manual labels, one frame a second, of some recordings (M), and automatic ones, thirty frames a second,
of others (A). A store of one kind is dealt out alike: in each split every other person belongs to M, of whom one frame
a second counts, with the labels as they are; the others to A, of whom every frame counts, with labels as automatic
annotation would give them (`datasets.label_noise`), in training as in evaluation.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from handloom import __version__
from handloom.datasets.clips import recordings_of
from handloom.datasets.hand_crops import Subset
from handloom.datasets.label_noise import LabelNoise
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.evaluation.svegonet import SCORES, evaluate_svegonet
from handloom.formats.atomic import json_text, write_text
from handloom.formats.text_files import parse_json, read_text
from handloom.progress import Progress, named, silent
from handloom.reproduction.tables import Column, Effect, Measured, Row, Setting, Table
from handloom.training.options import EgoOptions
from handloom.training.processes import require_one_process
from handloom.training.svegonet import train_svegonet
from handloom.training.svegonet_recipe import chosen_preset

RUN, CROPS = "run", "crops"
M, A, BOTH = "M", "A", "M+A"


def _column(kind: str) -> Column:
    def value(scores: Mapping[str, Any]) -> float | None:
        found: float = scores[kind]["official"]["single"]["mpjpe_mm"]
        return found

    return Column(f"Eval-{kind} mm", value)


_PAPER = {M: (24.38, 28.58, 28.35), A: (25.18, 22.29, 22.45), BOTH: (23.46, 21.84, 21.92)}
TABLE4 = Table(
    "assemblyhands-table4",
    "AssemblyHands, Table 4: manual and automatic labels for SVEgoNet (MPJPE)",
    tuple(_column(kind) for kind in _PAPER),
    tuple(Row(f"Train-{kind}", Setting(kind, {}), values) for kind, values in _PAPER.items()),
    (
        Effect("M+A against M, on Eval-M", "Train-M+A", "Train-M", ("Eval-M mm",), relative=True),
        Effect("M+A against A, on Eval-A", "Train-M+A", "Train-A", ("Eval-A mm",), relative=True),
        Effect("M+A against M, on Eval-M+A", "Train-M+A", "Train-M", ("Eval-M+A mm",), relative=True),
        Effect("M+A against A, on Eval-M+A", "Train-M+A", "Train-A", ("Eval-M+A mm",), relative=True),
        Effect("A against M, on Eval-M", "Train-A", "Train-M", ("Eval-M mm",), relative=True),
    ),
)


def reproduce_table4(
    data: Path,
    out: Path,
    options: EgoOptions | None = None,
    split: str = "test",
    noise: LabelNoise | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Measured | None:
    """Train and score the three settings; what is done is kept, what is begun goes on.

    With the preset `small` all settings take about as many steps: those with fewer frames see them more often. With
    `paper` all take as many epochs, as published.

    Args:
        data: the store.
        out: folder for runs, scores, crops and the table itself.
        options: of the trainings; `split` is trained on.
        split: that is scored.
        noise: of the automatic labels.
        progress: told of every step.
        should_stop: asked after every step; True ends the run, to be gone on with.

    Returns:
        The table; None if it ended early.

    Raises:
        InputError: a split with one person alone, or what training and evaluation raise.
    """
    options = options or EgoOptions()
    require_one_process("a table")
    store, noise = Store(data), noise or LabelNoise(seed=options.seed)
    trained, scored = (
        {kind: subsets_of(store, part, kind, noise) for kind in _PAPER} for part in (options.split, split)
    )
    crops = options.crops or out / CROPS
    scores: dict[str, dict[str, Any]] = {}
    for kind in _PAPER:
        told = named(progress, kind)
        epochs = chosen_preset(options).recipe.epochs
        if options.preset == "small":
            share = _frames(store, trained[kind]) / _frames(store, trained[BOTH])
            epochs = max(1, round(epochs / share))
        own = replace(options, epochs=epochs, crops=crops)
        weights = train_svegonet(data, out / kind / RUN, own, trained[kind], told, should_stop)
        if weights is None:
            return None
        scores[kind] = {}
        for part in _PAPER:
            place = out / kind / f"scores-{split}-{part}"
            if not (place / SCORES).exists():
                evaluate_svegonet(
                    weights, data, split, place, options.cameras, options.device, told, scored[part], crops
                )
            scores[kind][part] = parse_json(place / SCORES, read_text(place / SCORES))
    values = tuple(tuple(column.value(scores[row.setting.name]) for column in TABLE4.columns) for row in TABLE4.rows)
    measured = Measured(TABLE4, values, _notes(store, scores[BOTH], trained, options, noise))
    write_text(out / f"{TABLE4.name}.json", json_text(measured.as_json(), indent=2) + "\n")
    write_text(out / f"{TABLE4.name}.md", measured.as_markdown())
    return measured


def subsets_of(store: Store, split: str, kind: str, noise: LabelNoise) -> list[Subset]:
    """What M, A or both are of a split: every other person, in the order of the recordings.

    Raises:
        InputError: the split has one person alone.
    """
    recordings = recordings_of(store, split)
    people = list(dict.fromkeys(recording.subject for recording in recordings))
    if len(people) < 2:
        raise InputError(
            f"split {split!r} of {store.root} has one person alone; manual and automatic labels need people of their "
            "own in the split that is trained on and in the one that is scored"
        )
    manual = set(people[::2])
    found = {
        M: Subset(tuple(r.index for r in recordings if r.subject in manual), max(1, store.layout.fps)),
        A: Subset(tuple(r.index for r in recordings if r.subject not in manual), 1, noise),
    }
    return [found[name] for name in kind.split("+")]


def _frames(store: Store, subsets: list[Subset]) -> int:
    return sum(-(-store.recordings[k].length // subset.frame_step) for subset in subsets for k in subset.recordings)


def _notes(
    store: Store,
    scores: Mapping[str, Any],
    trained: Mapping[str, list[Subset]],
    options: EgoOptions,
    noise: LabelNoise,
) -> tuple[str, ...]:
    device = choose_device(options.device)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    frames = {kind: _frames(store, subsets) for kind, subsets in trained.items()}
    hands = ", ".join(f"Eval-{kind} {scores[kind]['hands']:,}" for kind in _PAPER)
    return (
        "The paper's numbers are of real recordings and cannot be compared one by one with those of other data; what "
        "can is how the rows differ.",
        f"Data: {scores[BOTH]['data']}. Trained on {frames[M]:,} frames of M and {frames[A]:,} of A in each camera; "
        f"hands scored: {hands}.",
        f"M and A are other people. M: one frame a second, the labels of the store. A: every frame ({store.layout.fps} "
        f"a second), labels that wander by {noise.wander_mm:g} and jump by {noise.jump_mm:g} mm per coordinate, "
        f"{noise.hidden_factor:g} times as much in the {100 * noise.hidden:g} % of the time in which a hand is hidden, "
        f"when {100 * noise.missing:g} % of its joints are missing; also in what is scored.",
        f"Preset {options.preset}, behaviour {options.behaviour}, seed {options.seed}, {hardware}, Handloom "
        f"{__version__}. One training for each row: small differences are chance.",
    )
