"""How well boxes of hands are found: average precision, recall, and whether they are the right hand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from handloom.metrics.means import known_mean
from handloom.skeleton import HANDS, LEFT, RIGHT

OVERLAP = 0.5
"""A hand is found by a box with at least this intersection over union."""


class JudgedPicture(NamedTuple):
    """What was found in a picture, and what is there.

    Attributes:
        boxes_px: that were found: x0, y0, x1, y1.
        scores: how sure, 0 ... 1.
        right: whether it is said to be a right hand.
        true_px: boxes of the left and the right hand; NaN for none.
        counted: False: it may be found or not, being hidden or cut off.
    """

    boxes_px: Float[np.ndarray, "n 4"]
    scores: Float[np.ndarray, "n"]
    right: Bool[np.ndarray, "n"]
    true_px: Float[np.ndarray, "2 4"]
    counted: Bool[np.ndarray, "2"]


def intersection_over_union(
    a: Float[np.ndarray, "*#batch 4"], b: Float[np.ndarray, "*#batch 4"]
) -> Float[np.ndarray, "..."]:
    """Of boxes x0, y0, x1, y1; NaN where one is, 0 of two without area."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)]
    union = areas[0] + areas[1] - common
    return np.asarray(common / np.where(union > 0, union, np.where(union <= 0, 1.0, np.nan)))


class BoxScores(NamedTuple):
    """Scores of a detector; None where nothing can be said.

    Attributes:
        ap: average precision at an overlap of 0.5, left and right hands apart, then the mean of both: a box that is
            called the other hand is wrong (area under the curve of precision, made to fall, over recall).
        recall: share of the hands that are found, whatever they are called.
        side_accuracy: of these, share of those called what they are.
        overlap: of these, mean intersection over union.
        false_per_picture: boxes that are no hand.
        found, hands, pictures: how many.
    """

    ap: float | None
    recall: float | None
    side_accuracy: float | None
    overlap: float | None
    false_per_picture: float | None
    found: int
    hands: int
    pictures: int


def box_scores(pictures: Sequence[JudgedPicture], threshold: float) -> BoxScores:
    """How well hands are found.

    Args:
        pictures: all that the detector was shown.
        threshold: what is less sure is no hand; of the average precision all counts.
    """
    overlaps: list[float] = []
    named: list[bool] = []
    false = hands = 0
    for picture in pictures:
        own = _only(picture, picture.scores >= threshold)
        owner = _owners(own, (LEFT, RIGHT))
        hands += int((picture.counted & np.isfinite(picture.true_px[:, 0])).sum())
        false += int((owner == _NOTHING).sum())
        for box, hand in enumerate(owner.tolist()):
            if hand >= 0:
                overlaps.append(float(intersection_over_union(own.boxes_px[box], own.true_px[hand])))
                named.append(bool(own.right[box]) == bool(hand))
    ap = float(known_mean(np.array([_average_precision(pictures, hand) for hand in (LEFT, RIGHT)])))
    return BoxScores(
        ap=None if np.isnan(ap) else ap,
        recall=len(named) / hands if hands else None,
        side_accuracy=float(np.mean(named)) if named else None,
        overlap=float(np.mean(overlaps)) if named else None,
        false_per_picture=false / len(pictures) if pictures else None,
        found=len(named),
        hands=hands,
        pictures=len(pictures),
    )


_NOTHING, _IGNORED = -1, -2


def _only(picture: JudgedPicture, rows: Bool[np.ndarray, "n"]) -> JudgedPicture:
    """Some of the boxes."""
    return picture._replace(boxes_px=picture.boxes_px[rows], scores=picture.scores[rows], right=picture.right[rows])


def _owners(picture: JudgedPicture, hands: Sequence[int]) -> np.ndarray:
    """The hand that each box found, by falling score each the one of `hands` that it overlaps most; `_NOTHING`, or
    `_IGNORED` for one that does not count."""
    overlap = np.zeros((len(picture.scores), len(HANDS)))
    for hand in hands:
        overlap[:, hand] = intersection_over_union(picture.boxes_px, picture.true_px[hand])
    overlap = np.where(overlap >= OVERLAP, overlap, 0.0)
    owner, free = np.full(len(overlap), _NOTHING), np.ones(len(HANDS), bool)
    for box in np.argsort(-picture.scores, kind="stable"):
        left = np.where(free, overlap[box], 0.0)
        hand = int(left.argmax())
        if left[hand] > 0:
            owner[box] = hand if picture.counted[hand] else _IGNORED
            free[hand] &= not picture.counted[hand]
    return owner


def _average_precision(pictures: Sequence[JudgedPicture], hand: int) -> float:
    """Of the hands of one side; NaN if there are none."""
    scores: list[float] = []
    right: list[bool] = []
    count = 0
    for picture in pictures:
        own = _only(picture, picture.right == bool(hand))
        owner = _owners(own, (hand,))
        count += int(picture.counted[hand] and np.isfinite(picture.true_px[hand, 0]))
        scores += own.scores[owner != _IGNORED].tolist()
        right += (owner[owner != _IGNORED] == hand).tolist()
    if not count:
        return float("nan")
    order = np.argsort(-np.array(scores), kind="stable")
    hits = np.cumsum(np.array(right, bool)[order])
    precision = hits / np.arange(1, len(hits) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float((falling * np.diff(hits, prepend=0)).sum() / count)
