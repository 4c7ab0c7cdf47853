"""Which cameras agree: delays between them, calibrations that are wrong or exchanged, told from the hands alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from handloom.annotate.capture import CaptureCamera
from handloom.annotate.detect import Detections, Found
from handloom.annotate.epipolar import epipolar_error_px, world_rays
from handloom.annotate.timeline import Timeline, nearest_pictures, timeline

SAMPLES = 120
"""Frames that are compared, spread over the recording."""
_MIN_FRAMES = 5
_BEST_SHARE, _BEST_GAIN_PX = 0.7, 0.5
"""A delay is believed if it lowers the error to this share and by so much; a hand at rest tells no delay."""
_PARTNERS = 3
"""Other cameras with which each is compared."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """What the cameras say of each other.

    Attributes:
        offsets: frames by which each camera is late.
        error_px: of each camera, the median distance of its joints from the epipolar planes of its partners; NaN if
            it never sees a hand at the same time as another.
        before_px: the same without the offsets.
        exchanged: two cameras with whose calibrations exchanged all would agree.
    """

    offsets: Int[np.ndarray, "cameras"]
    error_px: Float[np.ndarray, "cameras"]
    before_px: Float[np.ndarray, "cameras"]
    exchanged: tuple[int, int] | None

    def bad(self, limit_px: float) -> list[int]:
        """Cameras that agree with none."""
        return [camera for camera, error in enumerate(self.error_px.tolist()) if error > limit_px]


def agreement(
    cameras: Sequence[CaptureCamera],
    detections: Sequence[Detections],
    max_offset: int,
    threshold_px: float,
) -> Agreement:
    """Compare the hands that the cameras see at the same time, now and with delays of up to `max_offset` frames.

    Where cameras are off by more than half the threshold, exchanged calibrations are tried.
    """
    base = timeline(cameras)
    samples = _sampled(cameras, detections, base)
    pairs = _pairs(samples, len(cameras))
    zero = np.zeros(len(cameras), int)
    before = _per_camera(samples.costs(zero, pairs), len(cameras))
    offsets = _descend(samples, pairs, zero, max_offset) if max_offset else zero
    after = _per_camera(samples.costs(offsets, pairs), len(cameras))
    exchanged = None
    if (after > threshold_px / 2).any():
        exchanged = _exchanged(samples, pairs, threshold_px / 4)
        if exchanged is not None:
            offsets, after = zero, before
    return Agreement(offsets - offsets[base.reference], after, before, exchanged)


@dataclass(frozen=True, eq=False)
class _Samples:
    """The sampled frames; hands of every camera at them, for any delay."""

    cameras: Sequence[CaptureCamera]
    detections: Sequence[Detections]
    times_s: Float[np.ndarray, "F"]
    step_s: float
    cache: dict[tuple[int, int], tuple[Int[np.ndarray, "F"], Found]]

    def hands(self, camera: int, offset: int) -> tuple[Int[np.ndarray, "F"], Found]:
        """Pictures and hands of a camera that is late by so many frames."""
        if (camera, offset) not in self.cache:
            index = nearest_pictures(self.cameras[camera], self.times_s + offset * self.step_s)
            self.cache[camera, offset] = index, self.detections[camera].at(index)
        return self.cache[camera, offset]

    def cost(self, a: int, b: int, offset_a: int, offset_b: int) -> float:
        """Median over frames of the error of the hands that agree best; NaN where too few frames show any."""
        (index_a, found_a), (index_b, found_b) = self.hands(a, offset_a), self.hands(b, offset_b)
        both = np.isfinite(found_a.keypoints_px[:, 0, 0, 0]) & np.isfinite(found_b.keypoints_px[:, 0, 0, 0])
        if both.sum() < _MIN_FRAMES:
            return float("nan")
        (centre_a, rays_a), (centre_b, rays_b) = (
            world_rays(
                self.cameras[camera].camera,
                _at(self.cameras[camera].poses(index), both),
                found.keypoints_px[both][:, : _most(found)],
            )
            for camera, index, found in ((a, index_a, found_a), (b, index_b, found_b))
        )
        error = epipolar_error_px(
            (centre_b - centre_a)[:, None, None, None],
            rays_a[:, :, None],
            rays_b[:, None],
            *(_focal(self.cameras[camera]) for camera in (a, b)),
        )
        known = np.isfinite(error).all(-1)
        hand = np.where(known, np.median(np.where(known[..., None], error, 0), -1), np.inf).min((1, 2))
        return float(np.median(hand[np.isfinite(hand)])) if np.isfinite(hand).sum() >= _MIN_FRAMES else float("nan")

    def costs(self, offsets: Int[np.ndarray, "cameras"], pairs: list[tuple[int, int]]) -> dict[tuple[int, int], float]:
        """Cost of every pair."""
        return {(a, b): self.cost(a, b, int(offsets[a]), int(offsets[b])) for a, b in pairs}


def _sampled(cameras: Sequence[CaptureCamera], detections: Sequence[Detections], base: Timeline) -> _Samples:
    """Frames in which at least two cameras see a hand, spread evenly; found in a first coarse pass."""
    T = len(base.times_s)
    coarse = np.unique(np.linspace(0, T - 1, min(T, 8 * SAMPLES)).astype(int))
    seen = sum(
        np.isfinite(detection.at(index[coarse]).keypoints_px[:, 0, 0, 0]).astype(int)
        for detection, index in zip(detections, base.index)
    )
    good = coarse[np.asarray(seen) >= 2]
    if len(good):
        good = good[np.unique(np.linspace(0, len(good) - 1, min(len(good), SAMPLES)).astype(int))]
    return _Samples(cameras, detections, base.times_s[good], base.step_s, {})


def _pairs(samples: _Samples, count: int) -> list[tuple[int, int]]:
    """Each camera with the few others with which it shares the most frames."""
    seen = np.stack([np.isfinite(samples.hands(v, 0)[1].keypoints_px[:, 0, 0, 0]) for v in range(count)])
    shared = seen.astype(int) @ seen.T.astype(int)
    np.fill_diagonal(shared, -1)
    chosen = set()
    for camera in range(count):
        for other in np.argsort(-shared[camera], kind="stable")[:_PARTNERS].tolist():
            if shared[camera, other] >= _MIN_FRAMES:
                chosen.add((min(camera, other), max(camera, other)))
    return sorted(chosen)


def _descend(
    samples: _Samples, pairs: list[tuple[int, int]], offsets: Int[np.ndarray, "cameras"], most: int
) -> Int[np.ndarray, "cameras"]:
    """Camera by camera the delay that lowers its errors most, until none changes."""
    offsets = offsets.copy()
    tried: dict[tuple[int, int, int, int], float] = {}

    def total(camera: int, offset: int) -> float:
        costs = []
        for a, b in pairs:
            if camera in (a, b):
                key = (a, b, offset if a == camera else int(offsets[a]), offset if b == camera else int(offsets[b]))
                tried.setdefault(key, samples.cost(*key))
                costs.append(tried[key])
        known = [cost for cost in costs if np.isfinite(cost)]
        return float(np.median(known)) if known and len(known) == len(costs) else float("inf")

    for _ in range(3):
        changed = False
        # The worst first: a camera that is late spoils the errors of those that are not.
        errors = _per_camera(samples.costs(offsets, pairs), len(offsets))
        for camera in np.argsort(-np.nan_to_num(errors, nan=-1.0), kind="stable").tolist():
            here = total(camera, int(offsets[camera]))
            candidates = sorted(range(-most, most + 1), key=abs)
            costs = [total(camera, offset) for offset in candidates]
            best = int(np.argmin(costs))
            if costs[best] < _BEST_SHARE * here and here - costs[best] > _BEST_GAIN_PX:
                offsets[camera], changed = candidates[best], True
        if not changed:
            break
    return offsets


def _exchanged(samples: _Samples, pairs: list[tuple[int, int]], limit_px: float) -> tuple[int, int] | None:
    """The two cameras with whose calibrations exchanged all pairs agree, and best, if there are such."""
    best, least = None, limit_px
    zero = np.zeros(len(samples.cameras), int)
    for a, b in combinations(range(len(samples.cameras)), 2):
        one, other = samples.cameras[a], samples.cameras[b]
        same = (one.camera.width, one.camera.height) == (other.camera.width, other.camera.height)
        if not same or len(one.camera_from_world) != 1 or len(other.camera_from_world) != 1:
            continue
        cameras = list(samples.cameras)
        cameras[a] = replace(one, camera=other.camera, camera_from_world=other.camera_from_world)
        cameras[b] = replace(other, camera=one.camera, camera_from_world=one.camera_from_world)
        costs = replace(samples, cameras=cameras).costs(zero, pairs)
        worst = max([cost for cost in costs.values() if np.isfinite(cost)], default=np.inf)
        if worst < least:
            best, least = (a, b), worst
    return best


def _per_camera(costs: Mapping[tuple[int, int], float], count: int) -> Float[np.ndarray, "cameras"]:
    """The error of each camera: that of the partner with which it agrees best, which a wrong partner does not spoil."""
    own: list[list[float]] = [[] for _ in range(count)]
    for pair, cost in costs.items():
        for camera in pair:
            if np.isfinite(cost):
                own[camera].append(cost)
    return np.array([min(values) if values else np.nan for values in own])


def _at(poses: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return poses if len(poses) == 1 else poses[chosen]


def _most(found: Found) -> int:
    return max(1, int(np.isfinite(found.keypoints_px[:, :, 0, 0]).any(0).sum()))


def _focal(camera: CaptureCamera) -> float:
    return float(np.sqrt(camera.camera.fx * camera.camera.fy))
