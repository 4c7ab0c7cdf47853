"""A coordinate frame for every hand in every frame: wrist at the origin, turned as the palm is (G-HTT, supplement)."""

import numpy as np
from jaxtyping import Float

from handloom.errors import InputError
from handloom.geometry.alignment import align_rigid
from handloom.geometry.arrays import Array, array_namespace, like
from handloom.geometry.transforms import rigid
from handloom.skeleton import KNUCKLES, PALM, WRIST

_RIGHT_PALM_M = np.array(
    [[0.0, 0.0, 0.0], [-0.024, -0.089, 0.002], [-0.003, -0.090, 0.0], [0.016, -0.083, 0.003], [0.033, -0.073, 0.009]]
)
PALM_TEMPLATE_M = np.stack([_RIGHT_PALM_M * [-1, 1, 1], _RIGHT_PALM_M])
"""Our own mean palm, left and right: wrist, then the knuckles of index, middle, ring and little finger, slightly
arched. Seen from the back with fingers up: x right, y down, z away. Features and weights depend on it."""

HAND_SIZE_M = 0.085
"""Palm size of a hand that was never seen well enough to be measured."""


def palm_size(joints: Float[Array, "*batch 21 3"]) -> Float[Array, "*batch"]:
    """Mean distance from the wrist to the four knuckles, in the unit of the joints; NaN if one is missing."""
    xp = array_namespace(joints)
    bones = joints[..., list(KNUCKLES), :] - joints[..., WRIST, None, :]
    return xp.mean(xp.sqrt(xp.sum(bones * bones, axis=-1)), axis=-1)


def camera_from_hand(
    joints: Float[Array, "*batch 2 21 3"], template: Float[np.ndarray, "2 5 3"] = PALM_TEMPLATE_M
) -> Float[Array, "*batch 2 4 4"]:
    """The frame of every hand: the rotation that fits the palm best to the template, the wrist as origin.

    Args:
        joints: of both hands, left first; NaN where missing.
        template: the palm of either hand, scaled here to the size of the hand.

    Returns:
        Rigid transforms; NaN where a joint of the palm is missing or the palm has no plane.

    Raises:
        InputError: another shape.
    """
    if joints.ndim < 3 or tuple(joints.shape[-3:]) != (2, 21, 3):
        raise InputError(f"hand frames need joints (..., 2, 21, 3) of both hands, found {tuple(joints.shape)}")
    xp = array_namespace(joints)
    palm = joints[..., list(PALM), :] - joints[..., WRIST, None, :]
    bones = np.linalg.norm(template[:, 1:] - template[:, :1], axis=-1).mean(-1)
    unit = like((template - template[:, :1]) / bones[:, None, None], joints)
    size = palm_size(joints)
    fit = align_rigid(palm, xp.broadcast_to(unit * size[..., None, None], palm.shape))
    known = fit.valid & xp.isfinite(size)
    rotation = xp.where(known[..., None, None], xp.matrix_transpose(fit.rotation), float("nan"))
    return rigid(rotation, joints[..., WRIST, :])


def right_palm_turn(joints: Float[np.ndarray, "hands 21 3"]) -> Float[np.ndarray, "hands 3 3"]:
    """How right hands, or left ones in the mirror, are turned: see `camera_from_hand`; none where that is not known."""
    both = np.stack([np.full_like(joints, np.nan), joints], 1)
    turn = np.asarray(camera_from_hand(both)[:, 1, :3, :3])
    return np.where(np.isfinite(turn).all((1, 2))[:, None, None], turn, np.eye(3))
