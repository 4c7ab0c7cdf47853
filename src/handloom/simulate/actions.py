"""The gestures of the taxonomy, acted out forwards. Backwards ones are run in reverse by `perform`."""

from collections.abc import Callable

import numpy as np

from handloom.simulate import one_hand
from handloom.simulate.actor import CURLS, MAIN, OTHER, THREAD_M, TURN_RAD, Actor, home, pose, squeeze
from handloom.simulate.hand import DOF_NAMES, grasp
from handloom.simulate.motion import Phase
from handloom.simulate.stage import Move
from handloom.simulate.taxonomy import Gesture

_INDEX = [DOF_NAMES.index("index_mcp_flexion"), DOF_NAMES.index("index_pip_flexion")]


def act(actor: Actor, gesture: Gesture) -> None:
    """Add the beats of a gesture to the actor's stage."""
    _GESTURES[gesture](actor)


def pick_up(a: Actor) -> None:
    """Reach, grasp, lift to where it is held."""
    a.pick_up()


def read(a: Actor) -> None:
    """Pick up, bring before the eyes, follow the lines, lower again."""
    a.pick_up()
    flat = a.props[a.noun].size_m[2] < 0.05
    eyes = pose(0.01, -0.12, 0.24, about=(48 if flat else -18, 0, 0))
    a.carry(a.holder, a.noun, eyes, arc_m=0.02)
    for _ in range(a.rng.integers(2, 4)):
        a.shift(a.holder, a.noun, pose(0.006, 0, -0.004, about=(0, 6 * a.size, 4 * a.size)), seconds=0.6)
        a.shift(a.holder, a.noun, pose(-0.006, 0, 0.004, about=(0, -6, -4)), seconds=0.6)
    a.carry(a.holder, a.noun, a.places.hold)


def uncap(a: Actor) -> None:
    """Turn the lid with regrasps, lift it off, lay it on the table."""
    lid = f"{a.noun} lid"
    a.reach(MAIN, lid)
    a.grasp(MAIN, lid)
    _turn(a, lid, a.noun, -TURN_RAD, rise_m=0.0)
    a.shift(MAIN, lid, pose(0, 0, 0.03))
    a.carry(MAIN, lid, a.places.lid_rest, arc_m=0.03)
    a.release(MAIN, lid)
    a.home(MAIN)


def take_out(a: Actor) -> None:
    """Pull the content out and lay it on the table."""
    content = f"{a.noun} content"
    a.reach(MAIN, content)
    a.grasp(MAIN, content)
    flat = a.props[a.noun].size_m[2] < 0.05
    a.shift(MAIN, content, pose(0, 0.12, 0.01) if flat else pose(0, 0, 0.07))
    a.carry(MAIN, content, a.places.content_rest, arc_m=0.03)
    a.release(MAIN, content)
    a.home(MAIN)


def pour(a: Actor) -> None:
    """Hold over the middle, tilt, wait, tilt back."""
    _take(a)
    inwards = -1.0 if a.holder == MAIN else 1.0
    spot = pose(-inwards * 0.05, 0.02, 0.20)
    a.carry(a.holder, a.noun, spot, arc_m=0.02)
    tilt = inwards * 78 * min(a.size, 1.25)
    a.carry(a.holder, a.noun, spot @ pose(inwards * 0.03, 0, 0.02, about=(0, tilt, 0)))
    for _ in range(a.rng.integers(1, 4)):
        a.shift(a.holder, a.noun, pose(0, 0, 0.006, about=(0, inwards * 8, 0)), seconds=0.45)
        a.shift(a.holder, a.noun, pose(0, 0, -0.006, about=(0, -inwards * 8, 0)), seconds=0.45)
    a.carry(a.holder, a.noun, spot)
    a.carry(a.holder, a.noun, a.places.hold)


def spray(a: Actor) -> None:
    """Aim, press with the index finger several times, come back."""
    _take(a)
    a.carry(MAIN, a.noun, pose(-0.02, 0.06, 0.20, about=(-16, 0, 25)), arc_m=0.02)
    for _ in range(a.rng.integers(2, 5)):
        squeeze(a, MAIN, _INDEX, 26)
    a.carry(MAIN, a.noun, a.places.hold)


def squeeze_out(a: Actor) -> None:
    """Tilt the bottle over the open palm and squeeze."""
    palm = pose(0.10, -0.12, 0.09, about=(0, 168, 0)) @ pose(0, 0, 0, about=(0, 0, -35))
    open_palm = grasp("flat") + 0.35 * (grasp("relaxed") - grasp("flat"))
    a.stage.move(
        Move(MAIN, Phase.MANIPULATE, palm, angles=open_palm, arc_m=0.03),
        Move(OTHER, Phase.MANIPULATE, pose(-0.01, -0.03, 0.22), about=a.noun),
    )
    a.carry(OTHER, a.noun, pose(0.0, -0.04, 0.20, about=(0, 125, 0)))
    for _ in range(a.rng.integers(1, 4)):
        squeeze(a, OTHER, CURLS, 7)
    a.carry(OTHER, a.noun, a.places.hold)
    a.home(MAIN)


