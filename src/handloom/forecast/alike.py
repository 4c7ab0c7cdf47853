"""What came of the moments of a track that were most like the present one: people repeat themselves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.skeleton import WRIST

ALIKE = 10
"""So many moments are asked."""
FEWEST = 20
"""With fewer to choose from, nothing is said."""
_LAGS = (2, 4, 8, 15)
_SAME_M2 = 1e-4
"""Moments nearer than 1 cm count alike."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of a recording, and what came of them.

    Attributes:
        starts: the first frames after them, increasing.
        looks: place of the wrist, joints about it, and how both moved in the last half second: metres, such that
            distances are those of a joint.
        came: ways of the joints from where they were last.
        whole: whether all of a hand's way is known.
    """

    starts: Int[np.ndarray, "W"]
    looks: Float[np.ndarray, "W 2 features"]
    came: Float[np.ndarray, "W frames 2 21 3"]
    whole: Bool[np.ndarray, "W 2"]

    @classmethod
    def of(cls, joints: Float[np.ndarray, "T 2 21 3"], starts: Int[np.ndarray, "W"], frames: int) -> "Moments":
        """Moments of a recording; of the last ones not all is known that came."""
        came = np.full((len(starts), frames, *joints.shape[1:]), np.nan)
        for row, start in enumerate(starts.tolist()):
            part = joints[start : start + frames]
            came[row, : len(part)] = part - joints[start - 1]
        looks = [_looks(joints[max(0, start - 1 - _LAGS[-1]) : start]) for start in starts.tolist()]
        whole = np.asarray(np.isfinite(came[..., WRIST, :]).all((1, 3)))
        return cls(starts, np.stack(looks) if looks else np.zeros((0, 2, 0)), np.nan_to_num(came), whole)

    def way(self, past: Float[np.ndarray, "t 2 21 3"], now: int, since: int) -> Float[np.ndarray, "frames 2 21 3"]:
        """The mean way, by likeness, of those moments since a frame of which all has come before `now`; else no way."""
        found = np.zeros(self.came.shape[1:])
        looks = _looks(past[-1 - _LAGS[-1] :])
        ended = (self.starts >= since) & (self.starts + len(found) <= now)
        for hand in range(2):
            rows = np.flatnonzero(ended & self.whole[:, hand])
            if len(rows) < FEWEST:
                continue
            distances = ((self.looks[rows, hand] - looks[hand]) ** 2).sum(-1)
            nearest = np.argsort(distances, kind="stable")[:ALIKE]
            weights = 1 / (distances[nearest] + _SAME_M2)
            found[:, hand] = np.tensordot(weights / weights.sum(), self.came[rows[nearest]][:, :, hand], 1)
        return found


def _looks(past: Float[np.ndarray, "t 2 21 3"]) -> Float[np.ndarray, "2 features"]:
    now = past[-1]
    ways = np.stack([now - past[max(len(past) - 1 - lag, 0)] for lag in _LAGS])
    wrists = np.concatenate([now[None, :, WRIST], ways[:, :, WRIST]])
    others = np.concatenate([now[None], ways])[:, :, WRIST + 1 :]
    about = (others - wrists[:, :, None]) / np.sqrt(others.shape[2])
    return np.nan_to_num(np.concatenate([part.swapaxes(0, 1).reshape(2, -1) for part in (wrists, about)], 1))
