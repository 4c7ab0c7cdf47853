"""`score`: every number of an evaluation; each names its unit, alignment, root and range."""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from handloom.errors import InputError
from handloom.metrics.actions import (
    accuracy,
    class_accuracies,
    confusion,
    early_curve,
    top_k_accuracy,
    verbs_and_nouns,
    vote,
)
from handloom.metrics.means import known_mean
from handloom.metrics.pose import (
    PCKRange,
    Ranges,
    auc,
    joint_errors,
    joint_means,
    joint_pck,
    procrustes_errors,
    root_aligned_errors,
)
from handloom.metrics.predictions import Predictions
from handloom.skeleton import JOINT_NAMES, WRIST

CAMERA, ROOT_ALIGNED, PROCRUSTES, IMAGE = "camera", "root-aligned", "procrustes", "image"
ALIGNMENTS = {
    CAMERA: "none",
    ROOT_ALIGNED: "root moved onto the true one, per frame and hand",
    PROCRUSTES: "similarity without reflection, per frame and hand",
    IMAGE: "none",
}
BOTH = "both"
AVERAGE = "per joint over its valid frames, then over joints"
VOTE = "argmax of the summed softmax probabilities of the clips of a video"


@dataclass(frozen=True, eq=False)
class PoseScore:
    """Pose error of one hand, or of both, in one space.

    Attributes:
        hand: "left", "right" or "both". space: "camera", "root-aligned", "procrustes" or "image".
        root: name of the joint that was aligned and left out, where one was.
        joints, frames: how many joints the means are over, and how many frames have one of them.
        mean_error: MEPE, in `unit` ("mm", or "px" in the image). joint_errors: the mean of each joint, NaN if left out.
        span, pck, auc: thresholds and curve; None in the image.
    """

    hand: str
    space: str
    root: str | None
    joints: int
    frames: int
    unit: str
    mean_error: float
    joint_errors: Float[np.ndarray, "joints"]
    span: PCKRange | None = None
    pck: Float[np.ndarray, "points"] | None = None
    auc: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN is None."""
        facts: dict[str, Any] = {
            "hand": self.hand,
            "space": self.space,
            "alignment": ALIGNMENTS[self.space],
            "root": self.root,
            "joints": self.joints,
            "frames": self.frames,
            "mepe": {"value": _known(self.mean_error), "unit": self.unit, "average": AVERAGE},
            "joint_errors": [_known(value) for value in self.joint_errors],
        }
        if self.span is not None and self.pck is not None and self.auc is not None:
            facts["auc"] = {"value": _known(self.auc), "range_mm": [0, self.span.top_mm], "points": self.span.points}
            facts["pck"] = {
                "thresholds_mm": (1000 * self.span.thresholds_m).round(6).tolist(),
                "share_within": [_known(value) for value in self.pck],
            }
        return facts


@dataclass(frozen=True, eq=False)
class ActionScores:
    """Recognition of whole videos by the vote of their clips; shares in 0 ... 1.

    `videos` are those with a label. `verb` and `noun` are those of the action chosen, None where the names are not
    "verb noun". `counts` is the confusion matrix, true class along axis 0. `early`: accuracy at `early_fractions`.
    """

    names: tuple[str, ...]
    videos: int
    withheld: int
    top_1: float
    top_5: float
    mean_class: float
    verb: float | None
    noun: float | None
    counts: Int[np.ndarray, "A A"]
    early_fractions: Float[np.ndarray, "F"] | None
    early: Float[np.ndarray, "F"] | None

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN is None."""
        facts: dict[str, Any] = {
            "rule": VOTE,
            "unit": "share of labelled videos",
            "videos": self.videos,
            "withheld": self.withheld,
        }
        for name in ("top_1", "top_5", "mean_class", "verb", "noun"):
            value = getattr(self, name)
            facts[name] = None if value is None else _known(value)
        facts["classes"] = list(self.names)
        facts["confusion"] = {"rows": "true", "columns": "predicted", "counts": self.counts.tolist()}
        if self.early_fractions is not None and self.early is not None:
            facts["early"] = {
                "observed_fraction": self.early_fractions.astype(float).round(6).tolist(),
                "top_1": [_known(value) for value in self.early],
            }
        return facts


