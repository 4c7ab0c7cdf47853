"""Who does what in a recording: single actions, and long recordings that wander from action to action.

A state of a thing fixes where it and its parts are, so that every action begins where another one has ended, and an
action backwards begins where it would have ended forwards.
"""

from dataclasses import dataclass

import numpy as np

from handloom.simulate.actions import act
from handloom.simulate.actor import MAIN, OTHER, THREAD_M, TURN_RAD, Actor, Places, home, pose
from handloom.simulate.clearance import cleared
from handloom.simulate.grips import grip
from handloom.simulate.hand import clamp, grasp, wrist_towards
from handloom.simulate.motion import FIRST_THING, Motion, Phase, join
from handloom.simulate.props import HOST, HOSTS, PROPS, TOY_BODY, Part, Prop
from handloom.simulate.stage import Move, Stage
from handloom.simulate.subjects import Subject
from handloom.simulate.taxonomy import Action, Gesture, State, Taxonomy
from handloom.skeleton import LEFT, RIGHT

_HOSTED = (Gesture.INSERT, Gesture.SCREW)
_SHOULDER_M = np.array([0.19, -0.42, 0.16])
_WRIST = slice(-2, None)
_TRIES = 4
"""How many actions are looked at for one that fits before the end of a recording."""


@dataclass(eq=False)
class Script:
    """One person with some things on a table: acts out any action of the taxonomy with the first `nouns` of them.

    Args:
        taxonomy: which actions there are.
        subject: who acts.
        nouns: things that are acted on.
        still: things that only stand there.
        frame_rate: of the motions.
        rng: all chance; the same generator state gives the same motion.
    """

    taxonomy: Taxonomy
    subject: Subject
    nouns: tuple[str, ...]
    frame_rate: float
    rng: np.random.Generator
    still: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.props = _props((*self.nouns, *self.still), self.taxonomy)
        self.things = tuple(self.props)
        host = self.props.get(HOST, TOY_BODY)
        assert isinstance(host, Prop)
        x, y = self.rng.uniform((-0.09, 0.0), (-0.05, 0.04)).tolist()
        self.host_pose = pose(x, y, host.size_m[2] / 2)
        self.places = {
            noun: Places.sample(
                self.rng, PROPS[noun], host, self._holder(noun), slot if noun in self.nouns else 3 + slot
            )
            for slot, noun in enumerate((*self.nouns, *self.still))
            if noun in PROPS
        }

    def perform(self, action: Action, rest: dict[str, State] | None = None) -> Motion:
        """One action from its first to its last movement.

        Args:
            action: one of the taxonomy, of a noun of this script.
            rest: states of the other nouns; resting unless given.
        """
        begin = action.after if action.reverse else action.before
        actor = self._actor(action.noun, {**(rest or {}), action.noun: begin})
        act(actor, action.gesture)
        motion = actor.stage.sample(self.frame_rate).labelled(self.taxonomy.actions.index(action))
        return self._finished(motion.backwards() if action.reverse else motion)

    def trimmed(self, action: Action) -> Motion:
        """One action alone."""
        return self._personal(self.perform(action))

    def wander(self, seconds: float, used: dict[str, int]) -> Motion:
        """A recording of this length: actions that follow from each other, with gaps between.

        The next action is, among those that the state of things allows, one that has been used least. All actions
        are whole; after the last one the hands wait for the end. Only a first action that is longer than the
        recording is cut by it.

        Args:
            seconds: how long it is, to the frame.
            used: how often each action has been used before; counted on.
        """
        states = dict.fromkeys(self.nouns, State.RESTING)
        frames = max(1, round(seconds * self.frame_rate))
        parts: list[Motion] = []
        total, refused = 0, 0
        while total < frames and refused < _TRIES:
            action = self._choose(states, used)
            if action is None:
                break
            motion = self.perform(action, states)
            gap = self._transition(parts[-1], motion) if parts else None
            length = len(motion) + (0 if gap is None else len(gap))
            if parts and total + length > frames:
                refused += 1
                continue
            used[action.name] = used.get(action.name, 0) + 1
            states[action.noun] = action.after
            parts += [motion] if gap is None else [gap, motion]
            total += length
        if total < frames:
            parts.append(self._wait(parts[-1], frames - total))
        return self._personal(join(parts)[:frames])

    def _choose(self, states: dict[str, State], used: dict[str, int]) -> Action | None:
        busy = [noun for noun, state in states.items() if state not in (State.RESTING, State.INSERTED, State.SCREWED)]
        open_to = [
            action
            for action in self.taxonomy.actions
            if action.noun in (busy or states) and action.before is states[action.noun]
        ]
        hosted = [noun for noun, state in states.items() if state in (State.INSERTED, State.SCREWED)]
        if hosted:  # there is one socket
            open_to = [action for action in open_to if action.noun in hosted or action.gesture not in _HOSTED]
        if not open_to:
            return None
        fewest = min(used.get(action.name, 0) for action in open_to)
        least = [action for action in open_to if used.get(action.name, 0) == fewest]
        return least[int(self.rng.integers(len(least)))]

    def _holder(self, noun: str) -> int:
        prop = PROPS.get(noun)
        has_parts = prop is not None and (prop.lid is not None or prop.content is not None)
        return OTHER if has_parts and not self.taxonomy.one_hand else MAIN

    def _actor(self, noun: str, states: dict[str, State]) -> Actor:
        stage = Stage(
            self.things,
            self.subject.style,
            self.rng,
            np.stack([home(self.subject.right, hand) for hand in (LEFT, RIGHT)]),
            np.stack([grasp("relaxed")] * 2),
            np.stack([np.eye(4)] * len(self.things)) if self.things else np.zeros((0, 4, 4)),
        )
        if HOST in self.things:
            stage.put(HOST, self.host_pose)
        for name, place in self.places.items():
            self._set_up(stage, name, place, states.get(name, State.RESTING))
        stage.in_use = self.things.index(noun) if noun in self.things else -1
        place = self.places.get(noun) or next(iter(self.places.values()), None) or _NOWHERE
        return Actor(stage, place, self.subject.right, self.props, noun, self._holder(noun), self.taxonomy.one_hand)

    def _set_up(self, stage: Stage, noun: str, place: Places, state: State) -> None:
        """Put a thing and its parts where they are in a state."""
        prop = PROPS[noun]
        hosted = state in (State.INSERTED, State.SCREWED)
        whole = place.rest if state is State.RESTING else place.hold
        if hosted:
            turned = np.degrees(TURN_RAD) * place.turns if state is State.SCREWED else 0.0
            sunk = THREAD_M * place.turns if state is State.SCREWED else 0.0
            whole = self.host_pose @ place.socket @ pose(0, 0, -sunk, about=(0, 0, turned))
        stage.put(noun, whole)
        if hosted:
            stage.fix(noun, FIRST_THING + stage.thing(HOST))
        elif state is not State.RESTING:
            hand = self._holder(noun)
            stage.take(hand, noun, grip(self.subject.right, hand, prop.hold, prop.form, prop.size_m))
        away = {
            f"{noun} lid": place.lid_rest if state in (State.OPEN, State.EMPTIED) else None,
            f"{noun} content": place.content_rest if state in (State.TAKEN, State.EMPTIED) else None,
        }
        for name, part in ((f"{noun} lid", prop.lid), (f"{noun} content", prop.content)):
            if part is None:
                continue
            rest = away[name]
            stage.put(name, whole @ pose(*part.place_m) if rest is None else rest)
            if rest is None:
                stage.fix(name, FIRST_THING + stage.thing(noun))

    def _transition(self, before: Motion, after: Motion) -> Motion:
        """From the end of one motion to the start of the next: the hands move, with what they hold; nothing else."""
        stage = self._after(before, after.holder[0].tolist())
        stage.wait(float(self.rng.uniform(0.1, 0.8)))
        stage.move(
            *(
                Move(hand, Phase.REST, after.world_from_hand[0, hand], angles=after.angles[0, hand])
                for hand in (LEFT, RIGHT)
            )
        )
        return self._finished(stage.sample(self.frame_rate))

    def _wait(self, before: Motion, frames: int) -> Motion:
        """So many frames in which nothing happens after a motion."""
        stage = self._after(before, before.holder[-1].tolist())
        stage.wait((frames + 1) / self.frame_rate * self.subject.style.speed)
        return self._finished(stage.sample(self.frame_rate))[:frames]

    def _after(self, before: Motion, holders: list[int]) -> Stage:
        """The stage as a motion leaves it."""
        stage = Stage(
            self.things,
            self.subject.style,
            self.rng,
            before.world_from_hand[-1].copy(),
            before.angles[-1].copy(),
            before.world_from_thing[-1].copy(),
            holders=holders,
        )
        for name in self.things:
            stage.fix(name, stage.holders[stage.thing(name)])
        return stage

    def _finished(self, motion: Motion) -> Motion:
        """Angles within their limits."""
        motion.angles[:] = clamp(motion.angles)
        return motion

    def _personal(self, motion: Motion) -> Motion:
        """Mirrored for a left-handed person, and clear of the table; the forearms point at the elbows."""
        motion = motion.mirrored() if self.subject.style.left_handed else motion
        shown = (RIGHT,) if self.taxonomy.one_hand else (LEFT, RIGHT)
        motion = cleared(motion, (self.subject.left, self.subject.right), shown, self.props)
        angles = motion.angles.copy()
        for hand in (LEFT, RIGHT):
            shoulder = _SHOULDER_M * ((-1, 1, 1) if hand == LEFT else (1, 1, 1))
            wrist = motion.world_from_hand[:, hand, :3, 3]
            # The elbow hangs below the line to the shoulder, outwards.
            elbow = wrist + 0.55 * (shoulder - wrist) + (0.06 if hand == RIGHT else -0.06, 0, -0.09)
            elbow[:, 2] = np.maximum(elbow[:, 2], 0.03)
            angles[:, hand, _WRIST] = wrist_towards(hand, motion.world_from_hand[:, hand], elbow)
        return Motion(**{**vars(motion), "angles": clamp(angles)})


def _props(nouns: tuple[str, ...], taxonomy: Taxonomy) -> dict[str, Prop | Part]:
    """Everything on the table by name: the things, their parts, and what they are put into."""
    props: dict[str, Prop | Part] = {}
    for noun in nouns:
        prop = PROPS.get(noun)  # a handshake is with nothing
        if prop is None:
            continue
        props[noun] = prop
        if prop.lid is not None:
            props[f"{noun} lid"] = prop.lid
        if prop.content is not None:
            props[f"{noun} content"] = prop.content
        if any(action.gesture in _HOSTED for action in taxonomy.actions if action.noun == noun):
            props[HOST] = HOSTS.get(noun, TOY_BODY)
    return props


_NOWHERE = Places(np.eye(4), np.eye(4), np.eye(4), np.eye(4), np.eye(4), turns=0)
"""Of an action without a thing."""
