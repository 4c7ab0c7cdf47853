"""What every gesture is made of: reach, grasp, carry, release, and the places of one recording."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from handloom.geometry import rigid, rotation_from_vector, vector_from_rotation
from handloom.simulate.clearance import flesh_m
from handloom.simulate.grips import MIRROR, Grip, grip
from handloom.simulate.hand import DOF_NAMES, HandShape, clamp, forward, grasp
from handloom.simulate.motion import FIRST_THING, WORLD, Phase
from handloom.simulate.props import Hold, Part, Prop
from handloom.simulate.stage import Move, Stage
from handloom.skeleton import LEFT, RIGHT

MAIN, OTHER = RIGHT, LEFT
"""The hand that does the fine work, and the one that holds; a left-handed person's motion is mirrored afterwards."""

_OFF_TABLE_M = 0.004
"""A resting hand wavers by so much."""

TURN_RAD = np.radians(52)
THREAD_M = 0.0015
"""How far one turn of the hand moves a screwed part along its axis."""


SLOTS = ((0.07, 0.03), (0.18, 0.10), (0.05, 0.17), (-0.20, 0.17), (0.24, 0.24), (-0.08, 0.28), (0.10, 0.32))
"""Where things stand on the table: the first ones are in easy reach of the hand that holds them."""


CURLS = [i for i, name in enumerate(DOF_NAMES) if "flexion" in name and not name.startswith("wrist")]
"""The degrees of freedom that close the hand."""


def pose(
    x: float, y: float, z: float, *, about: Float[np.ndarray, "3"] | tuple[float, float, float] = (0, 0, 0)
) -> Float[np.ndarray, "4 4"]:
    """A transform from a place in metres and a rotation vector in degrees."""
    turn = rotation_from_vector(np.radians(np.array(about, dtype=np.float64)))
    return np.asarray(rigid(turn, np.array([x, y, z], dtype=np.float64)))


@dataclass(frozen=True, eq=False)
class Places:
    """Where things are and go in one recording; consecutive actions share them, so that they fit together.

    Attributes:
        rest, hold: of the main thing, on the table and in the hand.
        lid_rest, content_rest: of its parts, beside it.
        socket: of the main thing in the frame of what it is put into.
        turns: how many turns a lid or screw takes.
    """

    rest: Float[np.ndarray, "4 4"]
    hold: Float[np.ndarray, "4 4"]
    lid_rest: Float[np.ndarray, "4 4"]
    content_rest: Float[np.ndarray, "4 4"]
    socket: Float[np.ndarray, "4 4"]
    turns: int

    @classmethod
    def sample(cls, rng: np.random.Generator, prop: Prop, host: Prop, holder: int, slot: int) -> "Places":
        """Places for a thing, what it may be put into, the hand that holds it, and where on the table it stands."""
        side = 1.0 if holder == MAIN else -1.0
        height = prop.size_m[2]

        def near(x: float, y: float, z: float, spread: float, turn: float) -> Float[np.ndarray, "4 4"]:
            dx, dy = rng.uniform(-spread, spread, 2)
            return pose(x + dx, y + dy, z, about=(0, 0, rng.uniform(-turn, turn)))

        x, y = SLOTS[slot]
        hold = near(side * 0.03, -0.03, max(0.10, height / 2 + 0.035), 0.03, 12)
        hold[2, 3] += rng.uniform(-0.02, 0.03)
        return cls(
            rest=near(side * x, y, height / 2, 0.02, 18),
            hold=hold,
            lid_rest=near(0.17, 0.0, 0.0 if prop.lid is None else prop.lid.size_m[2] / 2, 0.03, 30),
            content_rest=near(0.15, 0.03, 0.0 if prop.content is None else prop.content.size_m[2] / 2, 0.03, 30),
            socket=pose(0, rng.uniform(-0.2, 0.2) * host.size_m[1], host.size_m[2] / 2 + 0.35 * height),
            turns=int(rng.integers(1, 4)),
        )


