"""The annotation network on labelled hands, from imperfect boxes on: every round, and 2D and triangulation first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from handloom.annotate.labelled_hands import LabelledHands
from handloom.errors import InputError
from handloom.estimators.mvexonet import Annotator, triangulated_views
from handloom.estimators.view_crops import HandCrops, boxes_of, corners, disturbed
from handloom.metrics.boxes import intersection_over_union
from handloom.metrics.pose import PCKRange, auc, joint_errors, pck

ROUNDS = 3
TRIANGULATED, EGO, ALGEBRAIC = "2D + triangulation", "egocentric only", "algebraic"
PCK_RANGE = PCKRange(20, 21)
"""AUC over 0 ... 20 mm in steps of 1 mm: the paper does not tell, and its numbers allow hardly more."""
THRESHOLD_RAD = 0.027
"""A view that is off by more is wrong: 1.5 % of the diagonal of a picture of 1920 x 1080, in angle."""


@dataclass(frozen=True)
class BoxNoise:
    """How a detector's boxes differ from true ones.

    Attributes:
        shift: standard deviation of the middle, each way, in sides of the box.
        scale: standard deviation of the logarithm of the side.
        both: how often a box holds both hands.
    """

    shift: float = 0.12
    scale: float = 0.2
    both: float = 0.1


@dataclass(frozen=True, eq=False)
class Estimates:
    """Hands of one recording by every method.

    Attributes:
        hands: with the truth.
        joints: by name of the method; NaN where it says nothing.
        outlines: what each round's crops held, on the planes of the kept pictures.
        overlap: intersection over union of the boxes at the start with true ones.
    """

    hands: LabelledHands
    joints: Mapping[str, Float[np.ndarray, "hands 21 3"]]
    outlines: Mapping[str, Float[np.ndarray, "hands views n 2"]]
    overlap: Float[np.ndarray, "hands views"]


def round_name(number: int) -> str:
    """R1, R2, ..."""
    return f"MVExoNet-R{number}"


def estimate(hands: LabelledHands, annotator: Annotator, noise: BoxNoise, seed: int, rounds: int = ROUNDS) -> Estimates:
    """Every method on the hands of a recording: the fixed cameras see them, or for `EGO` those of the headset.

    The first round's boxes are true ones made imperfect; its volume lies about the hand by 2D and triangulation
    on the same boxes.
    """
    rng = np.random.default_rng((seed, hands.frame.size, *hands.name.encode()))
    true_boxes = boxes_of(hands.crops.plane(hands.joints_m))
    boxes = _detected(hands, true_boxes, noise, rng)
    joints: dict[str, np.ndarray] = {}
    for method, views in ((EGO, hands.moving), (TRIANGULATED, ~hands.moving)):
        if views.sum() >= 2:
            crops = hands.crops.of(np.arange(len(hands.left)), views)
            joints[method] = _two_stage(annotator, crops, hands.left, corners(boxes[:, views]))
    views = ~hands.moving
    if views.sum() < 2:
        raise InputError(f"{hands.name} has {views.sum()} cameras that stand still; the rounds need two or more")
    crops = hands.crops.of(np.arange(len(hands.left)), views)
    outlines = {}
    outline = corners(boxes[:, views])
    for number, found in enumerate(annotator.rounds(crops, hands.left, outline, joints[TRIANGULATED], rounds), 1):
        joints[round_name(number)], outlines[round_name(number)] = found.joints, outline
        if number == 1:
            joints[ALGEBRAIC] = found.algebraic
        outline = crops.plane(found.joints)
    return Estimates(hands, joints, outlines, intersection_over_union(boxes, true_boxes)[:, views])


def scores(estimates: Sequence[Estimates], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """MPJPE in millimetres and AUC of PCK in per cent of every method, in the world, nothing aligned.

    A joint that a method says nothing of counts as off by more than the range, and is not in its MPJPE but counted.
    """
    out: dict[str, dict[str, Any]] = {}
    for method in methods:
        parts = [_errors(item, method) for item in estimates if method in item.joints]
        if not parts:
            continue
        errors = np.concatenate(parts)
        known = np.isfinite(errors)
        far = np.where(known, errors, 1.0)[:, None]
        out[method] = {
            "mpjpe_mm": 1000 * float(errors[known].mean()) if known.any() else None,
            "median_mm": 1000 * float(np.median(errors[known])) if known.any() else None,
            "auc": 100 * auc(pck(far, PCK_RANGE), PCK_RANGE),
            "hands": len(errors),
            "joints_without": int((~known).sum()),
        }
    return out


def _errors(item: Estimates, method: str) -> Float[np.ndarray, "hands 21"]:
    found, truth = item.joints[method][:, None], item.hands.joints_m[:, None]
    return joint_errors(found, truth, np.isfinite(found).all(-1))[:, 0]


def _two_stage(annotator: Annotator, crops: HandCrops, left: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Every view by itself, then triangulated; needs no root."""
    found = annotator.alone(annotator.closer(crops, outline), left)
    return triangulated_views(found, crops, THRESHOLD_RAD)


def _detected(
    hands: LabelledHands, true_boxes: Float[np.ndarray, "hands views 4"], noise: BoxNoise, rng: np.random.Generator
) -> Float[np.ndarray, "hands views 4"]:
    boxes = true_boxes.copy()
    for row in range(len(boxes)):
        other = np.flatnonzero((hands.frame == hands.frame[row]) & (hands.left != hands.left[row]))
        both = rng.uniform(size=boxes.shape[1]) < noise.both
        if len(other):
            pair = np.concatenate([hands.joints_m[row], hands.joints_m[other[0]]])
            held = boxes_of(hands.crops.of(np.array([row])).plane(pair[None]))[0]
            boxes[row, both] = held[both]
    return disturbed(boxes, rng, noise.shift, noise.scale)
