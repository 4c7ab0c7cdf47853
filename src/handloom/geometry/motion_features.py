"""Hand motion as numbers that a network reads, 153 per frame, and back (G-HTT, supplement; docs/ghtt.md).

Per frame: the joints of the left hand in its own frame over its palm size (63), those of the right (63), how the left
and the right hand moved since the frame before (9 + 9), where the left hand is in the frame of the right (9). A motion
is the first two columns of its rotation and its translation; that between frames counts 10 per metre.

A base is the frame that a trajectory hangs on: that of the last observed frame, in forecasts.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation, Slerp

from handloom.errors import InputError
from handloom.geometry.arrays import Array, array_namespace, like
from handloom.geometry.hand_frames import HAND_SIZE_M, PALM_TEMPLATE_M, camera_from_hand, palm_size
from handloom.geometry.transforms import apply_rigid, invert_rigid, rigid
from handloom.skeleton import HANDS, JOINT_COUNT, LEFT, PALM, RIGHT

FEATURES = 153
LOCAL_JOINTS, VELOCITIES, LEFT_TO_RIGHT = slice(0, 126), (slice(126, 135), slice(135, 144)), slice(144, 153)
"""Where the parts of the 153 stand; both velocities are one block, 126 ... 143."""
MOTION = slice(126, 144)
PER_METRE = 10.0
"""Unit of translations between frames; that from hand to hand is in metres."""
STILL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0)


class HandMotion(NamedTuple):
    """T frames of both hands as features, with what it takes to go back.

    Attributes:
        features: see above; 0 for joints that are not `known`.
        camera_from_hand: frame of each hand; interpolated in gaps, held at the ends, identity if never seen.
        sizes_m: palm sizes, filled likewise; `HAND_SIZE_M` if never seen.
        known: joints that were seen, of hands whose palm was.
        present: hands whose palm was seen.
    """

    features: Float[np.ndarray, "T 153"]
    camera_from_hand: Float[np.ndarray, "T 2 4 4"]
    sizes_m: Float[np.ndarray, "T 2"]
    known: Bool[np.ndarray, "T 2 21"]
    present: Bool[np.ndarray, "T 2"]

    def part(self, frames: slice) -> "HandMotion":
        """A stretch as a sequence of its own: its first frame has no motion."""
        features = self.features[frames].copy()
        features[:1, MOTION] = STILL * 2
        return HandMotion(features, *(values[frames] for values in self[1:]))

    def without(self, hidden: Bool[np.ndarray, "T 2"]) -> "HandMotion":
        """The same as if hands had not been seen in some frames."""
        present = self.present & ~hidden
        known = self.known & present[..., None]
        frames, sizes = _without_holes(self.camera_from_hand, self.sizes_m, present)
        joints = np.where(np.repeat(known.reshape(len(known), -1), 3, -1), self.features[:, LOCAL_JOINTS], 0)
        features = np.concatenate([joints, _between(frames, present)], -1)
        return HandMotion(features, frames, sizes, known, present)


def hand_motion(
    joints_m: Float[np.ndarray, "T 2 21 3"],
    valid: Bool[np.ndarray, "T 2 21"] | None = None,
    template: Float[np.ndarray, "2 5 3"] = PALM_TEMPLATE_M,
) -> HandMotion:
    """Features of a sequence of hands, in double precision.

    A hand whose wrist or a knuckle is missing has no frame of its own; its motion through a gap is interpolated, so
    that what comes behind hangs together with what was before.

    Args:
        joints_m: metres, in a frame that rests (or a camera that does).
        valid: which joints count; by default those that are finite.
        template: palm of the left and the right hand.

    Raises:
        InputError: another shape.
    """
    if joints_m.ndim != 4 or joints_m.shape[1:] != (len(HANDS), JOINT_COUNT, 3) or not len(joints_m):
        raise InputError(f"expected joints (T, 2, 21, 3) of one frame or more, found {joints_m.shape}")
    joints = joints_m.astype(np.float64)
    seen = np.asarray(np.isfinite(joints).all(-1))
    if valid is not None:
        seen &= valid
    joints = np.where(seen[..., None], joints, np.nan)
    frames, sizes = camera_from_hand(joints, template), palm_size(joints)
    present = seen[..., PALM].all(-1) & np.isfinite(frames).all((-2, -1)) & (sizes > 0)
    frames, sizes = _without_holes(frames, sizes, present)
    known = seen & present[..., None]
    local = apply_rigid(invert_rigid(frames), joints) / sizes[..., None, None]
    joints = np.where(known[..., None], local, 0).reshape(len(joints), -1)
    return HandMotion(np.concatenate([joints, _between(frames, present)], -1), frames, sizes, known, present)


def trajectory(features: Float[Array, "*batch T 153"]) -> Float[Array, "*batch T 2 4 4"]:
    """`base_from_hand` of every frame and hand, from the features' velocities; the base precedes the first frame."""
    xp = array_namespace(features)
    velocities = from_pose9(xp.reshape(features[..., MOTION], (*features.shape[:-1], 2, 9)), PER_METRE)
    steps = [velocities[..., 0, :, :, :]]
    for t in range(1, features.shape[-2]):
        steps.append(steps[-1] @ velocities[..., t, :, :, :])
    return xp.stack(steps, axis=-4)


