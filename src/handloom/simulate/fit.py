"""Hand shape and poses from any track of 21 joints: Levenberg-Marquardt over all frames at once."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.geometry.transforms import rigid, rotation_from_vector
from handloom.simulate.hand import (
    DIP_OF_PIP,
    DOF_COUNT,
    FRAMES,
    HandPose,
    HandShape,
    bone_frames,
    clamp,
    forward,
    grasp,
)
from handloom.skeleton import JOINT_COUNT, LEFT, RIGHT, bone_lengths

_BASES = np.array([0, 1, 5, 9, 13, 17])
_FITTED = DOF_COUNT - 2  # the wrist's angles do not move the joints
_SHAPE_FRAMES, _CHUNK = 160, 512
_SHAPE_ROUNDS, _POSE_ROUNDS = 12, 25
_CONVERGED_M2 = 1e-12
_STEP_RAD = 1e-6
# Errors beyond this count linearly, not squared (Huber), so that stray joints do not bend the hand.
_OUTLIER_M = 0.01
# What a radian beyond a limit, a radian away from the relaxed hand, and a metre away from the first guess of the
# shape weigh, in metres. The last two only decide what the joints leave open.
_LIMIT_M, _RELAXED_M, _GUESS = 0.03, 1e-4, 0.01
_SHORTEST_M, _LONGEST_M = 0.04, 0.2


@dataclass(frozen=True, eq=False)
class HandFit:
    """A hand that follows a track.

    Attributes:
        shape: one shape for the whole track.
        pose: per frame; NaN where fewer than three joints of the palm are known.
        error_m: distance between the track's joints and the hand's; NaN where either is missing.
    """

    shape: HandShape
    pose: HandPose
    error_m: Float[np.ndarray, "T 21"]


def fit(joints_m: Float[np.ndarray, "T joints dim"], side: int) -> HandFit:
    """The shape and poses whose joints come nearest to a track.

    Args:
        joints_m: metres, any frame of reference; NaN where missing.
        side: `skeleton.LEFT` or `RIGHT`.

    Raises:
        InputError: the track is not of 21 joints, no frame shows enough of the palm, or the bones are
            not those of a hand in metres.

    Source: Levenberg-Marquardt; the shape that all frames share by the Schur complement, as in Triggs et al.,
    "Bundle adjustment - a modern synthesis" (2000).
    """
    if joints_m.shape[1:] != (JOINT_COUNT, 3):
        raise InputError(f"a track to fit has shape (frames, {JOINT_COUNT}, 3), found {joints_m.shape}")
    mirror = np.array([-1.0, 1.0, 1.0]) if side == LEFT else np.ones(3)
    known = np.isfinite(joints_m).all(-1, keepdims=True)
    joints = np.where(known, joints_m.astype(np.float64) * mirror, np.nan)
    shape = _first_shape(joints)
    start = _first_pose(shape, joints)
    usable = np.flatnonzero(np.isfinite(start.angles).all(-1))
    if len(usable) == 0:
        raise InputError(
            f"no hand to fit: in none of {len(joints)} frames are three joints of the palm known (wrist, thumb base, "
            "knuckles); give a track that shows the hand"
        )
    some = usable[np.linspace(0, len(usable) - 1, min(len(usable), _SHAPE_FRAMES)).astype(int)]
    shape = _fit_shape(shape, _rows(start, some), joints[some])
    world_from_hand, angles = start.world_from_hand, start.angles
    for i in range(0, len(usable), _CHUNK):
        rows = usable[i : i + _CHUNK]
        pose = _fit_poses(shape, _first_pose(shape, joints[rows]), joints[rows])
        world_from_hand[rows], angles[rows] = pose.world_from_hand, pose.angles
    error = np.linalg.norm(forward(shape, world_from_hand, angles) - joints, axis=-1)
    flip = np.append(mirror, 1.0)
    return HandFit(replace(shape, side=side), HandPose(flip[:, None] * world_from_hand * flip, angles), error)


def _first_shape(joints: np.ndarray) -> HandShape:
    """Median bone lengths; the average hand's, scaled, where a bone is never seen."""
    average = HandShape.average(RIGHT)
    measured = bone_lengths(joints)
    known = np.isfinite(measured).any(0)
    lengths = average.lengths_m.copy()
    lengths[known] = np.nanmedian(measured[:, known], axis=0)
    ratio = float(np.median(lengths[known] / average.lengths_m[known])) if known.any() else 1.0
    lengths[~known] *= ratio
    reach = ratio * average.lengths_m[8]
    if not _SHORTEST_M < reach < _LONGEST_M:
        raise InputError(
            f"expected a hand in metres, found bones {ratio:.3g} times as long as an adult's; convert the track's unit"
        )
    return HandShape(
        RIGHT, np.maximum(lengths, 0.1 * ratio * average.lengths_m), average.base_directions, ratio * average.radii_m
    )


