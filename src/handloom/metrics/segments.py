"""Actions on a timeline against the true ones: segments that overlap enough, as in F1@k (Lea et al., CVPR 2017)."""

from collections.abc import Sequence
from typing import NamedTuple

from handloom.hands import ActionSegment

OVERLAP = 0.5
"""Intersection over union of a segment and a true one from which on it is right."""


class SegmentScore(NamedTuple):
    """So many segments were found, so many of them are right, so many there are."""

    right: int
    found: int
    true: int

    @property
    def recall(self) -> float:
        """Share of the true segments that were found; NaN if there are none."""
        return self.right / self.true if self.true else float("nan")

    @property
    def precision(self) -> float:
        """Share of the found segments that are right; NaN if nothing was found."""
        return self.right / self.found if self.found else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of both; NaN if there is nothing to find and nothing was found."""
        return 2 * self.right / (self.found + self.true) if self.found + self.true else float("nan")

    def __add__(self, other: object) -> "SegmentScore":  # type: ignore[override]
        """Those of both together."""
        assert isinstance(other, SegmentScore)
        return SegmentScore(*(mine + theirs for mine, theirs in zip(self, other)))


def match_segments(
    found: Sequence[ActionSegment], true: Sequence[ActionSegment], overlap: float = OVERLAP
) -> SegmentScore:
    """Each found segment takes the true one of its label that it overlaps most, unless that is taken already."""
    taken: set[int] = set()
    for segment in found:
        shares = [_overlap(segment, other) if other.label == segment.label else 0.0 for other in true]
        best = max(range(len(true)), key=shares.__getitem__, default=None)
        if best is not None and shares[best] >= overlap and best not in taken:
            taken.add(best)
    return SegmentScore(len(taken), len(found), len(true))


def _overlap(a: ActionSegment, b: ActionSegment) -> float:
    both = min(a.end_s, b.end_s) - max(a.start_s, b.start_s)
    either = max(a.end_s, b.end_s) - min(a.start_s, b.start_s)
    return max(both, 0.0) / either
