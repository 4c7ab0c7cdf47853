"""What can be measured on one `HandTrack` without ground truth: coverage, speed, jitter, bone lengths.

Everything is per hand (index 0 left, 1 right), in the record's own frame and units (metres, seconds, pixels),
and NaN where it cannot be known: gaps, missing joints, too few frames. Derivatives are Newton's divided
differences over the exact timestamps, so they hold for variable frame rates; a window is used only if all its
frames are valid and adjacent in the record. Every value sits at the last frame of its window.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.hands import HandTrack
from handloom.metrics.means import known_mean
from handloom.skeleton import BONES, MIDDLE_MCP, PALM_BONES, WRIST, bone_lengths

PALM_BONE_INDICES = tuple(BONES.index(bone) for bone in PALM_BONES)


@dataclass(frozen=True)
class HandSummary:
    """The headline numbers of one hand; NaN where they cannot be known.

    Attributes:
        frames: frames with the hand. coverage: their share of all frames, 0 ... 1.
        longest_gap_s: longest time without the hand between two sightings; 0 without a gap, NaN for a hand
            never seen.
        speed_m_s, speed_95_m_s: median and 95th percentile of the wrist's speed.
        jitter_m_s3: see `jitter`. high_pass_px: see `high_pass_rms`.
        palm_spread: see `palm_spread`. hand_size_m: see `hand_size`.
    """

    frames: int
    coverage: float
    longest_gap_s: float
    speed_m_s: float
    speed_95_m_s: float
    jitter_m_s3: float
    high_pass_px: float
    palm_spread: float
    hand_size_m: float


def summarise(track: HandTrack) -> tuple[HandSummary, HandSummary]:
    """The headline numbers of the left and the right hand."""
    moving, jerky, shaky = speed(track), jitter(track), high_pass_rms(track)
    palm, size, covered = palm_spread(track), hand_size(track), coverage(track)

    def one(hand: int) -> HandSummary:
        known = moving[np.isfinite(moving[:, hand]), hand]
        median, high = np.percentile(known, [50, 95]) if known.size else (np.nan, np.nan)
        return HandSummary(
            frames=int(track.present[:, hand].sum()),
            coverage=float(covered[hand]),
            longest_gap_s=float(max(gap_lengths(track, hand), default=0.0 if track.present[:, hand].any() else np.nan)),
            speed_m_s=float(median),
            speed_95_m_s=float(high),
            jitter_m_s3=float(jerky[hand]),
            high_pass_px=float(shaky[hand]),
            palm_spread=float(palm[hand]),
            hand_size_m=float(size[hand]),
        )

    return one(0), one(1)


def coverage(track: HandTrack) -> Float[np.ndarray, "2"]:
    """Share of the frames in which each hand exists, 0 ... 1; NaN for a record without frames."""
    return known_mean(track.present.astype(np.float64))


def runs(present: Bool[np.ndarray, "T"]) -> Int[np.ndarray, "runs 2"]:
    """Maximal stretches of True as (first frame, one past the last); `runs(~present)` are the gaps."""
    edges = np.diff(np.concatenate([[False], present, [False]]).astype(np.int8))
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def gap_lengths(track: HandTrack, hand: int) -> Float[np.ndarray, "gaps"]:
    """Seconds from each last sighting of the hand to the next one; losses at either end are not gaps."""
    seen = runs(track.present[:, hand])
    gaps: np.ndarray = track.times_s[seen[1:, 0]] - track.times_s[seen[:-1, 1] - 1]
    return gaps


def speed(track: HandTrack) -> Float[np.ndarray, "T 2"]:
    """Wrist speed over the interval that ends at each frame, m/s."""
    return _length(_derivative(track.times_s, track.joints_m[:, :, WRIST], 1))


def acceleration(track: HandTrack) -> Float[np.ndarray, "T 2"]:
    """Size of the wrist's acceleration over each window of 3 frames, m/s²."""
    return _length(_derivative(track.times_s, track.joints_m[:, :, WRIST], 2))


