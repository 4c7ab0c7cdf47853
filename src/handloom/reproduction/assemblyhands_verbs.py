"""`handloom reproduce assemblyhands-table5`: the better the poses, the better the verbs are told apart."""

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handloom import __version__
from handloom.datasets.motions import FRAME_RATE, MotionRecording, open_stores, stored_motions
from handloom.datasets.pose_noise import tracker_errors
from handloom.datasets.verb_segments import Poses, poses_of
from handloom.errors import InputError
from handloom.estimators.htt_torch import choose_device
from handloom.evaluation.verbs import score_verbs
from handloom.formats.atomic import json_text, write_text
from handloom.formats.text_files import parse_json, read_text
from handloom.formats.weights import load_pretrained
from handloom.models.verb_classifier import VerbClassifier, VerbClassifierConfig
from handloom.progress import Progress, named, silent
from handloom.reproduction.tables import Column, Effect, Measured, Row, Setting, Table, Values
from handloom.skeleton import WRIST
from handloom.training.options import RunOptions
from handloom.training.verbs import train_verbs
from handloom.view.verbs import write_verbs

NAME = "assemblyhands-table5"
VERBS = ("pick up", "put down", "position", "remove", "screw", "unscrew")
UMETRACK, SVEGONET, LABELS = "UmeTrack", "SVEgoNet", "AssemblyHands-A"
PAPER: dict[str, Values] = {
    UMETRACK: (32.91, 66.0, 41.5, 51.2, 29.2, 42.5, 59.6, 50.3, 83.8),
    SVEGONET: (21.92, 68.1, 47.7, 64.3, 27.4, 44.3, 63.7, 54.7, 91.1),
    LABELS: (None, 70.0, 57.4, 67.5, 36.4, 49.8, 64.1, 60.0, 100.0),
}
STAND_INS_M = {UMETRACK: 0.03291, SVEGONET: 0.02192}
"""The errors that are put on the labels of simulated stores in place of a tracker that is not at hand."""
_AVERAGE = "all %"

Source = Callable[[Sequence[MotionRecording]], Poses]


def reproduce_verbs(
    data: Sequence[Path],
    out: Path,
    options: RunOptions,
    split: str = "test",
    poses: Mapping[str, Path] | None = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
) -> Measured | None:
    """Train and score a classifier on every kind of poses; what is done is kept, what is begun goes on.

    Args:
        data: stores with the six verbs.
        out: folder for runs, scores, the table (.md, .json) and the page with Figure 6 (.html).
        options: of all trainings; the split in it is trained on.
        split: that is scored.
        poses: poses by name, see `poses_of`. "UmeTrack", "SVEgoNet" and "AssemblyHands-A" stand beside the paper's;
            for the first two, simulated stores have a stand-in: the labels with errors as large as the paper's.
        progress: told of every step.
        should_stop: asked after every step; True ends the run, to be gone on with.

    Returns:
        The table; None if it ended early.

    Raises:
        InputError: missing poses, stores, splits or verbs; settings that differ from those begun.
    """
    stores = open_stores(data)
    given = {name: str(path) for name, path in (poses or {}).items()}
    stand_ins = set(STAND_INS_M) - set(given) if all(store.simulated for store in stores) else set()
    rows = [name for name in PAPER if name in given or name in stand_ins or name == LABELS]
    rows += [name for name in given if name not in PAPER]
    if len(rows) < 2:
        raise InputError(
            "there are no poses to compare the labels with: give --poses NAME=PATH, a store or a folder of results; "
            "stand-ins are made for simulated stores only"
        )
    recordings = stored_motions(stores, split)
    if len({recording.name for recording in recordings}) < len(recordings):
        raise InputError("two of the stores have recordings of the same name; poses are found by that name")
    scores: dict[str, dict[str, Any]] = {}
    counts = {}
    for row in rows:
        source, about = _source(row, given, options.seed)
        folder = out / _folder(row)
        told = named(progress, row)
        weights = train_verbs(data, folder / "run", options, VERBS, source, about, told, should_stop)
        if weights is None:
            return None
        scored = folder / f"scores-{split}.json"
        if not scored.exists():
            joints = {r.name: r.joints_m for r in recordings} if source is None else source(recordings)
            model = load_pretrained(VerbClassifier, VerbClassifierConfig, weights, choose_device(options.device))
            found = score_verbs(model, recordings, joints)
            error = None if source is None else 1000 * wrist_relative_error_m(recordings, joints)
            write_text(scored, json_text({"mpjpe_mm": error, "poses": about, **found.as_json()}, indent=2) + "\n")
        scores[row] = parse_json(scored, read_text(scored))
        counts[row] = np.array(scores[row]["confusion"])
    values = tuple(_values(scores[row], scores[LABELS]["accuracy"]) for row in rows)
    where = f"{', '.join(path.name for path in data)}, split {split}"
    measured = Measured(_table(rows), values, _notes(where, scores, rows, stand_ins, options))
    write_text(out / f"{NAME}.json", json_text(measured.as_json(), indent=2) + "\n")
    write_text(out / f"{NAME}.md", measured.as_markdown())
    write_verbs(out / f"{NAME}.html", counts, VERBS, where)
    return measured


