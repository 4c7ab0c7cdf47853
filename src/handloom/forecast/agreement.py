"""A motion that a network made brought into line with what a tracker saw.

A network knows how hands move; where they are and how this person's are shaped, the tracker says better, as long as it
says so for more than a moment. So the difference of both is smoothed and added to the network's motion: what is slow is
the tracker's, what is fast the network's. How slow is found from the data, for each hand, for its path and for its
shape: where a tracker hardly jitters, its own neighbouring frames foretell a frame best, and nearly nothing is changed.
"""

import numpy as np
from jaxtyping import Bool, Float

from handloom.skeleton import PALM
from handloom.smoothing import cutoff_by_cross_validation, smooth_zero_phase

CUTOFFS_HZ = (0.25, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 20.0)


def smoothed(
    seen_m: Float[np.ndarray, "T 2 21 3"], known: Bool[np.ndarray, "T 2 21"], frame_rate: float
) -> Float[np.ndarray, "T 2 21 3"]:
    """What a tracker saw, without what is too fast to be told from noise; see `in_line`. NaN where it saw nothing."""
    return np.where(known[..., None], in_line(np.zeros_like(seen_m), seen_m, known, frame_rate), np.nan)


def in_line(
    made_m: Float[np.ndarray, "T 2 21 3"],
    seen_m: Float[np.ndarray, "T 2 21 3"],
    known: Bool[np.ndarray, "T 2 21"],
    frame_rate: float,
) -> Float[np.ndarray, "T 2 21 3"]:
    """The made motion with the slow part of its difference from what was seen.

    Args:
        made_m: joints in every frame in which they are wanted.
        seen_m: what the tracker said.
        known: which of it counts.
        frame_rate: of both.
    """
    times = np.arange(len(made_m)) / frame_rate
    out = made_m.copy()
    for hand in range(made_m.shape[1]):
        whole = np.asarray(known[:, hand, PALM].all(-1))
        if not whole.any():
            continue
        apart = np.where(known[:, hand, :, None], seen_m[:, hand] - made_m[:, hand], np.nan)
        path = np.where(whole[:, None], apart[:, PALM].mean(1), np.nan)
        shape = (apart - path[:, None]).reshape(len(times), -1)
        out[:, hand] += _slow(times, path)[:, None] + _slow(times, shape).reshape(len(times), -1, 3)
    return out


def _slow(times_s: Float[np.ndarray, "T"], values: Float[np.ndarray, "T channels"]) -> Float[np.ndarray, "T channels"]:
    """The slow part of all channels, with one cutoff; those with the same gaps are smoothed together."""
    gaps, which = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    groups = [np.flatnonzero(which == k) for k in range(gaps.shape[1]) if gaps[:, k].any()]
    largest = max(groups, key=len, default=np.zeros(0, int))
    slow = np.zeros_like(values)
    if len(largest):
        cutoff = cutoff_by_cross_validation(times_s, values[:, largest], CUTOFFS_HZ)
        for channels in groups:
            slow[:, channels] = smooth_zero_phase(times_s, values[:, channels], cutoff, bridge=True)
    return np.nan_to_num(slow)
