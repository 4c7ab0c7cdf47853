"""Stage 2b: the clusters of all windows joined over time into hands; which are left and right, and whose."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.optimize import linear_sum_assignment

from handloom.annotate.clusters import Clusters, detection_of, shown
from handloom.annotate.detect import Found
from handloom.estimators.detections import Detection
from handloom.estimators.handedness import GATE, Tracklet, assign_hands, palm_distance

_MAX_GAP_FRAMES = 20
_SAME_SIDE = 1.0
"""Mean evidence per detection from which on two hands that are both right (or left) are two people's."""
_SHARED = 0.2
"""Chains that share less than this part of the shorter one's frames are one after the other."""


@dataclass(eq=False)
class Chain:
    """One hand over the recording: its clusters (block, number), the frames that show it, and what speaks for right."""

    clusters: list[tuple[int, int]]
    shown: Bool[np.ndarray, "T"]
    evidence: float
    support: int
    last_frame: int
    last: dict[int, Detection]
    hand: int | None = None


class Chaining:
    """Takes blocks in order, and joins each cluster to the chain that it continues.

    A cluster continues a chain if, in the views that show both, the hand has moved little between the chain's last
    picture and the cluster's first one. Every such view is a vote: a stray detection of one view may lie where the hand
    was, but not in all of them.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self.chains: list[Chain] = []

    def push(self, block: int, start: int, clusters: Clusters, found: list[Found]) -> None:
        """The clusters of the next block, which begins at frame `start`."""
        frames = shown(clusters, len(clusters.window))
        for window in np.unique(clusters.window).tolist():
            numbers = np.flatnonzero(clusters.window == window).tolist()
            ends = [_ends(clusters, found, number, np.flatnonzero(frames[number])) for number in numbers]
            firsts = [start + int(np.flatnonzero(frames[number])[0]) for number in numbers]
            active = [chain for chain in self.chains if start + window - chain.last_frame <= _MAX_GAP_FRAMES]
            votes = np.array([[_votes(chain.last, first) for first, _ in ends] for chain in active])
            owner: dict[int, Chain] = {}
            if votes.size:
                for row, column in zip(*linear_sum_assignment(votes, maximize=True)):
                    if votes[row, column] > 0 and active[row].last_frame < firsts[column]:
                        owner[int(column)] = active[row]
            for place, number in enumerate(numbers):
                chain = owner.get(place)
                if chain is None:
                    chain = Chain([], np.zeros(self._length, bool), 0.0, 0, -1, {})
                    self.chains.append(chain)
                seen = np.flatnonzero(frames[number])
                chain.clusters.append((block, number))
                chain.shown[start + seen] = True
                chain.evidence += float(clusters.evidence[number])
                chain.support += int(clusters.support[number])
                chain.last_frame = start + int(seen[-1])
                chain.last = ends[place][1]


def choose_hands(chains: list[Chain]) -> int:
    """Name chains left and right: at most one of each at a time, those that are seen most. Returns how many
    detections belong to none: other people's hands, and what is no hand.

    Chains are taken in order of their support. One that is shown together with two others is another person's, and so
    is one that is clearly the same hand as one that it is shown with. What is left is labelled as the tracklets of a
    single camera are: all that is shown together differs, and the labelling with the most evidence wins.
    """
    taken: list[Chain] = []
    for chain in sorted(chains, key=lambda item: (-item.support, item.clusters[0])):
        beside = [other for other in taken if _overlap(chain, other)]
        crowded = np.sum([other.shown & chain.shown for other in beside], axis=0) >= 2 if beside else np.zeros(1, bool)
        if crowded.any() or any(_same_side(chain, other) for other in beside):
            continue
        taken.append(chain)
    tracklets = [_tracklet(chain) for chain in taken]
    assign_hands(tracklets)
    for chain, tracklet in zip(taken, tracklets):
        chain.hand = tracklet.hand
        chain.shown = np.zeros_like(chain.shown)
        chain.shown[tracklet.frames] = True
    return sum(chain.support for chain in chains if chain.hand is None)


def slots_of_hands(chains: list[Chain], block: int, start: int, clusters: Clusters) -> Int[np.ndarray, "T cameras 2"]:
    """Which detection of every camera shows the left and the right hand in the frames of a block; -1 for none."""
    T, views, _ = clusters.member.shape
    slots = np.full((T, views, 2), -1)
    for chain in chains:
        if chain.hand is None:
            continue
        kept = chain.shown[start : start + T]
        for number in (cluster for owner, cluster in chain.clusters if owner == block):
            frame, view, slot = np.nonzero((clusters.member == number) & kept[:, None, None])
            slots[frame, view, chain.hand] = slot
    return slots


def _tracklet(chain: Chain) -> Tracklet:
    frames = np.flatnonzero(chain.shown).tolist()
    some = next(iter(chain.last.values()))
    return Tracklet(frames, [some] * len(frames), evidence=chain.evidence)


def _same_side(one: Chain, other: Chain) -> bool:
    """Whether both are surely right hands, or surely left ones."""
    sides = [chain.evidence / max(chain.support, 1) for chain in (one, other)]
    return min(sides) > _SAME_SIDE or max(sides) < -_SAME_SIDE


def _ends(
    clusters: Clusters, found: list[Found], number: int, seen: Int[np.ndarray, "n"]
) -> tuple[dict[int, Detection], dict[int, Detection]]:
    """The first and the last picture of a cluster, by view."""
    first: dict[int, Detection] = {}
    last: dict[int, Detection] = {}
    for view in range(clusters.member.shape[1]):
        rows, slots = np.nonzero(clusters.member[seen, view] == number)
        if len(rows):
            first[view] = detection_of(found[view], int(seen[rows[0]]), int(slots[0]))
            last[view] = detection_of(found[view], int(seen[rows[-1]]), int(slots[-1]))
    return first, last


def _votes(last: dict[int, Detection], first: dict[int, Detection]) -> float:
    """How much speaks for one hand: common views times how far the median move is below the gate, in hand sizes."""
    moved = [palm_distance(last[view], first[view]) for view in last.keys() & first.keys()]
    return len(moved) * max(GATE - float(np.median(moved)), 0.0) if moved else 0.0


def _overlap(one: Chain, other: Chain) -> bool:
    shared = int((one.shown & other.shown).sum())
    return shared > _SHARED * min(int(one.shown.sum()), int(other.shown.sum()))
