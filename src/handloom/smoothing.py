"""Smoothing over time that respects real timestamps and gaps: zero-phase for recordings, One-Euro for live use."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.linalg import solveh_banded

MAX_GAP_S = 0.5
MAX_GAP_FRAMES = 3
"""Longer gaps, in seconds and in frames, separate segments that are smoothed on their own."""
MIN_STEP_S = 1e-3
"""Frames nearer in time are smoothed as if they were so far apart: derivatives over less are noise."""
MAX_STIFFNESS = 1e12
"""Relative to the weights; beyond, double precision cannot solve the equations, and all is straight anyway."""
FEWEST_ROWS = 8
"""Of fewer rows nothing is said about their noise."""
MIN_WEIGHT = 1e-3
"""No observed row weighs less, so that the smoother's equations always have one solution."""


def smooth_zero_phase(
    times_s: Float[np.ndarray, "T"],
    values: Float[np.ndarray, "T channels"],
    cutoff_hz: float,
    weights: Float[np.ndarray, "T"] | None = None,
    bridge: bool = False,
) -> Float[np.ndarray, "T channels"]:
    """Whittaker smoother: the signal x that minimises sum w (values - x)^2 + lambda sum (second derivative of x)^2.

    Symmetric in time, so nothing is delayed; linear trends pass unchanged. lambda is set so that a sine of
    `cutoff_hz` is halved. Rows with any NaN are missing: they get weight 0 and stay NaN.

    Args:
        times_s: strictly increasing.
        values: NaN rows where missing.
        cutoff_hz: frequencies above are removed; lower is smoother.
        weights: how far each row is trusted, any positive scale around 1.
        bridge: give values in gaps of up to `MAX_GAP_S`, too, as smooth as those around them.

    Source: Eilers, "A perfect smoother", Analytical Chemistry 75 (2003).
    """
    seen = np.isfinite(values).all(1)
    smooth = np.full_like(values, np.nan, dtype=np.float64)
    for rows in _segments(times_s, seen):
        present = seen[rows]
        w = np.where(present, 1.0 if weights is None else np.maximum(weights[rows], MIN_WEIGHT), 0.0)
        observed = np.where(present[:, None], values[rows], 0.0)
        smooth[rows] = _whittaker(times_s[rows], observed, w, cutoff_hz) if len(w) > 2 else observed
    if not bridge:
        smooth[~seen] = np.nan
    return smooth


def cutoff_by_cross_validation(
    times_s: Float[np.ndarray, "T"], values: Float[np.ndarray, "T channels"], cutoffs_hz: Sequence[float]
) -> float:
    """The cutoff with which `smooth_zero_phase` foretells left-out rows best, if the error of each row is its own.

    Generalised cross-validation, which needs no left-out row (Craven and Wahba, Numerische Mathematik 31, 1979).
    Errors that hang on from row to row, such as those of a tracker that smooths, are taken for motion. The highest
    cutoff if there are too few rows to tell.
    """
    seen = np.isfinite(values).all(1)
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else MIN_STEP_S
    turns = 2 - 2 * np.cos(np.linspace(0, np.pi, 256))
    risks = []
    for cutoff in cutoffs_hz:
        left = (values - smooth_zero_phase(times_s, values, cutoff))[seen]
        # What a row has in its own smooth value, on even times and far from the ends.
        own = float(np.mean(1 / (1 + (2 * np.pi * cutoff) ** -4 * (turns / step**2) ** 2)))
        risks.append(float((left**2).mean()) / (1 - own) ** 2 if seen.sum() > FEWEST_ROWS else np.inf)
    return cutoffs_hz[int(np.argmin(risks))] if np.isfinite(risks).any() else max(cutoffs_hz)


def _segments(times_s: np.ndarray, seen: np.ndarray) -> list[slice]:
    rows = np.flatnonzero(seen)
    if len(rows) == 0:
        return []
    longest = max(MAX_GAP_S, MAX_GAP_FRAMES * float(np.median(np.diff(times_s)))) if len(times_s) > 1 else MAX_GAP_S
    cuts = np.flatnonzero(np.diff(times_s[rows]) > longest)
    starts = np.concatenate([[rows[0]], rows[cuts + 1]])
    ends = np.concatenate([rows[cuts], [rows[-1]]])
    return [slice(int(a), int(b) + 1) for a, b in zip(starts, ends)]


def _whittaker(times_s: np.ndarray, values: np.ndarray, weights: np.ndarray, cutoff_hz: float) -> np.ndarray:
    T = len(times_s)
    step = np.maximum(np.diff(times_s), MIN_STEP_S)
    # Second derivative at each inner frame on uneven times: D[k] acts on rows k, k+1, k+2.
    a, b = step[:-1], step[1:]
    D = np.stack([2 / (a * (a + b)), -2 / (a * b), 2 / (b * (a + b))], 1)
    stiffness = min((2 * np.pi * cutoff_hz) ** -4, MAX_STIFFNESS / float((D**2).max()))
    bands = np.zeros((3, T))
    bands[0] = weights
    for row in range(3):
        for column in range(row, 3):
            bands[column - row, row : row + T - 2] += stiffness * D[:, row] * D[:, column]
    return np.asarray(solveh_banded(bands, weights[:, None] * values, lower=True))


class OneEuro:
    """One-Euro filter: a causal low-pass whose cutoff rises with speed; slow motion is steady, fast motion is prompt.

    Args:
        min_cutoff_hz: cutoff at rest; lower is smoother.
        beta: how much the cutoff rises, in Hz per unit per second.
        speed_cutoff_hz: cutoff of the speed estimate.

    Source: Casiez, Roussel, Vogel, "1 Euro filter", CHI 2012.
    """

    def __init__(self, min_cutoff_hz: float, beta: float, speed_cutoff_hz: float = 1.0):
        self.min_cutoff_hz = min_cutoff_hz
        self.beta = beta
        self.speed_cutoff_hz = speed_cutoff_hz
        self._time_s: float | None = None
        self._value = np.zeros(0)
        self._speed = np.zeros(0)

    def push(self, time_s: float, value: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Filter one sample; NaN stays NaN. After a gap longer than `MAX_GAP_S` the filter starts afresh."""
        if self._time_s is None or time_s - self._time_s > MAX_GAP_S:
            self._value, self._speed = np.full(value.shape, np.nan), np.zeros(value.shape)
            dt = MIN_STEP_S
        else:
            dt = max(time_s - self._time_s, MIN_STEP_S)
        self._time_s = time_s
        seen, known = np.isfinite(value), np.isfinite(self._value)
        before = np.where(known, self._value, value)
        step = np.where(seen, (value - before) / dt - self._speed, 0.0)
        self._speed = np.asarray(self._speed + _gain(self.speed_cutoff_hz, dt) * step)
        cutoff = self.min_cutoff_hz + self.beta * np.abs(self._speed)
        filtered = before + _gain(cutoff, dt) * (value - before)
        self._value = np.where(seen, filtered, self._value)
        return np.asarray(filtered)


def _gain(cutoff_hz: np.ndarray | float, dt: float) -> np.ndarray | float:
    r = 2 * np.pi * cutoff_hz * dt
    return r / (r + 1)
