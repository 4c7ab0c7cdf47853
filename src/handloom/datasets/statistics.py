"""The numbers of meta/stats.json, exact over the whole store: last axis kept, all others pooled."""

from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}


def column_statistics(values: Shaped[np.ndarray, "N ..."]) -> dict[str, list[Any]]:
    """Statistics of a column of N frames as it is stored, masked zeros included."""
    pooled = values.reshape(-1, 1 if values.ndim == 1 else values.shape[-1]).astype(np.float64)
    moments = {"min": pooled.min(0), "max": pooled.max(0), "mean": pooled.mean(0), "std": pooled.std(0)}
    moments |= dict(zip(QUANTILES, np.quantile(pooled, list(QUANTILES.values()), axis=0)))
    return {name: value.tolist() for name, value in moments.items()} | {"count": [len(values)]}


def picture_statistics(histogram: Int[np.ndarray, "3 256"], pictures: int) -> dict[str, list[Any]]:
    """Statistics of pixels in 0 ... 1 per channel, shape (3, 1, 1), from counts of the 256 levels."""
    levels = np.arange(256) / 255
    share = histogram / histogram.sum(1, keepdims=True)
    mean = share @ levels
    moments = {
        "min": levels[(histogram > 0).argmax(1)],
        "max": levels[255 - (histogram[:, ::-1] > 0).argmax(1)],
        "mean": mean,
        "std": np.sqrt((share * (levels - mean[:, None]) ** 2).sum(1)),
    }
    cumulative = share.cumsum(1)
    moments |= {name: levels[(cumulative >= quantile - 1e-12).argmax(1)] for name, quantile in QUANTILES.items()}
    return {name: value.reshape(3, 1, 1).tolist() for name, value in moments.items()} | {"count": [pictures]}
