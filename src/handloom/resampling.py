"""Tracks at another frame rate: joints interpolated between frames that hold them."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from handloom.errors import InputError

LONGEST_STEP_S = 0.15
"""Joints are interpolated between sightings at most so far apart: 10 frames per second and a little jitter."""

Item = TypeVar("Item")


def evenly_chosen(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, the first and the last among them. Raises InputError if none is wanted."""
    if count < 1:
        raise InputError(f"the limit must be 1 or more, found {count}")
    if len(items) <= count:
        return list(items)
    return [items[k] for k in np.linspace(0, len(items) - 1, count).round().astype(int)]


def even_times(first_s: float, last_s: float, frame_rate: float) -> Float[np.ndarray, "T"]:
    """Times from first to last, inclusive, at a constant rate."""
    return first_s + np.arange(int((last_s - first_s) * frame_rate + 1e-6) + 1) / frame_rate


def resample_joints(
    times_s: Float[np.ndarray, "T"],
    joints_m: Float[np.ndarray, "T 2 21 3"],
    valid: Bool[np.ndarray, "T 2 21"],
    wanted_s: Float[np.ndarray, "N"],
) -> tuple[Float[np.ndarray, "N 2 21 3"], Bool[np.ndarray, "N 2 21"]]:
    """Joints at other times, linear between the frame before and the frame behind; both must hold the joint.

    Args:
        times_s: strictly increasing.
        joints_m, valid: what is known.
        wanted_s: the times that are wanted; outside of `times_s` nothing is valid.

    Raises:
        InputError: no frames.
    """
    if not len(times_s):
        raise InputError("a track without frames cannot be resampled")
    behind = np.clip(np.searchsorted(times_s, wanted_s), 1, max(len(times_s) - 1, 1)).clip(max=len(times_s) - 1)
    before = np.maximum(behind - 1, 0)
    step = times_s[behind] - times_s[before]
    share = np.where(step > 0, (wanted_s - times_s[before]) / np.where(step > 0, step, 1), 0.0)
    # Times that differ by rounding are the same: such a frame is taken as it is, whatever its neighbour holds.
    share = np.where(np.abs(share) < 1e-3, 0.0, np.where(np.abs(share - 1) < 1e-3, 1.0, share))
    inside = (share >= 0) & (share <= 1) & ((step <= LONGEST_STEP_S) | (share == 0) | (share == 1))
    near, far = (share < 1)[:, None, None], (share > 0)[:, None, None]
    known = inside[:, None, None] & (valid[before] | ~near) & (valid[behind] | ~far)
    weight = share[:, None, None, None]
    # A frame that has no part in the result may hold NaN.
    start = np.where(near[..., None], joints_m[before], 0.0)
    end = np.where(far[..., None], joints_m[behind], 0.0)
    mixed = (1 - weight) * start + weight * end
    return np.where(known[..., None], mixed, np.nan), known
