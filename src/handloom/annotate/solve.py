"""Stage 4: all frames of a hand at once: what the cameras saw, bones of constant length, motion without jerks.

One least squares problem per stretch of frames, sparse and banded: frame t meets frames t + 1 and t + 2 only, so that
it is solved in time proportional to the number of frames (Gauss-Newton with damping, robust weights).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import LinAlgError, solveh_banded

from handloom.geometry import Camera
from handloom.skeleton import BONES, JOINT_COUNT

PIXEL_SIGMA = 2.0
"""What a detector's joint is off, in pixels."""
BONE_SIGMA = 0.025
"""What a bone may differ from its length, in palm lengths: 2 mm."""
ACCELERATION_SIGMA = 220.0
"""Acceleration of a joint, in palm lengths per second squared: 20 m/s^2."""
ANCHOR_SIGMA = 0.05
"""What a network's joint is off, in palm lengths: 4 mm."""
_HUBER = 2.0
"""Residuals beyond so many sigmas count linearly."""
_STEPS = 12
_CONVERGED = 1e-4
_ROW = 3 * JOINT_COUNT
_BAND = 2 * _ROW + 1
_PARENTS, _CHILDREN = np.array(BONES).T


@dataclass(frozen=True, eq=False)
class Problem:
    """One hand in T frames.

    Attributes:
        cameras, poses: one per view; a pose, or one per frame, camera_from_world.
        keypoints_px, weight: what the believed views saw; weight 0 where nothing.
        lengths: of the 20 bones, in the unit of the poses.
        palm: length of the palm, in the same unit.
        step_s: time from frame to frame.
        anchors: where a network says that the joints are; NaN where it says nothing.
    """

    cameras: list[Camera]
    poses: list[Float[np.ndarray, "_ 4 4"]]
    keypoints_px: Float[np.ndarray, "views T 21 2"]
    weight: Float[np.ndarray, "views T 21"]
    lengths: Float[np.ndarray, "20"]
    palm: float
    step_s: float
    anchors: Float[np.ndarray, "T 21 3"] | None = None

    @property
    def _steady(self) -> float:
        return 1 / (ACCELERATION_SIGMA * self.palm * self.step_s**2)


def solve(problem: Problem, start: Float[np.ndarray, "T 21 3"]) -> Float[np.ndarray, "T 21 3"]:
    """The joints that fit best, from a start without NaN. Never worse than the start."""
    joints, damping = start.copy(), 1e-6
    cost, bands, gradient = _linearise(problem, joints)
    for _ in range(_STEPS):
        bands[0] += damping * bands[0] + 1e-9 * bands[0].max()
        try:
            step = solveh_banded(bands, gradient, lower=True, check_finite=False).reshape(joints.shape)
        except LinAlgError:
            step = np.zeros_like(joints)
        candidate = joints - step
        new_cost, new_bands, new_gradient = _linearise(problem, candidate)
        if new_cost < cost:
            gain = cost - new_cost
            joints, cost, gradient, damping = candidate, new_cost, new_gradient, max(damping / 10, 1e-9)
            bands = new_bands
            if gain < _CONVERGED * cost:
                break
        else:
            damping *= 100
            if damping > 1e6:
                break
            bands = _linearise(problem, joints)[1]
    return joints


def started(joints: Float[np.ndarray, "T 21 3"]) -> Float[np.ndarray, "T 21 3"]:
    """Joints with gaps filled: straight on in time, and a joint that is never known at the mean of the others."""
    result = joints.copy()
    frames = np.arange(len(joints))
    for joint in range(JOINT_COUNT):
        known = np.isfinite(joints[:, joint, 0])
        if known.any():
            for axis in range(3):
                result[:, joint, axis] = np.interp(frames, frames[known], joints[known, joint, axis])
    missing = ~np.isfinite(result[0, :, 0])
    if missing.any() and not missing.all():
        result[:, missing] = result[:, ~missing].mean(1, keepdims=True) + 1e-3 * np.eye(3)[np.arange(missing.sum()) % 3]
    return result


def stretches(seen: Bool[np.ndarray, "T"], longest_gap: int) -> list[range]:
    """Frames that are solved together: no gap in them is longer than so many frames."""
    frames = np.flatnonzero(seen)
    if not len(frames):
        return []
    cuts = np.flatnonzero(np.diff(frames) > longest_gap + 1)
    firsts, lasts = frames[np.concatenate([[0], cuts + 1])], frames[np.concatenate([cuts, [len(frames) - 1]])]
    return [range(int(first), int(last) + 1) for first, last in zip(firsts, lasts)]


def _linearise(
    problem: Problem, joints: Float[np.ndarray, "T 21 3"]
) -> tuple[float, Float[np.ndarray, "band n"], Float[np.ndarray, "n"]]:
    """Robust cost, the lower bands of the normal matrix, and the gradient."""
    T = len(joints)
    bands, gradient = np.zeros((_BAND, T, _ROW)), np.zeros((T, JOINT_COUNT, 3))
    cost = _data(problem, joints, bands, gradient)
    cost += _bones(problem, joints, bands, gradient)
    cost += _motion(problem, joints, bands, gradient)
    return cost, bands.reshape(_BAND, -1), gradient.reshape(-1)