def rub(a: Actor) -> None:
    """Both hands, palm on palm, to and fro."""
    # Palms face each other, fingers forward and up; the right one above.
    spots = {MAIN: pose(0.035, -0.14, 0.15, about=(28, 0, 0)), OTHER: pose(-0.035, -0.14, 0.15, about=(28, 0, 0))}
    roll = {MAIN: pose(0, 0, 0, about=(0, 82, 0)), OTHER: pose(0, 0, 0, about=(0, -82, 0))}
    a.stage.move(*(Move(h, Phase.REACH, spots[h] @ roll[h], angles=grasp("flat"), arc_m=0.03) for h in (MAIN, OTHER)))
    for i in range(2 * int(a.rng.integers(3, 7)) + 1):
        slide = 0.035 * a.size * (-1) ** i
        moved = {h: spots[h] @ pose(0, s * slide, 0) @ roll[h] for h, s in ((MAIN, 1), (OTHER, -1))}
        seconds = float(a.rng.uniform(0.24, 0.36))
        a.stage.move(*(Move(h, Phase.MANIPULATE, moved[h]) for h in (MAIN, OTHER)), seconds=seconds)
    a.stage.move(*(Move(h, Phase.REST, home(a.shape, h), angles=grasp("relaxed")) for h in (MAIN, OTHER)))


def insert(a: Actor) -> None:
    """Pick up a part, put it into the host, let go."""
    a.pick_up()
    _steady(a)
    target = a.stage.pose("host") @ a.places.socket
    a.carry(MAIN, a.noun, target @ pose(0, 0, 0.05), arc_m=0.01)
    a.carry(MAIN, a.noun, target)
    a.release(MAIN, a.noun, a.part_of("host"))
    a.home(MAIN)
    _let_go(a)


def screw(a: Actor) -> None:
    """Turn a part of the host with regrasps until it is fast."""
    _steady(a)
    a.reach(MAIN, a.noun)
    a.grasp(MAIN, a.noun)
    _turn(a, a.noun, "host", TURN_RAD, rise_m=-THREAD_M)
    a.release(MAIN, a.noun, a.part_of("host"))
    a.home(MAIN)
    _let_go(a)


def _take(a: Actor) -> None:
    """Pick the main thing up, unless it is in the hand."""
    if a.stage.holders[a.stage.thing(a.noun)] != a.holder:
        a.pick_up()


def _turn(a: Actor, name: str, whole: str, angle: float, rise_m: float) -> None:
    """Turn a held thing about its axis as often as this recording's threads need, with regrasps between."""
    degrees = float(np.degrees(angle))
    hold = a.grip(MAIN, name)
    for i in range(a.places.turns):
        if i:
            a.stage.fix(name, a.part_of(whole))
            a.stage.move(Move(MAIN, Phase.RELEASE, angles=hold.open_angles), seconds=0.16)
            # The empty hand turns back about the thing; grasped anew, it is where it was at first.
            a.stage.move(
                Move(MAIN, Phase.REACH, a.stage.pose(name) @ pose(0, 0, 0, about=(0, 0, -degrees)), about=name)
            )
            a.stage.move(Move(MAIN, Phase.GRASP, angles=hold.closed_angles), seconds=0.16)
            a.stage.fix(name, MAIN)
        a.shift(MAIN, name, pose(0, 0, rise_m, about=(0, 0, degrees)))


def _steady(a: Actor) -> None:
    """The other hand takes hold of the host."""
    if not a.one_hand:
        a.reach(OTHER, "host")
        a.grasp(OTHER, "host")


def _let_go(a: Actor) -> None:
    if not a.one_hand:
        a.release(OTHER, "host")
        a.home(OTHER)


_GESTURES: dict[Gesture, Callable[[Actor], None]] = {
    Gesture.PICK_UP: pick_up,
    Gesture.READ: read,
    Gesture.UNCAP: uncap,
    Gesture.TAKE_OUT: take_out,
    Gesture.POUR: pour,
    Gesture.SPRAY: spray,
    Gesture.SQUEEZE_OUT: squeeze_out,
    Gesture.RUB: rub,
    Gesture.INSERT: insert,
    Gesture.SCREW: screw,
    Gesture.OPEN_FLAP: one_hand.open_flap,
    Gesture.DRINK: one_hand.drink,
    Gesture.TOAST: one_hand.toast,
    Gesture.STIR: one_hand.stir,
    Gesture.SCOOP: one_hand.scoop,
    Gesture.SCOOP_AND_TIP: one_hand.scoop_and_tip,
    Gesture.SHAKE: one_hand.shake,
    Gesture.SHAKE_AND_TIP: one_hand.shake_and_tip,
    Gesture.STRIKE: one_hand.strike,
    Gesture.PRICK: one_hand.prick,
    Gesture.SCRUB: one_hand.scrub,
    Gesture.CIRCLE: one_hand.circle,
    Gesture.CRUSH: one_hand.crush,
    Gesture.TEAR: one_hand.tear,
    Gesture.FLIP: one_hand.flip,
    Gesture.WRITE: one_hand.write,
    Gesture.PRESS: one_hand.press,
    Gesture.HAND_OVER: one_hand.hand_over,
    Gesture.SHAKE_HANDS: one_hand.shake_hands,
    Gesture.HIGH_FIVE: one_hand.high_five,
}