@dataclass(eq=False)
class Actor:
    """A person on a stage with one main thing.

    Attributes:
        stage: the beats so far.
        places: of this recording.
        shape: the right hand; the left one is its mirror image.
        props: all things by name.
        noun: the main thing, "" for none.
        holder: the hand that holds the main thing.
        one_hand: the other hand stays where it is.
    """

    stage: Stage
    places: Places
    shape: HandShape
    props: dict[str, Prop | Part]
    noun: str
    holder: int
    one_hand: bool

    @property
    def rng(self) -> np.random.Generator:
        """All chance."""
        return self.stage.rng

    @property
    def size(self) -> float:
        """Size of this person's free movements, with a little variation."""
        return float(self.stage.style.amplitude * np.exp(self.rng.normal(0, 0.1)))

    def grip(self, hand: int, name: str) -> Grip:
        """How a hand takes hold of a thing; parts are pinched."""
        prop = self.props[name]
        hold = prop.hold if isinstance(prop, Prop) else Hold.PINCH
        return grip(self.shape, hand, hold, prop.form, prop.size_m)

    def reach(self, hand: int, name: str) -> None:
        """Move an open hand to where it can close on a thing. Sometimes that is broken off and begun anew."""
        hold = self.grip(hand, name)
        goal = self.stage.pose(name) @ hold.thing_from_hand
        ready = goal @ rigid(np.eye(3), hold.retreat_m)
        start = self.stage.world_from_hand[hand].copy()
        if self.rng.random() < self.stage.style.abort:
            there, back = self.rng.uniform(0.5, 0.8), self.rng.uniform(0.1, 0.35)
            self.stage.move(Move(hand, Phase.REACH, between(start, ready, there), angles=hold.open_angles))
            self.stage.move(Move(hand, Phase.REST, between(start, ready, back)))
        arc = float(self.rng.uniform(0.01, 0.05))
        self.stage.move(Move(hand, Phase.REACH, ready, angles=hold.open_angles, arc_m=arc))
        self.stage.move(Move(hand, Phase.REACH, goal))

    def grasp(self, hand: int, name: str) -> None:
        """Close the hand; from then on the thing moves with it."""
        self.stage.move(Move(hand, Phase.GRASP, angles=self.grip(hand, name).closed_angles), seconds=0.22)
        self.stage.fix(name, hand)
        self.stage.hesitate()

    def carry(self, hand: int, name: str, to: Float[np.ndarray, "4 4"], arc_m: float = 0.0) -> None:
        """Move the thing in a hand to a pose in the world."""
        self.stage.move(Move(hand, Phase.MANIPULATE, to, about=name, arc_m=arc_m))

    def shift(self, hand: int, name: str, by: Float[np.ndarray, "4 4"], seconds: float | None = None) -> None:
        """Move the thing in a hand by a rigid motion in its own frame."""
        self.stage.move(Move(hand, Phase.MANIPULATE, self.stage.pose(name) @ by, about=name), seconds=seconds)

    def release(self, hand: int, name: str, holder: int = WORLD) -> None:
        """Open the hand and draw it back; the thing stays where it is, or with what it is now part of."""
        hold = self.grip(hand, name)
        self.stage.fix(name, holder)
        self.stage.hesitate()
        self.stage.move(Move(hand, Phase.RELEASE, angles=hold.open_angles), seconds=0.22)
        goal = self.stage.world_from_hand[hand] @ rigid(np.eye(3), hold.retreat_m)
        self.stage.move(Move(hand, Phase.RELEASE, goal))

    def home(self, hand: int) -> None:
        """Lay the hand down in front of the person."""
        self.stage.move(Move(hand, Phase.REST, home(self.shape, hand), angles=grasp("relaxed"), arc_m=0.02))

    def pick_up(self) -> None:
        """Take the main thing from the table to where it is held."""
        self.reach(self.holder, self.noun)
        self.grasp(self.holder, self.noun)
        self.carry(self.holder, self.noun, self.places.hold, arc_m=0.02)

    def part_of(self, whole: str) -> int:
        """The holder number of a thing."""
        return FIRST_THING + self.stage.thing(whole)


@lru_cache(maxsize=64)
def home(shape: HandShape, hand: int) -> Float[np.ndarray, "4 4"]:
    """The resting place of a hand, given the right one's shape: palm down, fingers on the near part of the table."""
    right = pose(0.15, -0.20, 0, about=(0, 0, 14))
    right[2, 3] = (flesh_m(shape) - forward(shape, right, grasp("relaxed"))[:, 2]).max() + _OFF_TABLE_M
    return right if hand == RIGHT else np.asarray(MIRROR @ right @ MIRROR)


def between(a: Float[np.ndarray, "4 4"], b: Float[np.ndarray, "4 4"], share: float) -> Float[np.ndarray, "4 4"]:
    """The pose a share of the way from a to b."""
    turn = vector_from_rotation(a[:3, :3].T @ b[:3, :3])
    rotation = a[:3, :3] @ rotation_from_vector(share * turn)
    return np.asarray(rigid(rotation, a[:3, 3] + share * (b - a)[:3, 3]))


def squeeze(a: Actor, hand: int, dofs: list[int], degrees: float) -> None:
    """Bend some joints more, and back."""
    start = a.stage.angles[hand].copy()
    bent = start.copy()
    bent[dofs] += np.radians(degrees)
    a.stage.move(Move(hand, Phase.MANIPULATE, angles=clamp(bent)), seconds=0.28)
    a.stage.move(Move(hand, Phase.MANIPULATE, angles=start), seconds=0.28)
