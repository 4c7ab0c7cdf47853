"""Actions on a timeline from HTT's clips: one for a short video, segments for a long one."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from handloom.hands import ActionSegment

SHORTEST_S = 1.0
"""Segments shorter than this go to their neighbours: nobody opens a box in less."""
WINDOWS = (3 / 16, 3 / 8)
"""Lengths of sliding windows, in clips. Of H2O's 8.5 s that is 1.6 and 3.2 s: about as long as short and usual actions;
a whole clip would hold two or three. Chosen on simulated recordings of validation."""
HOP = 1 / 32
"""From window to window, in clips."""
_BATCH = 64


def window_starts(frames: int, window: int, hop: int) -> list[int]:
    """Starts of windows that cover all frames, the last one ending with them."""
    return [0] if frames <= window else [*range(0, frames - window, hop), frames - window]


def covered_mean(
    frames: int, window: int, starts: list[int], probabilities: Float[np.ndarray, "windows actions"]
) -> Float[np.ndarray, "frames actions"]:
    """For every frame the mean of the windows that cover it."""
    total, count = np.zeros((frames, probabilities.shape[1])), np.zeros((frames, 1))
    for start, row in zip(starts, probabilities):
        total[start : start + window] += row
        count[start : start + window] += 1
    return total / count


def mean_over_lanes(
    times_s: Float[np.ndarray, "T"], lanes: list[np.ndarray], probabilities: list[np.ndarray]
) -> Float[np.ndarray, "T actions"]:
    """For every frame the mean over lanes of what each says at its frame nearest in time.

    Args:
        times_s: of all frames.
        lanes: rows of the frames of each lane.
        probabilities: (frames of the lane, actions) of each.
    """
    total: np.ndarray | float = 0.0
    for frames, rows in zip(lanes, probabilities):
        middles = (times_s[frames[1:]] + times_s[frames[:-1]]) / 2
        total = total + rows[np.searchsorted(middles, times_s)]
    return np.asarray(total / len(lanes))


def segments(
    times_s: Float[np.ndarray, "T"],
    probabilities: Float[np.ndarray, "T actions"],
    names: tuple[str, ...],
    shortest_s: float = SHORTEST_S,
) -> tuple[ActionSegment, ...]:
    """Equal neighbours merged; what is shorter than `shortest_s` goes to the nearer neighbour in time.

    A segment ends where the next frame begins; the last one a median frame interval after the last frame. Its score
    is the mean probability of its action. If all is shorter, the likeliest action of all frames takes all.
    """
    if not len(times_s):
        return ()
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else shortest_s
    edges = np.append(times_s, times_s[-1] + step)
    labels = probabilities.argmax(1)
    runs = [run for run in _runs(labels) if edges[run[1]] - edges[run[0]] >= shortest_s]
    if not runs:
        labels[:] = probabilities.sum(0).argmax()
        runs = [(0, len(labels))]
    bounds = [0, *(_border(edges, first[1], second[0]) for first, second in pairwise(runs)), len(labels)]
    for (first, _), (start, stop) in zip(runs, pairwise(bounds)):
        labels[start:stop] = labels[first]
    return tuple(
        ActionSegment(
            names[labels[first]],
            float(edges[first]),
            float(edges[last]),
            float(np.clip(probabilities[first:last, labels[first]].mean(), 0, 1)),
        )
        for first, last in _runs(labels)
    )


def vote(
    times_s: Float[np.ndarray, "T"], clips: Float[np.ndarray, "clips actions"], names: tuple[str, ...]
) -> tuple[ActionSegment, ...]:
    """The one action of a trimmed video: the largest sum of probabilities over all of its clips."""
    mean = clips.mean(0)
    return segments(times_s, np.repeat(mean[None], len(times_s), 0), names)


def lane_probabilities(
    recognise: Callable[[Float[np.ndarray, "windows window dim"]], Float[np.ndarray, "windows actions"]],
    tokens: Float[np.ndarray, "frames dim"],
    clip: int,
) -> Float[np.ndarray, "frames actions"]:
    """Block A over sliding windows of one lane: for every frame the mean of the windows of either length about it."""
    total: np.ndarray | float = 0.0
    for share in WINDOWS:
        window, hop = max(1, round(share * clip)), max(1, round(HOP * clip))
        starts = window_starts(len(tokens), window, hop)
        rows = []
        for first in range(0, len(starts), _BATCH):
            rows.append(recognise(np.stack([tokens[s : s + window] for s in starts[first : first + _BATCH]])))
        total = total + covered_mean(len(tokens), window, starts, np.concatenate(rows))
    return np.asarray(total / len(WINDOWS))


def _runs(labels: Int[np.ndarray, "T"]) -> list[tuple[int, int]]:
    """First and end of every stretch of equal labels."""
    edges = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return list(pairwise(edges))


def _border(edges: np.ndarray, end: int, start: int) -> int:
    """The frame nearest to the middle of a gap between two segments."""
    return end + int(np.abs(edges[end : start + 1] - (edges[end] + edges[start]) / 2).argmin())
