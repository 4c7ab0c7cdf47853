"""Short gaps in tracks: which are closed, and with how much of what a network puts into them.

A network draws hands through a gap as the motion that it was trained on would go; on other motion a straight line may
be the better guess. So a joint in a gap lies between the two; how far from the line is found on the recording itself:
in gaps that are cut where the tracker did see the hand (least squares; not in the paper).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from handloom.metrics.track import runs

FILLED_FRAMES = 8
"""Longest gap that is closed, at 30 frames per second; of longer ones half a window knows nothing."""
_CUT_FRAMES, _CUT_EVERY, _CUT_AT = 5, 30, (22, 4)
_PRIOR, _PRIOR_GAPS = 0.5, 2.0
"""Share of the network where nothing is known, and how many gaps weigh as much as that."""

Refine = Callable[[Bool[np.ndarray, "T 2 21"]], Float[np.ndarray, "T 2 21 3"]]
"""What a network makes of a recording of which only so much is seen; joints in gaps included."""


def closed(known: Bool[np.ndarray, "T 2 21"], longest: int = FILLED_FRAMES) -> Bool[np.ndarray, "T 2 21"]:
    """Which joints are known, or lie in a gap of at most `longest` frames between two sightings."""
    result = known.copy()
    for hand, joint in np.ndindex(known.shape[1:]):
        seen = known[:, hand, joint]
        for start, end in runs(~seen):
            if start > 0 and end < len(seen) and end - start <= longest:
                result[start:end, hand, joint] = True
    return result


def straight(joints: Float[np.ndarray, "T 2 21 3"], known: Bool[np.ndarray, "T 2 21"]) -> Float[np.ndarray, "T 2 21 3"]:
    """Known joints, and straight lines between them; NaN for a joint that is never known."""
    out, frames = np.full(joints.shape, np.nan), np.arange(len(joints))
    for hand, joint in np.ndindex(known.shape[1:]):
        rows = np.flatnonzero(known[:, hand, joint])
        for axis in range(3) if len(rows) else ():
            out[:, hand, joint, axis] = np.interp(frames, rows, joints[rows, hand, joint, axis])
    return out


def bridged(
    refine: Refine, seen_m: Float[np.ndarray, "T 2 21 3"], known: Bool[np.ndarray, "T 2 21"]
) -> tuple[Float[np.ndarray, "T 2 21 3"], Bool[np.ndarray, "T 2 21"]]:
    """A refined recording with its short gaps closed, and which joints there are; NaN for the others.

    Args:
        refine: what the network makes of it; called again only if there is a gap to close.
        seen_m: what the tracker saw.
        known: which of it counts.
    """
    made, valid = refine(known), closed(known)
    gap = valid & ~known
    if gap.any():
        line = straight(made, known)
        # Where the network cannot say how a hand is turned, it says nothing.
        away = np.where(np.isfinite(made), made - line, 0.0)
        made[gap] = (line + _share(refine, seen_m, known) * away)[gap]
    return np.where(valid[..., None], made, np.nan), valid


def _share(refine: Refine, seen_m: Float[np.ndarray, "T 2 21 3"], known: Bool[np.ndarray, "T 2 21"]) -> float:
    """0 for straight lines through gaps, 1 for what the network makes."""
    place = np.arange(len(known))[:, None, None] % _CUT_EVERY - np.array(_CUT_AT)[:, None]
    left = known & ~((place >= 0) & (place < _CUT_FRAMES))
    cut = known & ~left & closed(left)
    if not cut.any():
        return _PRIOR
    made = refine(left)
    cut &= np.isfinite(made).all(-1)
    line = straight(made, left)
    away, truly = (made - line)[cut], (seen_m - line)[cut]
    # The prior weighs as some of the gaps do.
    prior = (away**2).sum() * _PRIOR_GAPS / max(cut.any((1, 2)).sum() / _CUT_FRAMES, 1)
    share = ((away * truly).sum() + _PRIOR * prior) / max((away**2).sum() + prior, 1e-12)
    return float(np.clip(share, 0, 1))