def _first_pose(shape: HandShape, joints: np.ndarray) -> HandPose:
    """The palm by rigid alignment, the angles from the directions of the bones; NaN where the palm is unknown."""
    relaxed = grasp("relaxed")
    palm = forward(shape, np.eye(4), relaxed)[_BASES]
    seen = np.isfinite(joints).all(-1)
    weight = seen[:, _BASES, None] / np.maximum(seen[:, _BASES].sum(1), 1)[:, None, None]
    known = np.where(seen[..., None], joints, 0.0)
    target = known[:, _BASES]
    centre, middle = (weight * target).sum(1), (weight * palm).sum(1)
    # Kabsch: the rotation that brings the known joints of the average palm onto the track's.
    spread = np.swapaxes(weight * (target - centre[:, None]), 1, 2) @ (palm - middle[:, None])
    u, size, vt = np.linalg.svd(spread)
    u[..., -1] *= np.linalg.det(u @ vt)[:, None]
    rotation = u @ vt
    world_from_hand = rigid(rotation, centre - (rotation @ middle[..., None])[..., 0])

    neutral = bone_frames(shape, np.eye(4), np.zeros(DOF_COUNT))[1:16:3, :3, :3]
    chains = joints[:, 1:].reshape(-1, 5, 4, 3)
    bones = np.diff(chains, axis=2)
    bones = bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)
    x, y, z = np.moveaxis(np.einsum("fij,tki,tfk->tfj", neutral, rotation, bones[:, :, 0]), -1, 0)
    swing, flexion = np.arctan2(-x, np.abs(y)), np.arctan2(-z, y)
    bent = np.arccos(np.clip((bones[:, :, 1:] * bones[:, :, :-1]).sum(-1), -1, 1))
    angles = np.full((len(joints), DOF_COUNT), np.nan)
    angles[:, [0, 1, 2, 3, 4]] = np.stack(
        [flexion[:, 0], swing[:, 0], bent[:, 0, 0], 0 * bent[:, 0, 0], bent[:, 0, 1]], -1
    )
    angles[:, 5:21:4] = flexion[:, 1:]
    angles[:, 6:21:4] = swing[:, 1:] * (1, 1, -1, -1)
    angles[:, 7:21:4] = bent[:, 1:, 0]
    angles[:, 8:21:4] = bent[:, 1:, 1] - DIP_OF_PIP * bent[:, 1:, 0]
    angles = clamp(np.where(np.isfinite(angles), angles, relaxed))
    angles[:, _FITTED:] = 0

    unknown = (seen[:, _BASES].sum(1) < 3) | (size[:, 1] < 1e-6)
    world_from_hand[unknown], angles[unknown] = np.nan, np.nan
    return HandPose(world_from_hand, angles)


def _rows(pose: HandPose, rows: np.ndarray) -> HandPose:
    return HandPose(pose.world_from_hand[rows], pose.angles[rows])


