"""The stage: two hands and some things, moved beat by beat, and sampled into a `Motion`.

Every beat is a minimum-jerk movement (Flash & Hogan 1985) from rest to rest. A hand that holds a thing moves about
that thing's frame, so a cap turns about its own axis. All movements are symmetric in time: the same beats in
reverse order are as likely as the beats themselves, so nothing but the order of events tells an action from its
opposite.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from handloom.geometry import invert_rigid, rotation_from_vector, vector_from_rotation
from handloom.simulate.grips import Grip
from handloom.simulate.motion import FIRST_THING, WORLD, Motion, Phase
from handloom.simulate.subjects import Style

MIN_JERK = np.polynomial.Polynomial([0, 0, 0, 10, -15, 6])
# Physiological tremor lies at about 8 ... 12 Hz (McAuley & Marsden, Brain 123, 2000); the drift and how much fingers
# waver are our estimates.
_TREMOR_HZ = (7.6, 9.1, 10.7)
_DRIFT_HZ = (0.7, 1.3)
_WOBBLE_RAD = np.radians(1.6)


@dataclass
class _Beat:
    """One movement of both hands: the frames that they move about at its start and end, and what stays fixed."""

    seconds: float
    pivots: Float[np.ndarray, "2 2 4 4"]
    """Hand, start or end."""
    pivot_from_hand: Float[np.ndarray, "2 4 4"]
    angles: Float[np.ndarray, "2 2 24"]
    arcs: Float[np.ndarray, "2"]
    phases: tuple[Phase, Phase]
    holders: tuple[int, ...]
    fixed: Float[np.ndarray, "things 4 4"]
    in_use: int


@dataclass
class Stage:
    """Where everything is, and the beats so far.

    Attributes:
        things: names; index k is thing k.
        style: speed, pauses, tremor of the person.
        rng: all chance.
        world_from_hand, angles: where the hands are after the last beat.
        world_from_thing: where the things are.
        holders: what each thing is fixed to, as in `Motion.holder`.
        fixed: pose of each thing in the frame of its holder.
        in_use: index of the thing that the action is about, or -1.
    """

    things: tuple[str, ...]
    style: Style
    rng: np.random.Generator
    world_from_hand: Float[np.ndarray, "2 4 4"]
    angles: Float[np.ndarray, "2 24"]
    world_from_thing: Float[np.ndarray, "things 4 4"]
    in_use: int = -1
    holders: list[int] = field(default_factory=list)
    fixed: Float[np.ndarray, "things 4 4"] = field(init=False)
    beats: list[_Beat] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.holders = self.holders or [WORLD] * len(self.things)
        self.fixed = self.world_from_thing.copy()

    def thing(self, name: str) -> int:
        """Index of a thing."""
        return self.things.index(name)

    def pose(self, name: str) -> Float[np.ndarray, "4 4"]:
        """`world_from_thing` after the last beat."""
        return np.asarray(self.world_from_thing[self.thing(name)])

    def fix(self, name: str, holder: int) -> None:
        """From now on the thing moves with a hand, with another thing, or not at all."""
        k = self.thing(name)
        self.holders[k] = holder
        self.fixed[k] = invert_rigid(self._frame(holder)) @ self.world_from_thing[k]

    def put(self, name: str, world_from_thing: Float[np.ndarray, "4 4"]) -> None:
        """Place a thing before the first beat."""
        self.world_from_thing[self.thing(name)] = world_from_thing
        self.fix(name, self.holders[self.thing(name)])

    def take(self, hand: int, name: str, hold: Grip) -> None:
        """Put a hand on a thing that it holds from the start."""
        self.world_from_hand[hand] = self.pose(name) @ hold.thing_from_hand
        self.angles[hand] = hold.closed_angles
        self.fix(name, hand)

    def seconds(self, metres: float, radians: float = 0.0) -> float:
        """How long this person takes for a movement of this size (our estimate)."""
        typical = 0.26 + 1.15 * metres + 0.22 * radians
        return float(typical / self.style.speed * np.exp(self.rng.normal(0, 0.12)))

    def move(self, *moves: "Move", seconds: float | None = None) -> None:
        """One beat: each move is of another hand; hands without one stay."""
        pivots = np.stack([self.world_from_hand, self.world_from_hand], 1)
        local = np.stack([np.eye(4)] * 2)
        angles = np.stack([self.angles, self.angles], 1)
        arcs, phases, sizes = np.zeros(2), [Phase.REST, Phase.REST], [0.0]
        for move in moves:
            hand = move.hand
            if move.about is not None:
                start = self.pose(move.about)
                k = self.thing(move.about)
                if self.holders[k] == hand:  # not by way of the world, where rounding would add up over many beats
                    local[hand] = invert_rigid(self.fixed[k])
                else:
                    local[hand] = invert_rigid(start) @ self.world_from_hand[hand]
                pivots[hand, 0] = start
                pivots[hand, 1] = start if move.to is None else move.to
            elif move.to is not None:
                pivots[hand, 1] = move.to
            if move.angles is not None:
                angles[hand, 1] = move.angles
            arcs[hand], phases[hand] = move.arc_m, move.phase
            step = invert_rigid(pivots[hand, 0]) @ pivots[hand, 1]
            bend = float(np.abs(angles[hand, 1] - angles[hand, 0]).max())
            turn = float(np.linalg.norm(vector_from_rotation(step[:3, :3])))
            sizes.append(self.seconds(float(np.linalg.norm(step[:3, 3])), max(turn, 0.5 * bend)))
        chosen = max(sizes) if seconds is None else seconds / self.style.speed
        beat = _Beat(
            chosen, pivots, local, angles, arcs, (phases[0], phases[1]), tuple(self.holders), self.fixed.copy(),
            self.in_use,
        )  # fmt: skip
        self.beats.append(beat)
        self.world_from_hand = pivots[:, 1] @ local
        self.angles = angles[:, 1].copy()
        self._carry()

    def wait(self, seconds: float) -> None:
        """Nobody moves, apart from tremor."""
        self.move(seconds=seconds)

    def hesitate(self) -> None:
        """Pause, if it is this person's moment to."""
        if self.rng.random() < self.style.pause:
            self.wait(float(self.rng.uniform(0.12, 0.5)))

    def sample(self, frame_rate: float) -> Motion:
        """All beats as frames, with tremor. The last frame shows the end of the last beat, or just before it."""
        ends = np.cumsum([beat.seconds for beat in self.beats])
        times = np.arange(max(int(ends[-1] * frame_rate), 1) + 1) / frame_rate
        times = times[times <= ends[-1]]
        which = np.searchsorted(ends, times, side="left")
        starts = np.concatenate([[0], ends[:-1]])
        lengths = np.array([beat.seconds for beat in self.beats])
        share = np.clip((times - starts[which]) / lengths[which], 0, 1)
        eased = MIN_JERK(share)
        hands = np.stack([self._hand(hand, which, eased) for hand in (0, 1)], 1)
        angles = np.stack([beat.angles for beat in self.beats])[which]
        bent = angles[:, :, 0] + eased[:, None, None] * (angles[:, :, 1] - angles[:, :, 0])
        # Tremor fades out at the ends of every beat, where things change hands.
        free = np.sin(np.pi * share) ** 2
        hands[..., :3, 3] += free[:, None, None] * self._waves(times, (2, 3))
        bent = bent + free[:, None, None] * _WOBBLE_RAD * self._slow(times, bent.shape[1:])
        holder = np.array([beat.holders for beat in self.beats], dtype=np.int64).reshape(len(self.beats), -1)[which]
        fixed = np.stack([beat.fixed for beat in self.beats])[which]
        return Motion(
            frame_rate,
            hands,
            bent,
            self.things,
            _resolve(hands, holder, fixed),
            holder,
            np.array([beat.phases for beat in self.beats], dtype=np.int64)[which],
            np.array([beat.in_use for beat in self.beats], dtype=np.int64)[which],
        )

    def _hand(self, hand: int, which: np.ndarray, eased: np.ndarray) -> Float[np.ndarray, "T 4 4"]:
        pivots = np.stack([beat.pivots[hand] for beat in self.beats])[which]
        local = np.stack([beat.pivot_from_hand[hand] for beat in self.beats])[which]
        start, end = pivots[:, 0], pivots[:, 1]
        turn = vector_from_rotation(np.swapaxes(start[:, :3, :3], -1, -2) @ end[:, :3, :3])
        pose = start.copy()
        pose[:, :3, :3] = start[:, :3, :3] @ rotation_from_vector(eased[:, None] * turn)
        pose[:, :3, 3] += eased[:, None] * (end - start)[:, :3, 3]
        arcs = np.array([beat.arcs[hand] for beat in self.beats])[which]
        pose[:, 2, 3] += arcs * 16 * eased**2 * (1 - eased) ** 2
        return np.asarray(pose @ local)

    def _waves(self, times: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        fast = _sines(times, _TREMOR_HZ, shape, self.rng) * self.style.tremor_m
        return fast + self._slow(times, shape) * 0.0025

    def _slow(self, times: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return _sines(times, _DRIFT_HZ, shape, self.rng)

    def _frame(self, holder: int) -> Float[np.ndarray, "4 4"]:
        if holder == WORLD:
            return np.eye(4)
        if holder < FIRST_THING:
            return np.asarray(self.world_from_hand[holder])
        return np.asarray(self.world_from_thing[holder - FIRST_THING])

    def _carry(self) -> None:
        for k in sorted(range(len(self.things)), key=lambda k: self.holders[k] >= FIRST_THING):
            self.world_from_thing[k] = self._frame(self.holders[k]) @ self.fixed[k]


@dataclass(frozen=True, eq=False)
class Move:
    """What one hand does in a beat.

    Attributes:
        hand: 0 left, 1 right.
        phase: what that is called.
        to: world pose of the hand at the end, or of the thing in `about`; None stays.
        about: a thing whose frame the hand moves about: it keeps its place on it, unless the thing is let go of.
        angles: at the end; None keeps them.
        arc_m: how far the path rises above the straight line.
    """

    hand: int
    phase: Phase
    to: Float[np.ndarray, "4 4"] | None = None
    about: str | None = None
    angles: Float[np.ndarray, "24"] | None = None
    arc_m: float = 0.0


def _sines(times: np.ndarray, hertz: tuple[float, ...], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    phases = rng.uniform(0, 2 * np.pi, (len(hertz), 1, *shape))
    angle = 2 * np.pi * np.array(hertz).reshape(-1, *(1,) * (1 + len(shape))) * times.reshape(-1, *(1,) * len(shape))
    return np.asarray(np.sin(angle + phases).mean(0))


def _resolve(hands: np.ndarray, holder: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """World poses of things: those in hands or the world first, then those that are parts of other things."""
    frames = np.arange(len(hands))[:, None]
    holding = np.where((holder == WORLD)[..., None, None], np.eye(4), hands[frames, np.clip(holder, 0, 1)])
    poses = holding @ fixed
    part = holder >= FIRST_THING
    whole = poses[frames, np.where(part, holder - FIRST_THING, 0)]
    return np.asarray(np.where(part[..., None, None], whole @ fixed, poses))
