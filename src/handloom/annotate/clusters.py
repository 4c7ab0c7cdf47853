"""Stage 2a: within half a second, which detections of which cameras show one hand."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int

from handloom.annotate.detect import Found
from handloom.annotate.epipolar import epipolar_error_px, world_rays
from handloom.estimators.detections import Detection
from handloom.estimators.handedness import MAX_EVIDENCE, Linker, palm_distance
from handloom.geometry import Camera
from handloom.skeleton import JOINT_COUNT

WINDOW_FRAMES = 15
_UNLIKE_HANDS = 0.5
"""What it costs, in thresholds, that one view says left and the other right: it decides where geometry does not."""
_CLOSE = 0.5
"""Two hands nearer to each other than this part of their size may be taken for each other."""
_NO_DEPTH = np.zeros(JOINT_COUNT)
_NO_WORLD = np.zeros((JOINT_COUNT, 3))


@dataclass(frozen=True, eq=False)
class Clusters:
    """Hands, each seen by some cameras, in the frames of a window or of a block of windows.

    Attributes:
        member: (T, cameras, hands in a picture) number of the cluster that a detection belongs to, -1 for none.
        window: in which window each cluster is; first: its first frame.
        evidence: sum of the log-odds for "right".
        support: number of detections.
    """

    member: Int[np.ndarray, "T cameras hands"]
    window: Int[np.ndarray, "clusters"]
    evidence: Float[np.ndarray, "clusters"]
    support: Int[np.ndarray, "clusters"]


@dataclass(eq=False)
class _Node:
    """One hand followed by one camera through a window."""

    view: int
    slots: Int[np.ndarray, "T"]
    evidence: float


def cluster_block(
    cameras: list[Camera],
    poses: list[Float[np.ndarray, "_ 4 4"]],
    found: list[Found],
    times_s: Float[np.ndarray, "T"],
    threshold_px: float,
) -> Clusters:
    """Clusters of a block, window by window: detections followed in each view, then joined across views."""
    T = len(times_s)
    member = np.full((T, len(cameras), found[0].score.shape[1]), -1)
    windows: list[int] = []
    evidence: list[float] = []
    support: list[int] = []
    views = [world_rays(c, pose, f.keypoints_px) for c, pose, f in zip(cameras, poses, found)]
    focal = [float(np.sqrt(c.fx * c.fy)) for c in cameras]
    for start in range(0, T, WINDOW_FRAMES):
        frames = np.arange(start, min(start + WINDOW_FRAMES, T))
        nodes = [node for view in range(len(cameras)) for node in _followed(view, found[view], frames, times_s)]
        errors = _errors(nodes, frames, views, focal, threshold_px)
        for group in _joined(nodes, errors, threshold_px):
            for number in group:
                node = nodes[number]
                seen = node.slots >= 0
                member[frames[seen], node.view, node.slots[seen]] = len(windows)
            windows.append(start)
            evidence.append(sum(nodes[number].evidence for number in group))
            support.append(sum(int((nodes[number].slots >= 0).sum()) for number in group))
    return Clusters(member, np.array(windows, int), np.array(evidence, float), np.array(support, int))


def detection_of(found: Found, frame: int, slot: int) -> Detection:
    """A stored detection as the linker takes it."""
    return Detection(
        found.keypoints_px[frame, slot].astype(np.float64),
        _NO_DEPTH,
        _NO_WORLD,
        float(found.score[frame, slot]),
        float(found.right[frame, slot]),
    )


def _followed(view: int, found: Found, frames: np.ndarray, times_s: np.ndarray) -> list[_Node]:
    """Hands followed by one camera. When two come close in the picture, and when they part, following starts anew:
    which is which then is for the other views to say."""
    nodes: list[_Node] = []
    linker, close = Linker(), False
    slot_of: dict[int, tuple[int, int]] = {}
    for row, frame in enumerate(frames.tolist()):
        slots = np.flatnonzero(np.isfinite(found.keypoints_px[frame, :, 0, 0])).tolist()
        hands = [detection_of(found, frame, slot) for slot in slots]
        slot_of |= {id(hand): (row, slot) for hand, slot in zip(hands, slots)}
        were, close = close, any(palm_distance(a, b) < _CLOSE for a, b in combinations(hands, 2))
        if were != close:
            nodes += _nodes(view, linker, slot_of, len(frames))
            linker = Linker()
        linker.push(row, float(times_s[frame]), hands)
    return nodes + _nodes(view, linker, slot_of, len(frames))


def _nodes(view: int, linker: Linker, slot_of: dict[int, tuple[int, int]], length: int) -> list[_Node]:
    nodes = []
    for tracklet in linker.tracklets:
        slots = np.full(length, -1)
        for hand in tracklet.detections:
            row, slot = slot_of[id(hand)]
            slots[row] = slot
        nodes.append(_Node(view, slots, tracklet.evidence))
    return nodes


def _errors(
    nodes: list[_Node],
    frames: np.ndarray,
    views: list[tuple[np.ndarray, np.ndarray]],
    focal: list[float],
    threshold_px: float,
) -> Float[np.ndarray, "nodes nodes"]:
    """Median error of every pair of nodes of different views, NaN where they share no frame."""
    errors = np.full((len(nodes), len(nodes)), np.nan)
    rays = [
        np.where((node.slots >= 0)[:, None, None], views[node.view][1][frames, np.maximum(node.slots, 0)], np.nan)
        for node in nodes
    ]
    centres = [views[node.view][0] for node in nodes]
    centres = [centre[frames] if len(centre) > 1 else centre for centre in centres]
    for i, a in enumerate(nodes):
        for j in range(i):
            b = nodes[j]
            both = (a.slots >= 0) & (b.slots >= 0)
            if a.view == b.view or not both.any():
                continue
            baseline = np.broadcast_to(centres[j] - centres[i], (len(frames), 3))[both]
            error = epipolar_error_px(baseline[:, None], rays[i][both], rays[j][both], focal[a.view], focal[b.view])
            if np.isfinite(error).any():
                # Probabilities that both are the same hand, as evidence cut like that of a tracklet's frames.
                p, q = (1 / (1 + np.exp(-np.clip(n.evidence, -MAX_EVIDENCE, MAX_EVIDENCE))) for n in (a, b))
                unlike = _UNLIKE_HANDS * threshold_px * abs(p - q)
                errors[i, j] = errors[j, i] = float(np.nanmedian(error)) + unlike
    return errors


def _joined(nodes: list[_Node], errors: Float[np.ndarray, "n n"], threshold_px: float) -> list[list[int]]:
    """Clusters by average linkage: the two that agree best become one, as long as their error is below the limit and
    no view has two hands in it at a time."""
    groups = [[number] for number in range(len(nodes))]
    limit = 1.5 * threshold_px
    while True:
        best: tuple[float, int, int] | None = None
        for i in range(len(groups)):
            for j in range(i):
                between = errors[np.ix_(groups[i], groups[j])]
                if not np.isfinite(between).any() or _clash(nodes, groups[i], groups[j]):
                    continue
                cost = float(np.nanmean(between))
                if cost < limit and (best is None or cost < best[0]):
                    best = cost, i, j
        if best is None:
            return groups
        _, i, j = best
        groups[j] = sorted(groups[j] + groups[i])
        del groups[i]


def _clash(nodes: list[_Node], one: list[int], other: list[int]) -> bool:
    return any(
        nodes[a].view == nodes[b].view and bool(((nodes[a].slots >= 0) & (nodes[b].slots >= 0)).any())
        for a in one
        for b in other
    )


def shown(clusters: Clusters, count: int) -> Bool[np.ndarray, "clusters T"]:
    """In which frames any camera shows each of `count` clusters."""
    T = len(clusters.member)
    flat = clusters.member.reshape(T, -1)
    result = np.zeros((count, T), bool)
    rows, columns = np.nonzero(flat >= 0)
    result[flat[rows, columns], rows] = True
    return result