@dataclass(frozen=True, eq=False)
class Scores:
    """The numbers of one evaluation. `actions` and `object_accuracy` are None where nothing was to be recognised.

    `notes` is what whoever reads them should know of the evaluation.
    """

    data: str
    ranges: Ranges
    poses: tuple[PoseScore, ...]
    actions: ActionScores | None
    object_accuracy: float | None
    object_frames: int
    notes: tuple[str, ...] = ()

    def pose(self, hand: str, space: str) -> PoseScore | None:
        """One row of `poses`, if it is there."""
        return next((row for row in self.poses if (row.hand, row.space) == (hand, space)), None)

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; NaN is None."""
        facts: dict[str, Any] = {"data": self.data, "pose": [row.as_json() for row in self.poses]}
        if self.actions:
            facts["action"] = self.actions.as_json()
        if self.object_accuracy is not None:
            facts["object"] = {
                "unit": "share of labelled frames",
                "frames": self.object_frames,
                "top_1": _known(self.object_accuracy),
            }
        if self.notes:
            facts["notes"] = list(self.notes)
        return facts


def score(predictions: Predictions, ranges: Ranges, root: int = WRIST) -> Scores:
    """Score predictions.

    Args:
        predictions: the record.
        ranges: of the PCK curves: `pose.H2O_RANGES`, `pose.FPHA_RANGES` or own ones.
        root: joint that root alignment moves onto the true one and leaves out.

    Raises:
        InputError: no such root.
    """
    if not 0 <= root < len(JOINT_NAMES):
        raise InputError(f"root must be a joint 0 ... {len(JOINT_NAMES) - 1}, found {root}")
    objects = predictions.object_truth >= 0
    has_objects = bool(predictions.object_names) and objects.any()
    return Scores(
        data=predictions.data,
        ranges=ranges,
        poses=_pose_scores(predictions, ranges, root),
        actions=_action_scores(predictions) if predictions.action_names else None,
        object_accuracy=top_k_accuracy(predictions.object_probabilities, predictions.object_truth)
        if has_objects
        else None,
        object_frames=int(objects.sum()),
    )


def _pose_scores(predictions: Predictions, ranges: Ranges, root: int) -> tuple[PoseScore, ...]:
    arrays = predictions.joints_m, predictions.truth_m, predictions.valid
    rows = [
        *_rows(CAMERA, predictions.hands, joint_errors(*arrays), ranges.camera),
        *_rows(ROOT_ALIGNED, predictions.hands, root_aligned_errors(*arrays, root=root), ranges.root_aligned, root),
        *_rows(PROCRUSTES, predictions.hands, procrustes_errors(*arrays), ranges.root_aligned),
    ]
    pixels = np.linalg.norm(predictions.keypoints_px - predictions.truth_px, axis=-1)
    if np.isfinite(pixels).any():
        rows += _rows(IMAGE, predictions.hands, pixels, None)
    return tuple(rows)


def _rows(
    space: str, hands: tuple[str, ...], errors: np.ndarray, span: PCKRange | None, root: int | None = None
) -> list[PoseScore]:
    """A row for each hand, and one for both together where there are two."""
    factor, unit = (1000, "mm") if span else (1, "px")
    means = factor * joint_means(errors)
    curves = joint_pck(errors, span) if span else None
    seen = np.isfinite(errors).any(-1)

    def row(hand: str, which: slice) -> PoseScore:
        curve = None if curves is None else known_mean(curves[which].reshape(-1, curves.shape[-1]))
        return PoseScore(
            hand=hand,
            space=space,
            root=None if root is None else JOINT_NAMES[root],
            joints=int(np.isfinite(means[which]).sum()),
            frames=int(seen[:, which].any(-1).sum()),
            unit=unit,
            mean_error=float(known_mean(means[which].ravel())),
            joint_errors=means[which].ravel(),
            span=span,
            pck=curve,
            auc=None if span is None or curve is None else auc(curve, span),
        )

    rows = [row(hand, slice(i, i + 1)) for i, hand in enumerate(hands)]
    return [*rows, row(BOTH, slice(None))] if len(hands) > 1 else rows


def _action_scores(predictions: Predictions) -> ActionScores:
    truth, names = predictions.action_truth, predictions.action_names
    scores = vote(predictions.action_probabilities, predictions.clip_video, len(truth))
    chosen = scores.argmax(1) if len(scores) else truth
    counts = confusion(chosen, truth, len(names))
    parts = verbs_and_nouns(names, predictions.object_names)
    verb, noun = (
        (accuracy(part[chosen], np.where(truth >= 0, part[truth], -1)) for part in parts) if parts else (None, None)
    )
    early = predictions.early_probabilities
    return ActionScores(
        names=names,
        videos=int((truth >= 0).sum()),
        withheld=int((truth < 0).sum()),
        top_1=top_k_accuracy(scores, truth),
        top_5=top_k_accuracy(scores, truth, 5),
        mean_class=float(known_mean(class_accuracies(counts))),
        verb=verb,
        noun=noun,
        counts=counts,
        early_fractions=predictions.early_fractions,
        early=None if early is None else early_curve(early, truth),
    )


def _known(value: float) -> float | None:
    return float(value) if isfinite(value) else None
