"""Stage 2c: views in which left and right changed places: followed in 2D, crossing hands are taken for each other."""

from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

from handloom.annotate.detect import Found
from handloom.annotate.epipolar import epipolar_error_px, world_rays
from handloom.annotate.points import chosen_keypoints
from handloom.geometry import Camera

_SHARE = 0.5
"""A change must lower the disagreement to this share, and by a threshold in pixels."""


def untangled(
    cameras: list[Camera],
    poses: list[Float[np.ndarray, "_ 4 4"]],
    found: list[Found],
    slots: Int[np.ndarray, "T views 2"],
    threshold_px: float,
) -> Int[np.ndarray, "T views 2"]:
    """The slots with left and right exchanged in views that then agree with the others.

    Frame by frame, the view whose exchange helps most goes first. Where only two views see the hands, either could be
    the wrong one, and the detector's own left and right decide.
    """
    views = len(cameras)
    slots = slots.copy()
    keypoints, _ = chosen_keypoints(found, slots)
    errors = _errors(cameras, poses, keypoints, 2 * threshold_px)
    likely = _likely_right(found, slots)
    changed = np.zeros((len(slots), views), bool)
    for _ in range(max(1, views // 2)):
        keep, other = np.zeros((views, len(slots))), np.zeros((views, len(slots)))
        for (a, b), error in errors.items():
            straight, crossed = error[:, 0, 0] + error[:, 1, 1], error[:, 0, 1] + error[:, 1, 0]
            same = changed[:, a] == changed[:, b]
            now, then = np.where(same, straight, crossed), np.where(same, crossed, straight)
            for view in (a, b):
                keep[view] += now
                other[view] += then
        better = (other < _SHARE * keep) & (keep - other > threshold_px)
        # Ties between two views, to be decided by less than a threshold.
        turn = np.where(changed, -1, 1) * (likely[..., 0] - likely[..., 1])
        gain = np.where(better, keep - other + 0.1 * threshold_px * turn.T, -np.inf)
        worst = gain.argmax(0)
        rows = np.flatnonzero(np.isfinite(gain.max(0)))
        if not len(rows):
            break
        changed[rows, worst[rows]] ^= True
    slots[changed] = slots[changed][:, ::-1]
    return slots


def _errors(
    cameras: list[Camera], poses: list[np.ndarray], keypoints: Float[np.ndarray, "views T 2 21 2"], most_px: float
) -> dict[tuple[int, int], Float[np.ndarray, "T 2 2"]]:
    """Disagreement of each hand of one view with each of the other, cut at `most_px`; 0 where one is not seen."""
    rays = [world_rays(camera, pose, seen) for camera, pose, seen in zip(cameras, poses, keypoints)]
    focal = [float(np.sqrt(camera.fx * camera.fy)) for camera in cameras]
    result = {}
    for a, b in combinations(range(len(cameras)), 2):
        (centre_a, rays_a), (centre_b, rays_b) = rays[a], rays[b]
        baseline = (centre_b - centre_a)[:, None, None, None]
        error = epipolar_error_px(baseline, rays_a[:, :, None], rays_b[:, None], focal[a], focal[b])
        known = np.isfinite(error).all(-1)
        middle = np.median(np.where(known[..., None], error, 0), -1)
        result[a, b] = np.where(known, np.minimum(middle, most_px), 0.0)
    return result


def _likely_right(found: list[Found], slots: Int[np.ndarray, "T views 2"]) -> Float[np.ndarray, "T views 2"]:
    """How likely each chosen detection is a right hand; a half where there is none."""
    rows = np.arange(len(slots))[:, None]
    each = [
        np.where(slots[:, view] >= 0, hands.right[rows, np.maximum(slots[:, view], 0)], 0.5)
        for view, hands in enumerate(found)
    ]
    return np.stack(each, 1)
