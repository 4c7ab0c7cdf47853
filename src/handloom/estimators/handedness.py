"""Which detection is the left hand and which the right, decided over time.

A detector labels each frame on its own and is sometimes wrong. Here detections are first linked into tracklets (one
hand followed from frame to frame); a tracklet then gets one label from the sum of all its evidence, under the rule
that two hands seen in one frame are never both left or both right. So one wrong label swaps nothing.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from handloom.estimators.detections import Detection
from handloom.skeleton import LEFT, PALM, RIGHT

MAX_GAP_S = 0.25
MAX_GAP_FRAMES = 3
"""A hand unseen for longer, in seconds and in frames, starts a new tracklet."""
GATE = 0.6
"""A hand may move by this many times its own size between two frames that see it."""
DUPLICATE = 0.2
"""Two detections whose joints differ by less than this share of the hand's size, on average, are one hand."""
MAX_EVIDENCE = 3.0
"""One frame's log-odds are cut here (probability 0.95): no single frame may outvote many."""
SETTLING_FRAMES = 10
"""Live: a tracklet may still change its label during so many frames."""


@dataclass(eq=False)
class Tracklet:
    """One hand followed over frames. `evidence` sums the log-odds for "right"."""

    frames: list[int] = field(default_factory=list)
    detections: list[Detection] = field(default_factory=list)
    last_time_s: float = 0.0
    evidence: float = 0.0
    hand: int | None = None

    def append(self, frame: int, time_s: float, detection: Detection) -> None:
        """Continue with the hand's next detection."""
        self.frames.append(frame)
        self.detections.append(detection)
        self.last_time_s = time_s
        p = float(np.clip(detection.right_probability, 1e-6, 1 - 1e-6))
        self.evidence += float(np.clip(np.log(p / (1 - p)), -MAX_EVIDENCE, MAX_EVIDENCE))


class Linker:
    """Links detections of successive frames into tracklets.

    Attributes:
        tracklets: all so far, in order of their first frame.
        duplicates: number of detections dropped because they were a second answer for the same hand.
    """

    def __init__(self) -> None:
        self.tracklets: list[Tracklet] = []
        self.duplicates = 0
        self._active: list[Tracklet] = []

    def push(self, frame: int, time_s: float, detections: list[Detection]) -> list[Tracklet]:
        """Add one frame; returns the tracklets that were seen in it."""
        kept = _without_duplicates(detections)
        self.duplicates += len(detections) - len(kept)
        self._active = active = [
            t for t in self._active if time_s - t.last_time_s <= MAX_GAP_S or frame - t.frames[-1] <= MAX_GAP_FRAMES
        ]
        distance = np.array([[palm_distance(t.detections[-1], d) for d in kept] for t in active]).reshape(
            len(active), len(kept)
        )
        # The gate is applied before the assignment, so that a far pair cannot displace a near one.
        rows, columns = linear_sum_assignment(np.minimum(distance, GATE))
        owner = {int(c): active[r] for r, c in zip(rows, columns) if distance[r, c] < GATE}
        seen = []
        for index, detection in enumerate(kept):
            tracklet = owner.get(index)
            if tracklet is None:
                tracklet = Tracklet()
                self.tracklets.append(tracklet)
                self._active.append(tracklet)
            tracklet.append(frame, time_s, detection)
            seen.append(tracklet)
        return seen


def assign_hands(tracklets: list[Tracklet]) -> int:
    """Label whole tracklets, using the complete clip; fills `hand`.

    Tracklets that share a frame must differ. Each group connected by such conflicts has two consistent labellings;
    the one with more evidence wins. Returns the number of detections dropped where no consistent labelling exists.
    """
    neighbours = _conflicts(tracklets)
    side: dict[int, int] = {}
    for start in range(len(tracklets)):
        if start in side:
            continue
        group, side[start] = [start], 1
        for index in group:
            for other in neighbours[index]:
                if other not in side:
                    side[other] = -side[index]
                    group.append(other)
        total = sum(side[index] * tracklets[index].evidence for index in group)
        for index in group:
            tracklets[index].hand = RIGHT if (side[index] > 0) == (total > 0) else LEFT
    return _drop_clashes(tracklets, neighbours)


def assign_hands_live(seen: list[Tracklet]) -> None:
    """Label the tracklets of the newest frame from the past alone; fills `hand`.

    A label settles during the first frames of a tracklet and then stays.
    """
    by_certainty = sorted(seen, key=lambda t: (len(t.frames) <= SETTLING_FRAMES, -abs(t.evidence)))
    taken: set[int] = set()
    for tracklet in by_certainty:
        if tracklet.hand is None or len(tracklet.frames) <= SETTLING_FRAMES:
            tracklet.hand = RIGHT if tracklet.evidence > 0 else LEFT
        if tracklet.hand in taken:
            tracklet.hand = LEFT + RIGHT - tracklet.hand
        taken.add(tracklet.hand)


def detection_table(tracklets: list[Tracklet], frame_count: int) -> list[list[Detection | None]]:
    """`table[hand][frame]`: the detection of each hand, None where it was not seen."""
    table: list[list[Detection | None]] = [[None] * frame_count for _ in (LEFT, RIGHT)]
    for tracklet in tracklets:
        assert tracklet.hand is not None
        for frame, detection in zip(tracklet.frames, tracklet.detections):
            table[tracklet.hand][frame] = detection
    return table


def _centre_and_size(keypoints_px: np.ndarray) -> tuple[np.ndarray, float]:
    extent = keypoints_px.max(0) - keypoints_px.min(0)
    return keypoints_px[list(PALM)].mean(0), float(np.hypot(*extent)) + 1e-6


def palm_distance(a: Detection, b: Detection) -> float:
    """Distance of the palms in the picture, in units of the larger hand."""
    (centre_a, size_a), (centre_b, size_b) = (
        _centre_and_size(a.keypoints_px),
        _centre_and_size(b.keypoints_px),
    )
    return float(np.hypot(*(centre_a - centre_b))) / max(size_a, size_b)


def _without_duplicates(detections: list[Detection]) -> list[Detection]:
    kept: list[Detection] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        size = _centre_and_size(detection.keypoints_px)[1]
        distances = [np.linalg.norm(detection.keypoints_px - k.keypoints_px, axis=1).mean() / size for k in kept]
        if all(distance >= DUPLICATE for distance in distances):
            kept.append(detection)
    return kept


def _conflicts(tracklets: list[Tracklet]) -> list[set[int]]:
    """For each tracklet the others that were seen in the same frame."""
    by_frame: dict[int, list[int]] = {}
    for index, tracklet in enumerate(tracklets):
        for frame in tracklet.frames:
            by_frame.setdefault(frame, []).append(index)
    neighbours: list[set[int]] = [set() for _ in tracklets]
    for together in by_frame.values():
        for index in together:
            neighbours[index].update(other for other in together if other != index)
    return neighbours


def _drop_clashes(tracklets: list[Tracklet], neighbours: list[set[int]]) -> int:
    dropped = 0
    for index, others in enumerate(neighbours):
        tracklet = tracklets[index]
        for other in (tracklets[o] for o in others):
            if other.hand != tracklet.hand or abs(other.evidence) < abs(tracklet.evidence):
                continue
            taken = set(other.frames)
            keep = [k for k, frame in enumerate(tracklet.frames) if frame not in taken]
            dropped += len(tracklet.frames) - len(keep)
            tracklet.frames = [tracklet.frames[k] for k in keep]
            tracklet.detections = [tracklet.detections[k] for k in keep]
    return dropped
