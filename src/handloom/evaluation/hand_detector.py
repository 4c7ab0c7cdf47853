"""`handloom evaluate` of a detector of hands: precision, recall and sides of every camera; numbers and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handloom.datasets.clips import recordings_of
from handloom.datasets.hand_crops import pictured_cameras
from handloom.datasets.hand_pictures import HandPictures, read_hand_pictures
from handloom.datasets.store import Store
from handloom.errors import InputError
from handloom.estimators.detections import TRAINED_CONFIDENCE
from handloom.estimators.hand_finder import HandFinder
from handloom.estimators.htt_network import Device
from handloom.formats.atomic import json_text, make_folder, write_text
from handloom.metrics.boxes import JudgedPicture, box_scores
from handloom.progress import Progress, silent
from handloom.rows import Rows
from handloom.view.evaluation_boxes import BoxShot, write_box_evaluation

SCORES, PAGE, PICTURES = "scores.json", "evaluation.html", "pictures"
SHOTS = 12


def evaluate_hand_detector(
    weights: Path,
    data: Path,
    split: str,
    out: Path,
    cameras: Sequence[str] = (),
    device: Device = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Evaluate a detector on a split of a store and write scores.json and a page into `out`.

    Args:
        weights: folder of weights or of a training run.
        data, split: what it is shown.
        out: folder for the results.
        cameras: whose pictures; by default all.
        device: where to compute.
        progress: told of every recording.

    Returns:
        What scores.json holds.

    Raises:
        InputError: missing or unfit weights, no such split or camera, no labelled hand.
        OutputError: the results cannot be written.
    """
    store, finder = Store(data), HandFinder.load(weights, device)
    chosen = pictured_cameras(store, cameras)
    make_folder(out)
    long_side = finder.config.long_side_px
    parts = read_hand_pictures(store, recordings_of(store, split), chosen, long_side, out / PICTURES, progress=progress)
    answers = []
    for done, part in enumerate(parts):
        progress("evaluate", done, len(parts))
        answers.append(part.judged(finder))
    progress("evaluate", len(parts), len(parts))
    everything = [one for answer in answers for one in answer]
    total = box_scores(everything, TRAINED_CONFIDENCE)
    if not total.hands:
        raise InputError(f"not one of {len(everything)} pictures of {data}, split {split!r}, shows a labelled hand")
    each = {}
    for name in chosen:
        own = [one for part, answer in zip(parts, answers) if part.camera == name for one in answer]
        each[name] = box_scores(own, TRAINED_CONFIDENCE)._asdict()
    kind = "simulated " if store.simulated else ""
    scores = {
        "network": finder.name,
        "data": f"{kind}{store.layout.dataset} ({data.name}), split {split}",
        "least_score": TRAINED_CONFIDENCE,
        "all": total._asdict(),
        "cameras": each,
    }
    write_text(out / SCORES, json_text(scores, indent=2) + "\n")
    write_box_evaluation(out / PAGE, scores, _shots(parts, answers), f"Hand detector, {weights.name}")
    return scores


def box_rows(scores: Mapping[str, Any], out: Path) -> tuple[str, Rows]:
    """The scores for the terminal."""
    rows = [(name, _row(values)) for name, values in scores["cameras"].items()]
    rows += [("all", _row(scores["all"])), ("results", str(out))]
    return f"Hands found in {scores['data']}", rows


def _row(values: Mapping[str, Any]) -> str:
    shares = (("AP", "ap"), ("recall", "recall"), ("side right", "side_accuracy"))
    said = [f"{name} {100 * values[key]:.1f} %" for name, key in shares if values[key] is not None]
    false = f"{values['false_per_picture']:.2f} false a picture, " if values["pictures"] else ""
    return f"{', '.join(said)}, {false}{values['hands']} hands" if said else "no hands"


def _shots(parts: Sequence[HandPictures], answers: Sequence[Sequence[JudgedPicture]]) -> list[BoxShot]:
    """Pictures evenly chosen out of all."""
    places = [(k, row) for k, answer in enumerate(answers) for row in range(len(answer))]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(SHOTS, len(places))).astype(int))
    shots = []
    for k, row in (places[number] for number in chosen):
        part, answer = parts[k], answers[k][row]
        own = box_scores([answer], TRAINED_CONFIDENCE)
        caption = f"{part.camera}, frame {part.frame[row]}: {own.found} of {own.hands} found"
        shots.append(BoxShot(np.asarray(part.pictures[row]), answer, caption))
    return shots
