"""How a hand takes hold of a box or cylinder: where the hand is and how far each finger closes until it touches."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from handloom.geometry import apply_rigid, rigid, rotation_from_vector
from handloom.simulate.clearance import PRESSED, flesh_m
from handloom.simulate.hand import DOF_NAMES, HandShape, clamp, forward, grasp
from handloom.simulate.props import Form, Hold, half_size
from handloom.skeleton import FINGERS, LEFT

MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
_LIFTS = 3
"""Rounds of closing the fingers and lifting the hand off the table: each changes the other, ever less."""
_CURLS = np.linspace(-0.3, 1, 53)
"""How far a finger is closed: 0 as the hand opens for the grip, below that straighter still, 1 closed on nothing."""
_GRASPS = {Hold.WRAP: "power", Hold.PINCH: "tripod", Hold.EDGE: "pinch"}


@dataclass(frozen=True, eq=False)
class Grip:
    """A hand on a thing.

    Attributes:
        thing_from_hand: the hand frame in the frame of the thing.
        open_angles, closed_angles: before and while it holds.
        retreat_m: where the hand goes from there, in its own frame, to be clear of the thing.
    """

    thing_from_hand: Float[np.ndarray, "4 4"]
    open_angles: Float[np.ndarray, "24"]
    closed_angles: Float[np.ndarray, "24"]
    retreat_m: Float[np.ndarray, "3"]


def grip(shape: HandShape, side: int, hold: Hold, form: Form, size_m: tuple[float, float, float]) -> Grip:
    """The grip of a left or right hand of this shape on a thing. Things are symmetric in x, so sides are mirrored."""
    right = _right_grip(shape, hold, form, size_m)
    if side != LEFT:
        return right
    return Grip(
        MIRROR @ right.thing_from_hand @ MIRROR, right.open_angles, right.closed_angles, right.retreat_m * (-1, 1, 1)
    )


@lru_cache(maxsize=512)
def _right_grip(shape: HandShape, hold: Hold, form: Form, size_m: tuple[float, float, float]) -> Grip:
    half = half_size(size_m)
    opened, closed = grasp(_GRASPS[hold], 1.0), grasp(_GRASPS[hold], 0.0)
    thing_from_hand, retreat = _place(shape, hold, form, half)
    curls = opened + _CURLS[:, None] * (closed - opened)
    for _ in range(_LIFTS):
        angles = _closed(shape, thing_from_hand, opened, curls, form, half)
        # The thing may lie on a table, which is no place for fingers.
        way = angles + np.linspace(0, 1, 5)[:, None] * (opened - angles)
        joints = forward(shape, thing_from_hand, way)
        thing_from_hand[2, 3] += max(0.0, float((flesh_m(shape) - joints[..., 2]).max()) - half[2])
    return Grip(thing_from_hand, opened, clamp(angles), retreat)


def _closed(
    shape: HandShape,
    thing_from_hand: Float[np.ndarray, "4 4"],
    opened: Float[np.ndarray, "24"],
    curls: Float[np.ndarray, "curls 24"],
    form: Form,
    half: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "24"]:
    """Every finger as far along `curls` as it goes before it presses into the thing."""
    joints = apply_rigid(thing_from_hand, forward(shape, np.eye(4), clamp(curls)))
    angles = opened.copy()
    for finger, name in enumerate(FINGERS):
        first = 1 + 4 * finger
        touching = _touches(joints[:, first : first + 4], shape.radii_m[first : first + 4], form, half)
        stop = int(np.argmax(touching)) if touching.any() else len(_CURLS) - 1
        own = [i for i, dof in enumerate(DOF_NAMES) if dof.startswith(name)]
        angles[own] = curls[max(stop - 1, 0)][own]
    return angles


def _place(
    shape: HandShape, hold: Hold, form: Form, half: Float[np.ndarray, "3"]
) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "3"]]:
    """`thing_from_hand` of a right hand, and the way out in the hand frame."""
    knuckle = float(shape.lengths_m[8])  # wrist to middle MCP
    thickness = float(shape.radii_m[9])
    if hold is Hold.PINCH:
        # Fingers point forward and down; the finger tips meet just below the top.
        joints = forward(shape, np.eye(4), grasp(_GRASPS[hold], 0.25))
        meeting = (joints[4] + joints[[8, 12]].mean(0)) / 2
        pitch = rotation_from_vector(np.array([np.radians(-20), 0, 0]))
        across = pitch @ (joints[[8, 12]].mean(0) - joints[4])
        yaw = -np.arctan2(across[1], across[0])
        yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2  # either way round; the smaller turn
        rotation = rotation_from_vector(np.array([0, 0, np.clip(yaw, -0.6, 0.9)])) @ pitch
        place = np.array([0, 0, max(half[2] - 0.014, 0.0)])
        return rigid(rotation, place - rotation @ meeting), rotation.T @ np.array([0, -0.02, 0.07])
    if hold is Hold.WRAP:
        # Thumb up, palm to the left; turned so that the forearm comes from the person.
        upright = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
        # A round body is held from the person's side; on a box the palm lies flat.
        rotation = rotation_from_vector(np.array([0, 0, np.radians(30 if form is Form.CYLINDER else 0)])) @ upright
        # The near edge of a box stays clear of the root of the thumb.
        ahead = 1.02 * knuckle if form is Form.CYLINDER else max(1.02 * knuckle, 0.72 * knuckle + half[1])
        inner = np.array([0.004, ahead, -(thickness + half[0])])
        return rigid(rotation, -rotation @ inner), np.array([0.0, -0.05, 0.05])
    # Finger tips on top, near the right end of the near edge; the thumb before that edge.
    rotation = rotation_from_vector(np.array([0, 0, np.radians(45)]))
    joints = forward(shape, np.eye(4), grasp(_GRASPS[hold], 0.5)) @ rotation.T
    place = np.array([max(half[0] - 0.035, 0.0), -half[1] - shape.radii_m[4], half[2] + shape.radii_m[8]])
    inner = np.array([*joints[4, :2], joints[[8, 12], 2].mean()])
    return rigid(rotation, place - inner), np.array([0.0, -0.04, 0.05])


def _touches(
    joints: Float[np.ndarray, "curls 4 3"], radii: Float[np.ndarray, "4"], form: Form, half: Float[np.ndarray, "3"]
) -> np.ndarray:
    """Whether a finger presses into the thing, for each degree of closing."""
    shares = np.linspace(0, 1, 5)[1:, None]
    points = joints[:, 1:3, None] + shares * (joints[:, 2:4] - joints[:, 1:3])[:, :, None]
    thick = radii[1:3, None] + shares[:, 0] * (radii[2:4] - radii[1:3])[:, None]
    return np.asarray((signed_distance(points, form, half) < PRESSED * thick).any((1, 2)))


def signed_distance(
    points: Float[np.ndarray, "*batch 3"], form: Form, half: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "*batch"]:
    """Distance of points from the surface of a box or upright cylinder, negative inside."""
    if form is Form.CYLINDER:
        radial = np.linalg.norm(points[..., :2], axis=-1) - half[0]
        outside = np.stack([radial, np.abs(points[..., 2]) - half[2]], -1)
    else:
        outside = np.abs(points) - half
    return np.asarray(np.linalg.norm(np.maximum(outside, 0), axis=-1) + np.minimum(outside.max(-1), 0))
