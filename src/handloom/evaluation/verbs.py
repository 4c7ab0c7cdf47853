"""`handloom evaluate` on a verb classifier: accuracy of every verb, their confusion, and a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from handloom.datasets.motions import MotionRecording, open_stores, stored_motions
from handloom.datasets.verb_segments import Poses, VerbSegment, network_input, poses_of, verb_segments
from handloom.estimators.htt_network import Device
from handloom.estimators.htt_torch import choose_device
from handloom.formats.atomic import json_text, make_folder, write_text
from handloom.formats.weights import load_pretrained
from handloom.formats.weights_config import weights_folder
from handloom.metrics.actions import class_accuracies, confusion
from handloom.models.verb_classifier import VerbClassifier, VerbClassifierConfig
from handloom.progress import Progress, silent
from handloom.rows import Rows
from handloom.view.verbs import write_verbs

SCORES, PAGE = "scores.json", "evaluation.html"
_SCORED_TOGETHER = 16


@dataclass(frozen=True, eq=False)
class VerbScores:
    """How many segments of every verb are called what: (true, said)."""

    verbs: tuple[str, ...]
    counts: Int[np.ndarray, "verbs verbs"]

    @property
    def accuracy(self) -> float:
        """Share of all segments that are named rightly; so the paper's averages come out, too."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def of_verbs(self) -> dict[str, float | None]:
        """Share of the segments of each verb; None where there are none."""
        shares = class_accuracies(self.counts).tolist()
        return {verb: None if share != share else share for verb, share in zip(self.verbs, shares)}

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "segments": int(self.counts.sum()),
            "accuracy": self.accuracy,
            "verbs": self.of_verbs,
            "confusion": self.counts.tolist(),
        }


def evaluate_verbs(
    weights: Path,
    data: Sequence[Path],
    split: str,
    out: Path,
    device: Device = "auto",
    poses: Path | None = None,
    progress: Progress = silent,
) -> VerbScores:
    """Score a classifier on the labelled segments of a split that have one of its verbs; writes scores and a page.

    Args:
        weights: folder of a run of `handloom train verbs`, or of its weights.
        data: stores.
        split: of the stores.
        out: folder for scores.json and evaluation.html.
        device: where to compute.
        poses: take joints from there, see `poses_of`; by default the labels'.
        progress: told of every segment.

    Raises:
        InputError: weights of something else, no such split or verbs, or poses that do not fit.
        OutputError: the results cannot be written.
    """
    folder = weights_folder(weights)
    model = load_pretrained(VerbClassifier, VerbClassifierConfig, folder, choose_device(device))
    recordings = stored_motions(open_stores(data), split)
    given = None if poses is None else poses_of(recordings, poses)
    make_folder(out)
    scores = score_verbs(model, recordings, given, progress)
    where = f"{', '.join(path.name for path in data)}, split {split}, poses: {'labels' if poses is None else poses}"
    write_text(out / SCORES, json_text({"data": where, **scores.as_json()}, indent=2) + "\n")
    write_verbs(out / PAGE, {weights.name: scores.counts}, scores.verbs, where)
    return scores


def score_verbs(
    model: VerbClassifier,
    recordings: Sequence[MotionRecording],
    poses: Poses | None = None,
    progress: Progress = silent,
) -> VerbScores:
    """What a classifier calls the segments of recordings, by their own joints or by others."""
    config = model.config
    segments = verb_segments(recordings, config.verbs, config.context, poses)
    said = verb_scores(model, segments, progress).argmax(1)
    true = np.array([config.verbs.index(segment.verb) for segment in segments])
    return VerbScores(config.verbs, confusion(said, true, len(config.verbs)))


def verb_scores(
    model: VerbClassifier, segments: Sequence[VerbSegment], progress: Progress = silent
) -> Float[np.ndarray, "segments verbs"]:
    """The network's scores of segments."""
    config, device = model.config, next(model.parameters()).device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(segments), _SCORED_TOGETHER):
            chosen = segments[start : start + _SCORED_TOGETHER]
            shown = [network_input(s.joints_m, config.frames, config.step, config.centred) for s in chosen]
            parts.append(model(torch.from_numpy(np.stack(shown)).to(device)).cpu().numpy())
            progress("segments", start + len(chosen), len(segments))
    return np.concatenate(parts)


def verb_rows(scores: VerbScores, out: Path) -> tuple[str, Rows]:
    """The scores for the terminal."""
    segments = scores.counts.sum(1).tolist()
    rows = [
        (verb, f"{100 * share:.1f} % of {count}")
        for (verb, share), count in zip(scores.of_verbs.items(), segments)
        if share is not None
    ]
    rows.append(("all segments", f"{100 * scores.accuracy:.1f} % of {scores.counts.sum()}"))
    return f"Verbs, in {out}", [*rows, ("page", str(out / PAGE))]