def wrist_relative_error_m(recordings: Sequence[MotionRecording], poses: Poses) -> float:
    """MPJPE as AssemblyHands counts it: beside the wrist, per joint over frames, then over all 42 joints."""
    errors = []
    for recording in recordings:
        found, truth = poses[recording.name], recording.joints_m
        relative = (found - found[:, :, WRIST, None]) - (truth - truth[:, :, WRIST, None])
        errors.append(np.linalg.norm(relative, axis=-1))
    return float(np.nanmean(np.nanmean(np.concatenate(errors), axis=0)))


def _source(row: str, given: Mapping[str, str], seed: int) -> tuple[Source | None, str]:
    """Where the poses of a row are from; None for the labels themselves. And in words."""
    if row in given:
        return lambda recordings: poses_of(recordings, Path(given[row])), given[row]
    if row == LABELS:
        return None, "labels"
    size_m = STAND_INS_M[row]

    def disturbed(recordings: Sequence[MotionRecording]) -> Poses:
        found = {}
        for recording in recordings:
            chance = np.random.SeedSequence([seed, zlib.crc32(f"{row}/{recording.name}".encode())])
            rng = np.random.Generator(np.random.Philox(chance))
            found[recording.name] = recording.joints_m + tracker_errors(len(recording), size_m, FRAME_RATE, rng)
        return found

    return disturbed, f"labels with made-up errors of {1000 * size_m:.2f} mm"


def _values(scores: Mapping[str, Any], best: float) -> Values:
    verbs = scores["verbs"]
    shares = [None if verbs[verb] is None else 100 * verbs[verb] for verb in VERBS]
    return (scores["mpjpe_mm"], *shares, 100 * scores["accuracy"], 100 * scores["accuracy"] / best)


def _table(rows: Sequence[str]) -> Table:
    names = ("MPJPE mm", *(f"{verb} %" for verb in VERBS), _AVERAGE, "of the best %")
    columns = tuple(Column(name, lambda scores: None, 2 if name == "MPJPE mm" else 1) for name in names)
    nothing: Values = (None,) * len(names)
    pairs = ((SVEGONET, UMETRACK), (LABELS, SVEGONET), (LABELS, UMETRACK))
    return Table(
        NAME,
        "AssemblyHands, Table 5: verbs from poses",
        columns,
        tuple(Row(row, Setting(_folder(row), {}), PAPER.get(row, nothing)) for row in rows),
        tuple(Effect(f"{a} against {b}, points", a, b, (_AVERAGE,)) for a, b in pairs if {a, b} <= set(rows)),
    )


def _notes(
    where: str,
    scores: Mapping[str, Mapping[str, Any]],
    rows: Sequence[str],
    stand_ins: set[str],
    options: RunOptions,
) -> tuple[str, ...]:
    device = choose_device(options.device)
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    segments = scores[LABELS]["segments"]
    notes = [
        "The paper's numbers are of real recordings and cannot be compared one by one with those of other data; what "
        "can is how the rows differ. Of each row, a classifier is trained and scored on poses of that kind.",
        f"Data: {where}, {segments} segments. Preset {options.preset}, seed {options.seed}, {hardware}, Handloom "
        f"{__version__}. One training for each row; the standard error of an average is up to "
        f"{50 / segments**0.5:.1f} points.",
        '"all" counts every segment the same, as the paper\'s average does.',
    ]
    notes += [
        f"{row} is no tracker here but a stand-in: {scores[row]['poses']}, independent of the picture, the same for "
        "every joint, lasting 0.3 s."
        for row in rows
        if row in stand_ins
    ]
    return tuple(notes)


def _folder(row: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in row.lower())