def jerk(track: HandTrack) -> Float[np.ndarray, "T 2"]:
    """Mean over the valid joints of ‖Δ³p‖·fps³ in each window of 4 frames, m/s³, from exact times."""
    return known_mean(_joint_jerk(track), axis=2)


def jitter(track: HandTrack) -> Float[np.ndarray, "2"]:
    """Self-jitter without ground truth: mean ‖Δ³p‖·fps³ over joints and windows of 4 valid frames, m/s³."""
    return known_mean(_joint_jerk(track), axis=(0, 2))


def high_pass_rms(track: HandTrack) -> Float[np.ndarray, "2"]:
    """Root mean square length of the high-pass part of the keypoints, pixels.

    The high-pass filter is the fourth difference over 5 valid frames, with the weights of the fourth divided
    difference (1, -4, 6, -4, 1 at constant rate) brought to unit Euclidean length. It is blind to any motion
    up to cubic in time and gives white noise of σ px per axis back as √2·σ. Joints and windows are pooled.
    """
    filtered = _windows(_difference_weights(track.times_s, 4, unit=True), track.keypoints_px)
    rms: np.ndarray = np.sqrt(known_mean((filtered**2).sum(-1), axis=(0, 2)))
    return rms


def bone_spread(track: HandTrack) -> Float[np.ndarray, "2 20"]:
    """Coefficient of variation (standard deviation / mean) of each bone's length over time; 0 if rigid."""
    lengths = bone_lengths(track.joints_m).astype(np.float64)
    mean = known_mean(lengths)
    deviation = np.sqrt(known_mean((lengths - mean) ** 2))
    enough = np.isfinite(lengths).sum(0) > 1
    return np.where(enough & (mean > 0), deviation / np.where(mean > 0, mean, 1), np.nan)


def palm_spread(track: HandTrack) -> Float[np.ndarray, "2"]:
    """Mean coefficient of variation of the four palm bones of `skeleton.PALM_BONES`."""
    spread: np.ndarray = bone_spread(track)[:, PALM_BONE_INDICES].mean(-1)
    return spread


def hand_size(track: HandTrack) -> Float[np.ndarray, "2"]:
    """Median distance from wrist to middle knuckle, metres."""
    lengths = bone_lengths(track.joints_m)[:, :, BONES.index((WRIST, MIDDLE_MCP))]
    return np.array([np.median(known) if (known := hand[np.isfinite(hand)]).size else np.nan for hand in lengths.T])


def _joint_jerk(track: HandTrack) -> Float[np.ndarray, "T 2 21"]:
    return _length(_derivative(track.times_s, track.joints_m, 3))


def _length(vectors: Float[np.ndarray, "*rest dim"]) -> Float[np.ndarray, "*rest"]:
    lengths: np.ndarray = np.linalg.norm(vectors, axis=-1)
    return lengths


def _derivative(
    times: Float[np.ndarray, "T"], values: Float[np.ndarray, "T *rest"], order: int
) -> Float[np.ndarray, "T *rest"]:
    return _windows(factorial(order) * _difference_weights(times, order), values)


def _difference_weights(
    times: Float[np.ndarray, "T"], order: int, unit: bool = False
) -> Float[np.ndarray, "windows points"]:
    """Weights of the divided difference f[t₀ … tₙ] = Σ f(tᵢ) / Π_{j≠i}(tᵢ - tⱼ), a row for every window."""
    if len(times) <= order:
        return np.empty((0, order + 1))
    window = np.lib.stride_tricks.sliding_window_view(times, order + 1)
    steps = window[:, :, None] - window[:, None, :] + np.eye(order + 1)
    weights: np.ndarray = 1 / steps.prod(-1)
    return weights / _length(weights)[:, None] if unit else weights


def _windows(
    weights: Float[np.ndarray, "windows points"], values: Float[np.ndarray, "T *rest"]
) -> Float[np.ndarray, "T *rest"]:
    """Weighted sum of each window at its last frame; NaN where the window is incomplete."""
    result = np.full(values.shape, np.nan)
    count, points = weights.shape
    if count:
        spread = weights.T.reshape(points, count, *(1,) * (values.ndim - 1))
        result[points - 1 :] = sum(spread[i] * values[i : i + count] for i in range(points))
    return result