def _data(problem: Problem, joints: np.ndarray, bands: np.ndarray, gradient: np.ndarray) -> float:
    cost, normal = 0.0, np.zeros((*joints.shape, 3))
    for camera, pose, seen_px, weight in zip(problem.cameras, problem.poses, problem.keypoints_px, problem.weight):
        rotation, shift = pose[:, :3, :3], pose[:, :3, 3]
        known = (weight > 0) & np.isfinite(shift).all(-1)[:, None]
        if not known.any():
            continue
        local = np.einsum("tij,tkj->tki", np.broadcast_to(rotation, (len(joints), 3, 3)), joints) + shift[:, None]
        pixels, visible = camera.project(local)
        known &= visible
        residual = np.where(known[..., None], (pixels - seen_px) / PIXEL_SIGMA, 0.0)
        weight = np.where(known, weight, 0.0)
        rho, factor = _huber(np.linalg.norm(residual, axis=-1))
        cost += float((weight * rho).sum())
        weight = weight * factor
        jacobian = np.where(known[..., None, None], camera.jacobian(local), 0.0) / PIXEL_SIGMA @ rotation[:, None]
        weighted = jacobian * weight[..., None, None]
        normal += np.swapaxes(weighted, -1, -2) @ jacobian
        gradient += (np.swapaxes(weighted, -1, -2) @ residual[..., None])[..., 0]
    if problem.anchors is not None:
        cost += _anchored(problem, joints, normal, gradient)
    for column in range(3):
        for row in range(column, 3):
            bands[row - column, :, column::3] += normal[..., row, column]
    return cost


def _anchored(problem: Problem, joints: np.ndarray, normal: np.ndarray, gradient: np.ndarray) -> float:
    assert problem.anchors is not None
    known = np.isfinite(problem.anchors).all(-1)
    sharpness = 1 / (ANCHOR_SIGMA * problem.palm)
    residual = np.where(known[..., None], joints - problem.anchors, 0.0) * sharpness
    rho, factor = _huber(np.linalg.norm(residual, axis=-1))
    weight = known * factor * sharpness
    normal += (weight * sharpness)[..., None, None] * np.eye(3)
    gradient += weight[..., None] * residual
    return float(rho.sum())


def _bones(problem: Problem, joints: np.ndarray, bands: np.ndarray, gradient: np.ndarray) -> float:
    bone = joints[:, _CHILDREN] - joints[:, _PARENTS]
    length = np.maximum(np.linalg.norm(bone, axis=-1), 1e-9)
    scale = np.where(np.isfinite(problem.lengths), 1 / (BONE_SIGMA * problem.palm), 0.0)
    residual = (length - np.nan_to_num(problem.lengths)) * scale
    rho, factor = _huber(np.abs(residual))
    direction = bone / length[..., None] * scale[:, None]
    pull = (factor * residual)[..., None] * direction
    outer = factor[..., None, None] * direction[..., :, None] * direction[..., None, :]
    for number, (parent, child) in enumerate(BONES):
        gradient[:, child] += pull[:, number]
        gradient[:, parent] -= pull[:, number]
        for column in range(3):
            for row in range(3):
                entry = outer[:, number, row, column]
                if row >= column:
                    bands[row - column, :, 3 * parent + column] += entry
                    bands[row - column, :, 3 * child + column] += entry
                bands[3 * (child - parent) + row - column, :, 3 * parent + column] -= entry
    return float(rho.sum())


def _motion(problem: Problem, joints: np.ndarray, bands: np.ndarray, gradient: np.ndarray) -> float:
    if len(joints) < 3:
        return 0.0
    steady = problem._steady
    bend = (joints[:-2] - 2 * joints[1:-1] + joints[2:]) * steady
    rho, factor = _huber(np.linalg.norm(bend, axis=-1))
    pull = bend * factor[..., None] * steady
    stencil = (1.0, -2.0, 1.0)
    weight = np.repeat(factor * steady**2, 3, axis=-1)
    for later, a in enumerate(stencil):
        gradient[later : len(joints) - 2 + later] += a * pull
        for earlier, b in enumerate(stencil[: later + 1]):
            bands[_ROW * (later - earlier), earlier : len(joints) - 2 + earlier] += a * b * weight
    return float(rho.sum())


def _huber(size: Float[np.ndarray, "*shape"]) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Half the squared residual, linear beyond the limit; and the weight of the square that has the same slope."""
    inside = size <= _HUBER
    factor = np.where(inside, 1.0, _HUBER / np.maximum(size, _HUBER))
    return np.where(inside, size**2 / 2, _HUBER * (size - _HUBER / 2)), factor