def _fit_shape(shape: HandShape, pose: HandPose, joints: np.ndarray) -> HandShape:
    """Poses and shape together; only the shape is kept."""
    guess = parameters = _to_parameters(shape)
    pull = _GUESS**2 * len(joints)
    cost = _cost(shape, pose, joints).sum()
    damping = 1e-3
    for _ in range(_SHAPE_ROUNDS):
        H, g, J, weighted = _normal_equations(shape, pose, joints)
        S = _shape_jacobian(shape, pose)
        cross = np.swapaxes(J, 1, 2) @ (weighted[0][..., None] * S)
        A = (np.swapaxes(S, 1, 2) @ (weighted[0][..., None] * S)).sum(0) + pull * np.eye(30)
        b = (np.swapaxes(S, 1, 2) @ weighted[1][..., None]).sum(0)[:, 0] + pull * (parameters - guess)
        solved = np.linalg.solve(_damped(H, damping), np.concatenate([g[..., None], cross], -1))
        reduced = A - (np.swapaxes(cross, 1, 2) @ solved[..., 1:]).sum(0)
        right = b - (np.swapaxes(cross, 1, 2) @ solved[..., :1]).sum(0)[:, 0]
        delta = -np.linalg.solve(_damped(reduced, damping), right)
        moved = _moved(pose, -solved[..., 0] - solved[..., 1:] @ delta)
        tried = _from_parameters(shape, parameters + delta)
        new_cost = _cost(tried, moved, joints).sum() + pull * ((parameters + delta - guess) ** 2).sum()
        if new_cost < cost:
            done = cost - new_cost < _CONVERGED_M2 * len(joints)
            shape, pose, parameters, cost, damping = tried, moved, parameters + delta, new_cost, damping / 5
            if done:
                break
        else:
            damping *= 10
    return shape


def _fit_poses(shape: HandShape, pose: HandPose, joints: np.ndarray) -> HandPose:
    """Every frame on its own, all at once: each has its own damping, and leaves when it has converged."""
    world_from_hand, angles = pose.world_from_hand.copy(), pose.angles.copy()
    cost, damping = _cost(shape, pose, joints), np.full(len(joints), 1e-3)
    active = np.arange(len(joints))
    for _ in range(_POSE_ROUNDS):
        now = HandPose(world_from_hand[active], angles[active])
        H, g, _, _ = _normal_equations(shape, now, joints[active])
        moved = _moved(now, -np.linalg.solve(_damped(H, damping[active, None]), g[..., None])[..., 0])
        new_cost = _cost(shape, moved, joints[active])
        better = new_cost < cost[active]
        gain = cost[active] - new_cost
        rows = active[better]
        world_from_hand[rows], angles[rows] = moved.world_from_hand[better], moved.angles[better]
        cost[rows] = new_cost[better]
        damping[active] = np.clip(np.where(better, damping[active] / 5, damping[active] * 10), 1e-9, 1e6)
        active = active[~(better & (gain < _CONVERGED_M2)) & (damping[active] < 1e6)]
        if len(active) == 0:
            break
    return HandPose(world_from_hand, angles)


def _cost(shape: HandShape, pose: HandPose, joints: np.ndarray) -> np.ndarray:
    error = np.linalg.norm(forward(shape, pose.world_from_hand, pose.angles) - joints, axis=-1)
    error = np.where(np.isfinite(error), error, 0.0)
    huber = np.where(error < _OUTLIER_M, error**2, _OUTLIER_M * (2 * error - _OUTLIER_M))
    beyond, away = _pulls(pose.angles)
    return np.asarray(huber.sum(-1) + (beyond**2).sum(-1) + (away**2).sum(-1))


