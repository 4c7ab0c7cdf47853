"""No hand goes through the table: hands are lifted, with what they hold, by as little as it takes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import maximum_filter1d

from handloom.simulate.hand import HandShape, forward
from handloom.simulate.motion import FIRST_THING, WORLD, Motion
from handloom.simulate.props import Part, Prop, half_size

PRESSED = 0.8
"""Share of the radius at a joint that stays outside of what the hand presses on."""
_WRIST_DEPTH = 0.7
"""A wrist is less deep than broad, by so much (our estimate)."""
_SMOOTH_S = 0.2
_CORNERS = np.array(np.meshgrid(*[(-1.0, 1.0)] * 3)).reshape(3, 8).T


def flesh_m(shape: HandShape) -> Float[np.ndarray, "21"]:
    """How far the joints of a hand that lies on a table are above it."""
    radii = PRESSED * shape.radii_m
    radii[0] *= _WRIST_DEPTH
    return radii


def cleared(
    motion: Motion, shapes: tuple[HandShape, ...], hands: tuple[int, ...], props: Mapping[str, Prop | Part]
) -> Motion:
    """The motion with both hands, and all that is in them, lifted where one would go through the table.

    Both are lifted alike, so what one hand does to a thing in the other stays as it was; and rigidly with what they
    hold. Where a thing is taken from the table or put on it nothing is lifted: there the grip has to be clear.

    Args:
        motion: as it was acted out.
        shapes: left and right hand.
        hands: those that count.
        props: the things by name.
    """
    T = len(motion)
    holding = _roots(motion)
    need = np.zeros(T)
    for hand in hands:
        joints = forward(shapes[hand], motion.world_from_hand[:, hand], motion.angles[:, hand])
        need = np.maximum(need, (flesh_m(shapes[hand]) - joints[..., 2]).max(-1))
    for k, name in enumerate(motion.things):
        corners = _CORNERS * half_size(props[name].size_m)
        pose = motion.world_from_thing[:, k]
        lowest = (pose[:, None, 2, :3] @ corners.T)[:, 0].min(-1) + pose[:, 2, 3]
        need = np.maximum(need, np.where(holding[:, k], -lowest, 0))
    reach = max(1, round(_SMOOTH_S * motion.frame_rate))
    changes = np.asarray(np.diff(holding, axis=0).any(-1))
    rise = _smooth(need, reach) * _away(changes, reach)
    lifted, things = motion.world_from_hand.copy(), motion.world_from_thing.copy()
    lifted[..., 2, 3] += rise[:, None]
    things[..., 2, 3] += rise[:, None] * holding
    return replace(motion, world_from_hand=lifted, world_from_thing=things)


def _roots(motion: Motion) -> Bool[np.ndarray, "T things"]:
    """Which things are in a hand, or part of something that is."""
    frames = np.arange(len(motion))[:, None]
    holder = motion.holder
    part = holder >= FIRST_THING
    holder = np.where(part, holder[frames, np.where(part, holder - FIRST_THING, 0)], holder)
    return np.asarray((holder > WORLD) & (holder < FIRST_THING))


def _smooth(need: Float[np.ndarray, "T"], reach: int) -> Float[np.ndarray, "T"]:
    """A smooth curve that is nowhere below."""
    window = np.hanning(2 * reach + 3)[1:-1]
    highest = maximum_filter1d(need, 2 * reach + 1, mode="nearest")
    return np.convolve(np.pad(highest, reach, mode="edge"), window / window.sum(), mode="valid")


def _away(changes: Bool[np.ndarray, "steps"], reach: int) -> Float[np.ndarray, "T"]:
    """0 at the two frames of every change of hands, rising to 1 within `reach` frames."""
    T = len(changes) + 1
    marks = np.unique(np.concatenate([np.flatnonzero(changes), np.flatnonzero(changes) + 1]))
    if not len(marks):
        return np.ones(T)
    frames = np.arange(T)
    after = np.searchsorted(marks, frames)
    nearest = np.minimum(
        np.abs(frames - marks[np.minimum(after, len(marks) - 1)]), np.abs(frames - marks[np.maximum(after - 1, 0)])
    )
    return np.asarray(np.sin(0.5 * np.pi * np.minimum(nearest / reach, 1)) ** 2)