def local_joints(features: Float[Array, "*batch T 153"]) -> Float[Array, "*batch T 2 21 3"]:
    """Joints of each hand in its own frame, in palm sizes."""
    xp = array_namespace(features)
    return xp.reshape(features[..., LOCAL_JOINTS], (*features.shape[:-1], 2, JOINT_COUNT, 3))


def joints_from_features(
    features: Float[Array, "*#batch T 153"],
    camera_from_base: Float[Array, "*#batch 2 4 4"],
    sizes_m: Float[Array, "*#batch #T 2"],
) -> Float[Array, "... T 2 21 3"]:
    """Joints in camera space from features of a motion that begins at a base. Batch axes broadcast.

    Args:
        features: of the frames behind the base.
        camera_from_base: frame of each hand in the base frame.
        sizes_m: palm sizes of all frames, or of the one row for all.
    """
    frames = camera_from_base[..., None, :, :, :] @ trajectory(features)
    return apply_rigid(frames, local_joints(features) * sizes_m[..., None, None])


def unit_palms(features: Float[Array, "*batch T 153"]) -> Float[Array, "*batch T 153"]:
    """Features whose local joints are scaled so that every palm has size 1, as those of real hands do."""
    xp = array_namespace(features)
    joints = local_joints(features)
    scaled = xp.reshape(joints / palm_size(joints)[..., None, None], (*features.shape[:-1], -1))
    return xp.concat([scaled, features[..., MOTION.start :]], axis=-1)


def to_pose9(transform: Float[Array, "*batch 4 4"], per_metre: float) -> Float[Array, "*batch 9"]:
    """Nine numbers of a rigid transform: two columns of the rotation, and the translation in its unit."""
    xp = array_namespace(transform)
    return xp.concat([transform[..., :3, 0], transform[..., :3, 1], per_metre * transform[..., :3, 3]], axis=-1)


def from_pose9(pose: Float[Array, "*batch 9"], per_metre: float) -> Float[Array, "*batch 4 4"]:
    """The rigid transform of nine numbers; the two columns are made orthonormal (Zhou et al., CVPR 2019)."""
    xp = array_namespace(pose)
    x = _unit(pose[..., :3])
    y = pose[..., 3:6] - xp.sum(x * pose[..., 3:6], axis=-1, keepdims=True) * x
    y = _unit(y)
    z = xp.linalg.cross(x, y)
    return rigid(xp.stack([x, y, z], axis=-1), pose[..., 6:] / per_metre)


def _unit(vectors: Float[Array, "*batch 3"]) -> Float[Array, "*batch 3"]:
    xp = array_namespace(vectors)
    length = xp.sqrt(xp.sum(vectors * vectors, axis=-1, keepdims=True))
    return vectors / xp.maximum(length, like([1e-12], vectors))


def _between(frames: Float[np.ndarray, "T 2 4 4"], present: Bool[np.ndarray, "T 2"]) -> Float[np.ndarray, "T 27"]:
    """Both velocities, and left to right; the latter is that of equal frames where a hand never was."""
    T = len(frames)
    velocity = to_pose9(invert_rigid(np.concatenate([frames[:1], frames[:-1]])) @ frames, PER_METRE).reshape(T, -1)
    velocity[0] = STILL * 2
    pair = to_pose9(invert_rigid(frames[:, RIGHT]) @ frames[:, LEFT], 1.0)
    return np.concatenate([velocity, pair if present.any(0).all() else np.tile(STILL, (T, 1))], -1)


def _without_holes(
    frames: Float[np.ndarray, "T 2 4 4"], sizes: Float[np.ndarray, "T 2"], present: Bool[np.ndarray, "T 2"]
) -> tuple[Float[np.ndarray, "T 2 4 4"], Float[np.ndarray, "T 2"]]:
    each = [_filled(frames[:, hand], sizes[:, hand], present[:, hand]) for hand in range(len(HANDS))]
    return np.stack([frame for frame, _ in each], 1), np.stack([size for _, size in each], 1)


def _filled(
    frames: Float[np.ndarray, "T 4 4"], sizes: Float[np.ndarray, "T"], present: Bool[np.ndarray, "T"]
) -> tuple[Float[np.ndarray, "T 4 4"], Float[np.ndarray, "T"]]:
    """Frames and sizes without holes: between sightings interpolated, before and behind them held."""
    seen, all_frames = np.flatnonzero(present), np.arange(len(present))
    if not len(seen):
        return np.broadcast_to(np.eye(4), frames.shape), np.full(len(sizes), HAND_SIZE_M)
    if len(seen) == len(present):
        return frames, sizes
    sizes = np.interp(all_frames, seen, sizes[seen])
    where = np.clip(all_frames, seen[0], seen[-1])
    origins = np.stack([np.interp(where, seen, frames[seen, axis, 3]) for axis in range(3)], -1)
    if len(seen) == 1:
        return rigid(np.broadcast_to(frames[seen, :3, :3], (len(present), 3, 3)), origins), sizes
    turns = Slerp(seen, Rotation.from_matrix(frames[seen, :3, :3]))(where).as_matrix()
    turns[seen] = frames[seen, :3, :3]
    return rigid(turns, origins), sizes
