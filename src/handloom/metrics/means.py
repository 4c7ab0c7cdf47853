"""Means over what is known."""

import numpy as np
from jaxtyping import Float


def known_mean(values: Float[np.ndarray, "..."], axis: int | tuple[int, ...] = 0) -> Float[np.ndarray, "..."]:
    """Mean of the known values in float64, NaN where there are none, without NumPy's warning about it."""
    known = np.isfinite(values)
    count = known.sum(axis)
    total = np.where(known, values, 0).sum(axis, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
