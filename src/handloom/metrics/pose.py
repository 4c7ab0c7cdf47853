"""Errors of 3D hand poses against ground truth: MEPE, PCK and AUC, as the evaluation of HTT defines them.

Errors are distances per frame, hand and joint in metres, NaN where there is nothing to compare. Three spaces:

- camera space: positions as they are, all 21 joints;
- root-aligned (RA): per frame and hand, the root of the prediction is moved onto that of the truth; the root itself is
  then left out, which leaves 20 joints. No rotation, no scale. Another root gives other numbers, so it is named;
- Procrustes (PA): per frame and hand, the similarity (rotation, translation, scale, no reflection) that fits best. It
  hides errors of depth, scale and orientation, and says little without the camera-space number beside it.

Averaging: per joint over the frames in which it is valid, then over joints, all weighing the same however often they
were valid; joints that never were are left out. That of pooled joints differs where some are seen more often.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Bool, Float

from handloom.geometry.alignment import align_similarity
from handloom.metrics.means import known_mean
from handloom.skeleton import WRIST


@dataclass(frozen=True)
class PCKRange:
    """Thresholds of a PCK curve: `points` of them at equal steps from 0 to `top_mm`. An AUC means nothing without."""

    top_mm: float
    points: int

    @property
    def thresholds_m(self) -> Float[np.ndarray, "points"]:
        """The thresholds in metres."""
        # Divided last: the steps are then the same floats as if typed in.
        return np.linspace(0, self.top_mm, self.points) / 1000


FPHA_CAMERA = PCKRange(80, 33)
H2O_CAMERA = PCKRange(90, 37)
ROOT_ALIGNED = PCKRange(50, 21)


@dataclass(frozen=True)
class Ranges:
    """The ranges of one evaluation; Procrustes-aligned errors use that of the root-aligned ones."""

    camera: PCKRange
    root_aligned: PCKRange = ROOT_ALIGNED


FPHA_RANGES = Ranges(FPHA_CAMERA)
"""HTT on FPHA (Table 4, Figure 4): AUC over 0 ... 80 mm, RA over 0 ... 50 mm, steps of 2.5 mm."""

H2O_RANGES = Ranges(H2O_CAMERA)
"""HTT on H2O (Table 4, Figure 5): AUC over 0 ... 90 mm, RA over 0 ... 50 mm, steps of 2.5 mm."""


def joint_errors(
    predicted_m: Float[np.ndarray, "N H joints 3"],
    truth_m: Float[np.ndarray, "N H joints 3"],
    valid: Bool[np.ndarray, "N H joints"],
) -> Float[np.ndarray, "N H joints"]:
    """Distance of every joint in camera space, metres; NaN where not valid."""
    return _lengths(predicted_m - truth_m, valid)


def root_aligned_errors(
    predicted_m: Float[np.ndarray, "N H joints 3"],
    truth_m: Float[np.ndarray, "N H joints 3"],
    valid: Bool[np.ndarray, "N H joints"],
    root: int = WRIST,
) -> Float[np.ndarray, "N H joints"]:
    """Distance after moving the root onto the true one; NaN for the root and where it or the joint is not valid."""
    difference = predicted_m - truth_m
    known = valid & valid[..., root, None]
    known[..., root] = False
    return _lengths(difference - difference[..., root, None, :], known)


def procrustes_errors(
    predicted_m: Float[np.ndarray, "N H joints 3"],
    truth_m: Float[np.ndarray, "N H joints 3"],
    valid: Bool[np.ndarray, "N H joints"],
) -> Float[np.ndarray, "N H joints"]:
    """Distance after the best similarity, fitted on the valid joints of each hand; NaN for hands with fewer than 3."""
    predicted = np.where(valid[..., None], predicted_m, np.nan)
    aligned = align_similarity(predicted, truth_m).apply(predicted)
    return _lengths(aligned - truth_m, valid)


def mepe(errors: Float[np.ndarray, "N *joints"]) -> float:
    """Mean end-point error: per joint over its valid frames, then the plain mean over joints; NaN without any."""
    return float(known_mean(joint_means(errors).ravel()))


def joint_means(errors: Float[np.ndarray, "N *joints"]) -> Float[np.ndarray, "*joints"]:
    """Mean error of every joint over the frames in which it is valid; NaN for a joint that never is."""
    return known_mean(errors, axis=0)


def joint_pck(errors: Float[np.ndarray, "N *joints"], span: PCKRange) -> Float[np.ndarray, "*joints points"]:
    """Share of the valid frames in which each joint is off by at most each threshold; NaN for a joint never valid."""
    # Sorted once, all thresholds are looked up; NaN sorts behind every number.
    columns = np.sort(errors.reshape(len(errors), prod(errors.shape[1:])).T, axis=-1)
    count = np.isfinite(columns).sum(-1)
    within = np.array([np.searchsorted(column, span.thresholds_m, side="right") for column in columns])
    share = np.where(count[:, None] > 0, within / np.maximum(count, 1)[:, None], np.nan)
    return share.reshape(*errors.shape[1:], span.points)


def pck(errors: Float[np.ndarray, "N *joints"], span: PCKRange) -> Float[np.ndarray, "points"]:
    """PCK curve: `joint_pck` averaged over the joints that were ever valid."""
    return known_mean(joint_pck(errors, span).reshape(-1, span.points))


def auc(curve: Float[np.ndarray, "points"], span: PCKRange) -> float:
    """Area under a PCK curve by the trapezoid rule, divided by the width of the range: 0 ... 1.

    Being linear, that of the mean curve is the mean of the joints' own.
    """
    return float(np.trapezoid(curve, span.thresholds_m) / span.thresholds_m[-1])


def _lengths(
    vectors: Float[np.ndarray, "N H joints 3"], known: Bool[np.ndarray, "N H joints"]
) -> Float[np.ndarray, "N H joints"]:
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))
    lengths[~known] = np.nan
    return np.asarray(lengths)
