"""`Motion`: sampled movement of two hands and some things, and the ways to turn and join such movements."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from handloom.geometry import invert_rigid

WORLD = -1
FIRST_THING = 2
"""In `Motion.holder`: -1 the world, 0 and 1 the left and right hand, 2 + k the thing k that it is part of."""

_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


class Phase(IntEnum):
    """What a hand is doing."""

    REST = 0
    REACH = 1
    GRASP = 2
    MANIPULATE = 3
    RELEASE = 4


_REVERSED_PHASE = np.array([Phase.REST, Phase.REACH, Phase.RELEASE, Phase.MANIPULATE, Phase.GRASP], dtype=np.int8)


@dataclass(frozen=True)
class Stretch:
    """Frames `start` ... `end` - 1 show one action, given by its place in the taxonomy."""

    action: int
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Motion:
    """T frames of both hands and of the things that they handle, in the world frame.

    Attributes:
        frame_rate: frames per second.
        world_from_hand: hand frames of `hand`; axis 1 is left, right.
        angles: radians, in the order of `hand.DOF_NAMES`.
        things: names.
        world_from_thing: pose of each.
        holder: what each thing is fixed to. While that does not change, its pose relative to it is constant.
        phase: a `Phase` per hand.
        in_use: index of the thing that is acted on, -1 for none.
        stretches: the labelled actions, in order of time.
    """

    frame_rate: float
    world_from_hand: Float[np.ndarray, "T 2 4 4"]
    angles: Float[np.ndarray, "T 2 24"]
    things: tuple[str, ...]
    world_from_thing: Float[np.ndarray, "T things 4 4"]
    holder: Int[np.ndarray, "T things"]
    phase: Int[np.ndarray, "T 2"]
    in_use: Int[np.ndarray, "T"]
    stretches: tuple[Stretch, ...] = ()

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.world_from_hand)

    def held_in(self, hand: int, thing: int) -> Float[np.ndarray, "T 4 4"]:
        """`hand_from_thing` of every frame; constant wherever `holder` is that hand."""
        return np.asarray(invert_rigid(self.world_from_hand[:, hand]) @ self.world_from_thing[:, thing])

    def labels(self) -> Int[np.ndarray, "T"]:
        """Index of the action of every frame, -1 between actions."""
        labels = np.full(len(self), -1)
        for stretch in self.stretches:
            labels[stretch.start : stretch.end] = stretch.action
        return labels

    def backwards(self) -> "Motion":
        """The same movement with time running the other way. What was taken up is now put down."""
        T = len(self)
        return replace(
            self,
            world_from_hand=self.world_from_hand[::-1],
            angles=self.angles[::-1],
            world_from_thing=self.world_from_thing[::-1],
            holder=self.holder[::-1],
            phase=_REVERSED_PHASE[self.phase[::-1]],
            in_use=self.in_use[::-1],
            stretches=tuple(Stretch(s.action, T - s.end, T - s.start) for s in reversed(self.stretches)),
        )

    def mirrored(self) -> "Motion":
        """The same movement by a person of the other handedness: x is negated and the hands are exchanged."""
        hands = np.where(np.isin(self.holder, (0, 1)), 1 - self.holder, self.holder)
        return replace(
            self,
            world_from_hand=_MIRROR @ self.world_from_hand[:, ::-1] @ _MIRROR,
            angles=self.angles[:, ::-1],
            world_from_thing=_MIRROR @ self.world_from_thing @ _MIRROR,
            holder=hands,
            phase=self.phase[:, ::-1],
        )

    def labelled(self, action: int) -> "Motion":
        """All frames as one labelled action."""
        return replace(self, stretches=(Stretch(action, 0, len(self)),))

    def __getitem__(self, frames: slice) -> "Motion":
        """A range of frames; stretches are cut to it."""
        start, end, _ = frames.indices(len(self))
        cut = (
            Stretch(s.action, max(s.start, start) - start, min(s.end, end) - start)
            for s in self.stretches
            if min(s.end, end) > max(s.start, start)
        )
        arrays: dict[str, Any] = {name: getattr(self, name)[start:end] for name in _ARRAYS}
        return replace(self, **arrays, stretches=tuple(cut))


_ARRAYS = ("world_from_hand", "angles", "world_from_thing", "holder", "phase", "in_use")


def join(motions: Sequence[Motion]) -> Motion:
    """Motions of the same things one after the other."""
    offsets = np.cumsum([0, *(len(motion) for motion in motions)])
    arrays: dict[str, Any] = {name: np.concatenate([getattr(motion, name) for motion in motions]) for name in _ARRAYS}
    return replace(
        motions[0],
        **arrays,
        stretches=tuple(
            Stretch(s.action, s.start + int(offset), s.end + int(offset))
            for motion, offset in zip(motions, offsets)
            for s in motion.stretches
        ),
    )