def _pulls(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    beyond = _LIMIT_M * (angles - clamp(angles))
    away = _RELAXED_M * (angles - grasp("relaxed"))
    return beyond[:, :_FITTED], away[:, :_FITTED]


def _normal_equations(
    shape: HandShape, pose: HandPose, joints: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Hessian and gradient of each frame's pose (translation, rotation, angles), the Jacobian, weights and weighted
    residuals."""
    at = forward(shape, pose.world_from_hand, pose.angles)
    error = np.where(np.isfinite(joints), at - joints, 0.0)
    size = np.linalg.norm(error, axis=-1)
    weight = np.isfinite(joints).all(-1) / np.maximum(size / _OUTLIER_M, 1.0)
    weight = np.repeat(weight, 3, axis=-1)
    weighted = weight * error.reshape(len(joints), -1)
    J = _pose_jacobian(shape, pose, at)
    H = np.swapaxes(J, 1, 2) @ (weight[..., None] * J)
    g = (np.swapaxes(J, 1, 2) @ weighted[..., None])[..., 0]
    beyond, away = _pulls(pose.angles)
    diagonal = np.arange(6, 6 + _FITTED)
    H[:, diagonal, diagonal] += (beyond != 0) * _LIMIT_M**2 + _RELAXED_M**2
    g[:, 6:] += _LIMIT_M * beyond + _RELAXED_M * away
    return H, g, J, (weight, weighted)


def _pose_jacobian(shape: HandShape, pose: HandPose, at: np.ndarray) -> np.ndarray:
    T = len(at)
    J = np.zeros((T, 21, 3, 6 + _FITTED))
    J[..., :3] = np.eye(3)
    x, y, z = np.moveaxis(at - pose.world_from_hand[:, None, :3, 3], -1, 0)
    zero = np.zeros_like(x)
    J[..., 3:6] = np.stack([np.stack(c, -1) for c in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], -1)
    # A finger's joints depend on its own angles only, so one step moves one angle of every finger at a time.
    for k in range(5):
        columns = [k, *(range(5 + k, 21, 4) if k < 4 else ())]
        change = _change(shape, pose, at, columns)
        for column in columns:
            finger = 0 if column < 5 else (column - 1) // 4
            J[:, 1 + 4 * finger : 5 + 4 * finger, :, 6 + column] = change[:, 1 + 4 * finger : 5 + 4 * finger]
    J[..., 27] = _change(shape, pose, at, [21])
    return J.reshape(T, 63, -1)


def _change(shape: HandShape, pose: HandPose, at: np.ndarray, columns: list[int]) -> np.ndarray:
    angles = pose.angles.copy()
    angles[:, columns] += _STEP_RAD
    return np.asarray((forward(shape, pose.world_from_hand, angles) - at) / _STEP_RAD)


def _shape_jacobian(shape: HandShape, pose: HandPose) -> np.ndarray:
    """Joints by the shape's 30 parameters: five base positions in the hand frame, then 15 phalanges."""
    frames = bone_frames(shape, pose.world_from_hand, pose.angles)
    J = np.zeros((len(frames), 21, 3, 30))
    for finger in range(5):
        joints = slice(1 + 4 * finger, 5 + 4 * finger)
        metacarpal = 0 if finger < 3 else FRAMES.index("ring_metacarpal") + finger - 3
        J[:, joints, :, 3 * finger : 3 * finger + 3] = frames[:, None, metacarpal, :3, :3]
        for k in range(3):
            beyond = slice(2 + 4 * finger + k, 5 + 4 * finger)
            J[:, beyond, :, 15 + 3 * finger + k] = frames[:, None, 1 + 3 * finger + k, :3, 1]
    return J.reshape(len(frames), 63, 30)


def _to_parameters(shape: HandShape) -> np.ndarray:
    lengths = shape.lengths_m.reshape(5, 4)
    return np.concatenate([(lengths[:, :1] * shape.base_directions).ravel(), lengths[:, 1:].ravel()])


def _from_parameters(shape: HandShape, parameters: np.ndarray) -> HandShape:
    bases = parameters[:15].reshape(5, 3)
    reach = np.linalg.norm(bases, axis=-1, keepdims=True)
    lengths = np.concatenate([reach, np.maximum(parameters[15:].reshape(5, 3), 1e-3)], 1).ravel()
    return replace(shape, lengths_m=lengths, base_directions=bases / reach)


def _moved(pose: HandPose, delta: np.ndarray) -> HandPose:
    moved = pose.world_from_hand.copy()
    moved[:, :3, 3] += delta[:, :3]
    moved[:, :3, :3] = rotation_from_vector(delta[:, 3:6]) @ moved[:, :3, :3]
    angles = pose.angles.copy()
    angles[:, :_FITTED] += np.clip(delta[:, 6:], -0.5, 0.5)
    return HandPose(moved, angles)


def _damped(H: np.ndarray, damping: float | np.ndarray) -> np.ndarray:
    """Marquardt's scaling: the diagonal grows by a share of itself."""
    damped = H.copy()
    diagonal = np.arange(H.shape[-1])
    damped[..., diagonal, diagonal] += damping * H[..., diagonal, diagonal] + 1e-12
    return damped
