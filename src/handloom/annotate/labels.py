"""Stage 5: what is a label and what is not: temporal clean-up, confidence, metric scale."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.errors import InputError
from handloom.hands import ScaleSource
from handloom.skeleton import BONES, MIDDLE_MCP, WRIST
from handloom.smoothing import smooth_zero_phase

FILLED_FRAMES = 3
"""Gaps of so many frames between labels are filled from the solution, with no view to their name."""
_FILLED_CONFIDENCE = 0.1
_LEAST_JOINTS = 8
"""A hand with fewer valid joints is none."""
_PALM_M = (0.05, 0.14)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of a recording, in metres.

    Attributes:
        joints_m: in the world; NaN where not valid.
        valid: which joints exist.
        confidence: 0 ... 1, see `label_confidence`.
        views: how many views each was computed from; 0 for a filled gap.
        reprojection_px: mean over these views.
    """

    joints_m: Float[np.ndarray, "T 2 21 3"]
    valid: Bool[np.ndarray, "T 2 21"]
    confidence: Float[np.ndarray, "T 2 21"]
    views: Int[np.ndarray, "T 2 21"]
    reprojection_px: Float[np.ndarray, "T 2 21"]


def clean_labels(
    joints: Float[np.ndarray, "T 2 21 3"],
    views: Int[np.ndarray, "T 2 21"],
    error_px: Float[np.ndarray, "T 2 21"],
    score: Float[np.ndarray, "T 2 21"],
    times_s: Float[np.ndarray, "T"],
    threshold_px: float,
    unit_m: float,
    smooth_hz: float | None,
) -> Labels:
    """Joints that two views agree on, with short gaps filled; scraps are no hands.

    Args:
        joints: the solution, in the calibration's unit.
        views: number of views that agree with it.
        error_px: their mean reprojection error.
        score: their mean weight.
        times_s: of the frames.
        threshold_px: from which error on a view disagrees.
        unit_m: metres per unit.
        smooth_hz: remove motion faster than this; None leaves it.
    """
    valid = (views >= 2) & np.isfinite(joints).all(-1)
    valid &= (valid.sum(-1) >= _LEAST_JOINTS)[..., None]
    filled = _short_gaps(valid) & np.isfinite(joints).all(-1)
    confidence = np.where(valid, label_confidence(views, error_px, score, threshold_px), 0.0)
    confidence = np.where(filled, _FILLED_CONFIDENCE, confidence)
    views = np.where(filled, 0, views)
    valid = valid | filled
    metres = joints * unit_m
    if smooth_hz is not None:
        channels = np.where(valid[..., None], metres, np.nan).transpose(1, 2, 0, 3)
        weights = confidence.transpose(1, 2, 0)
        smooth = [[smooth_zero_phase(times_s, c, smooth_hz, w) for c, w in zip(*h)] for h in zip(channels, weights)]
        metres = np.array(smooth).transpose(2, 0, 1, 3)
    return Labels(
        np.where(valid[..., None], metres, np.nan),
        valid,
        confidence,
        np.where(valid, views, 0),
        np.where(valid & (views > 0), error_px, np.nan),
    )


def label_confidence(
    views: Int[np.ndarray, "*shape"],
    error_px: Float[np.ndarray, "*shape"],
    score: Float[np.ndarray, "*shape"],
    threshold_px: float,
) -> Float[np.ndarray, "*shape"]:
    """score * (1 - 2^(1 - views)) * exp(-(error / threshold)^2): half for two views, more for each further one."""
    agreement = np.exp(-((np.nan_to_num(error_px) / threshold_px) ** 2))
    return np.asarray(np.clip(score, 0, 1) * (1 - 0.5 ** np.maximum(views - 1, 0)) * agreement)


def metric_scale(
    lengths: Float[np.ndarray, "20"],
    known_unit_m: float | None,
    hand_size_mm: float | None,
    detector_size_m: float,
    palm: float,
) -> tuple[float, ScaleSource]:
    """Metres per unit of the calibration.

    Args:
        lengths: of the bones, in the calibration's unit.
        known_unit_m: what the user or the calibration says.
        hand_size_mm: wrist to middle knuckle, where the user says it.
        detector_size_m: total bone length of the detector's average hand.
        palm: wrist to middle knuckle, in the calibration's unit.

    Raises:
        InputError: with the unit that was given, hands are far from the size of hands.
    """
    if known_unit_m is not None:
        size = palm * known_unit_m
        if not _PALM_M[0] < size < _PALM_M[1]:
            raise InputError(
                f"with {known_unit_m:g} m per unit of the calibration the palm is {size:.3g} m long (wrist to middle "
                f"knuckle), a real one about 0.09 m; a unit of about {0.09 / palm:.2g} m would fit: give --unit-m"
            )
        return known_unit_m, ScaleSource.MEASURED
    if hand_size_mm is not None:
        return hand_size_mm / 1000 / palm, ScaleSource.HAND_SIZE
    for unit_m in (1.0, 0.001):
        if _PALM_M[0] < palm * unit_m < _PALM_M[1]:
            return unit_m, ScaleSource.MEASURED
    return detector_size_m / float(np.nansum(lengths)), ScaleSource.TRACKER


def palm_length(lengths: Float[np.ndarray, "20"]) -> float:
    """Wrist to middle knuckle among the lengths of `BONES`."""
    return float(lengths[BONES.index((WRIST, MIDDLE_MCP))])


def _short_gaps(valid: Bool[np.ndarray, "T 2 21"]) -> Bool[np.ndarray, "T 2 21"]:
    """Frames without a label, between two with one, in runs of at most `FILLED_FRAMES`."""
    T = len(valid)
    number = np.arange(T)[:, None, None]
    before = np.maximum.accumulate(np.where(valid, number, -T), axis=0)
    after = np.minimum.accumulate(np.where(valid, number, 2 * T)[::-1], axis=0)[::-1]
    return np.asarray(~valid & (after - before - 1 <= FILLED_FRAMES))
