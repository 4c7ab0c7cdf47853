"""Gestures of one hand, acted out forwards: what FPHA has beyond picking up, opening, pouring and inserting."""

import numpy as np

from handloom.simulate.actor import CURLS, MAIN, Actor, pose, squeeze
from handloom.simulate.hand import grasp
from handloom.simulate.motion import Phase
from handloom.simulate.stage import Move


def open_flap(a: Actor) -> None:
    """Take an edge and fold it up; the thing itself stays on the table."""
    a.reach(MAIN, a.noun)
    a.stage.move(Move(MAIN, Phase.GRASP, angles=a.grip(MAIN, a.noun).closed_angles), seconds=0.22)
    there = a.stage.pose(a.noun)
    fold = there @ pose(-0.01, 0.02, 0.035, about=(0, -42 * min(a.size, 1.3), 0))
    a.stage.move(Move(MAIN, Phase.MANIPULATE, fold, about=a.noun))
    a.stage.move(Move(MAIN, Phase.RELEASE, angles=a.grip(MAIN, a.noun).open_angles), seconds=0.22)
    a.home(MAIN)


def drink(a: Actor) -> None:
    """Bring to the mouth, tip, set back."""
    a.pick_up()
    a.carry(MAIN, a.noun, pose(0.02, -0.24, 0.30, about=(0, 0, 40)))
    for angle in (-32 * a.size, 32):
        a.shift(MAIN, a.noun, pose(0, 0, 0, about=(-angle, 0, 0)), seconds=0.6)
    a.carry(MAIN, a.noun, a.places.hold)


def toast(a: Actor) -> None:
    """Raise, touch an unseen glass, come back."""
    a.pick_up()
    a.carry(MAIN, a.noun, pose(0.02, 0.10, 0.26, about=(-6, 0, 0)))
    a.shift(MAIN, a.noun, pose(0, 0.05 * a.size, 0.01, about=(-10, 0, 0)), seconds=0.35)
    a.carry(MAIN, a.noun, pose(0.02, 0.10, 0.26, about=(-6, 0, 0)))
    a.carry(MAIN, a.noun, a.places.hold)


def stir(a: Actor) -> None:
    """Round and round with the tip down."""
    a.pick_up()
    _circles(a, pose(0.0, 0.05, 0.11, about=(-24, 0, 0)), 0.022, 0.5)


def scoop(a: Actor) -> None:
    """Dip, push forward, lift level."""
    a.pick_up()
    a.carry(MAIN, a.noun, pose(0.0, 0.0, 0.13, about=(-22, 0, 0)))
    a.carry(MAIN, a.noun, pose(0.0, 0.05, 0.075, about=(-22, 0, 0)))
    a.carry(MAIN, a.noun, pose(0.0, 0.09, 0.09, about=(-6, 0, 0)))
    a.carry(MAIN, a.noun, pose(0.0, 0.05, 0.17, about=(4, 0, 0)))


def scoop_and_tip(a: Actor) -> None:
    """Scoop, then empty the spoon elsewhere."""
    scoop(a)
    a.carry(MAIN, a.noun, pose(-0.11, 0.06, 0.17, about=(4, 0, 0)), arc_m=0.01)
    a.shift(MAIN, a.noun, pose(0, 0, 0, about=(0, -95, 0)))
    a.shift(MAIN, a.noun, pose(0, 0, 0, about=(0, 95, 0)))


def shake(a: Actor) -> None:
    """Turn over and shake up and down."""
    a.pick_up()
    over = pose(-0.03, 0.05, 0.19, about=(0, -125, 0))
    a.carry(MAIN, a.noun, over)
    for _ in range(a.rng.integers(2, 5)):
        height = 0.035 * a.size
        a.carry(MAIN, a.noun, pose(0, 0, -height) @ over)
        a.carry(MAIN, a.noun, over)


def shake_and_tip(a: Actor) -> None:
    """Shake, then turn upright, move on and tip once more."""
    shake(a)
    a.carry(MAIN, a.noun, pose(-0.09, 0.02, 0.17, about=(0, -20, 0)))
    a.shift(MAIN, a.noun, pose(0, 0, 0, about=(0, -90, 0)))


def strike(a: Actor) -> None:
    """One quick stroke along the table."""
    a.pick_up()
    a.carry(MAIN, a.noun, pose(0.05, 0.02, 0.06, about=(-20, 0, -30)))
    a.stage.move(Move(MAIN, Phase.MANIPULATE, pose(-0.08, 0.08, 0.06, about=(-20, 0, -30)), about=a.noun), seconds=0.22)
    a.carry(MAIN, a.noun, pose(-0.06, 0.06, 0.14, about=(30, 0, 0)))


def prick(a: Actor) -> None:
    """Stab downwards a few times."""
    a.pick_up()
    above = pose(0.0, 0.05, 0.14, about=(-26, 0, 0))
    a.carry(MAIN, a.noun, above)
    for _ in range(a.rng.integers(1, 4)):
        a.shift(MAIN, a.noun, pose(0, 0.06 * a.size, 0), seconds=0.32)
        a.carry(MAIN, a.noun, above)


def scrub(a: Actor) -> None:
    """Straight strokes to and fro, close to the table."""
    a.pick_up()
    low = pose(-0.02, 0.03, a.props[a.noun].size_m[2] / 2 + 0.01)
    a.carry(MAIN, a.noun, low)
    for i in range(2 * int(a.rng.integers(2, 6)) + 1):
        side = (-1) ** i * 0.045 * a.size
        a.stage.move(Move(MAIN, Phase.MANIPULATE, pose(side, 0.3 * side, 0) @ low, about=a.noun), seconds=0.34)


def circle(a: Actor) -> None:
    """Circles close to the table."""
    a.pick_up()
    _circles(a, pose(-0.02, 0.03, a.props[a.noun].size_m[2] / 2 + 0.01), 0.045, 0.6)


def crush(a: Actor) -> None:
    """Close the fingers hard, several times."""
    a.pick_up()
    for _ in range(a.rng.integers(2, 5)):
        squeeze(a, MAIN, CURLS, 16)


def tear(a: Actor) -> None:
    """A few short pulls to the side and down."""
    a.pick_up()
    for _ in range(a.rng.integers(2, 4)):
        a.shift(MAIN, a.noun, pose(0.05 * a.size, -0.03, -0.02, about=(0, 22, 0)), seconds=0.3)
        a.shift(MAIN, a.noun, pose(-0.03, 0.02, 0.01, about=(0, -14, 0)), seconds=0.4)


def flip(a: Actor) -> None:
    """Lift a little, turn on its side and let go; what is flat is turned up like a page, and back."""
    a.reach(MAIN, a.noun)
    a.grasp(MAIN, a.noun)
    width, _, height = a.props[a.noun].size_m
    flat = height < 0.03
    side = pose(-0.02, 0, (width - height) / 2) @ a.places.rest @ pose(0, 0, 0, about=(0, -62 if flat else -90, 0))
    a.carry(MAIN, a.noun, pose(0, 0, 0.04) @ side)
    a.carry(MAIN, a.noun, a.places.rest if flat else side)
    a.release(MAIN, a.noun)
    a.home(MAIN)


def write(a: Actor) -> None:
    """Small strokes that move on to the right."""
    a.pick_up()
    start = pose(-0.06, 0.0, 0.06, about=(-20, 0, 0))
    a.carry(MAIN, a.noun, start)
    for i in range(int(a.rng.integers(8, 14))):
        x, y = 0.010 * i * a.size, (-1) ** i * 0.009 * a.size
        a.stage.move(Move(MAIN, Phase.MANIPULATE, pose(x, y, 0) @ start, about=a.noun), seconds=0.17)


def press(a: Actor) -> None:
    """Point and press here and there on top of the thing."""
    width, depth, height = np.array(a.props[a.noun].size_m)
    tip = np.array([-0.02, 0.16, -0.02])
    for _ in range(a.rng.integers(3, 7)):
        x, y = a.rng.uniform(-0.35, 0.35, 2) * (width, depth)
        key = a.stage.pose(a.noun)[:3, 3] + (x, y, height / 2 + 0.004)
        down = pose(0, 0, 0, about=(-28, 0, 12))
        down[:3, 3] = key - down[:3, :3] @ tip
        above = pose(0, 0, 0.03 * a.size) @ down
        a.stage.move(Move(MAIN, Phase.REACH, above, angles=grasp("point")))
        a.stage.move(Move(MAIN, Phase.MANIPULATE, down), seconds=0.18)
        a.stage.move(Move(MAIN, Phase.MANIPULATE, above), seconds=0.18)
    a.home(MAIN)


def hand_over(a: Actor) -> None:
    """Hold out to somebody across the table."""
    a.pick_up()
    a.carry(MAIN, a.noun, pose(0.03, 0.20, 0.19, about=(12, 0, 0)), arc_m=0.02)


def shake_hands(a: Actor) -> None:
    """Reach out with the thumb up, close a little, shake, come back."""
    out = pose(0.06, 0.05, 0.17, about=(0, 84, 0))
    a.stage.move(Move(MAIN, Phase.REACH, out, angles=grasp("flat"), arc_m=0.02))
    a.stage.move(Move(MAIN, Phase.GRASP, angles=grasp("power", 0.55)), seconds=0.3)
    for _ in range(a.rng.integers(2, 5)):
        a.stage.move(Move(MAIN, Phase.MANIPULATE, pose(0, 0, 0.035 * a.size) @ out), seconds=0.22)
        a.stage.move(Move(MAIN, Phase.MANIPULATE, pose(0, 0, -0.025 * a.size) @ out), seconds=0.22)
    a.home(MAIN)


def high_five(a: Actor) -> None:
    """Raise the palm, slap forward, come back."""
    up = pose(0.10, 0.0, 0.16, about=(72, 0, 0))
    a.stage.move(Move(MAIN, Phase.REACH, up, angles=grasp("open"), arc_m=0.02))
    a.stage.move(Move(MAIN, Phase.MANIPULATE, pose(0, 0.12 * a.size, 0.03) @ up), seconds=0.25)
    a.stage.move(Move(MAIN, Phase.MANIPULATE, up), seconds=0.4)
    a.home(MAIN)


def _circles(a: Actor, centre: np.ndarray, radius: float, seconds: float) -> None:
    """Carry the main thing round a point: eight short movements a turn."""
    a.carry(MAIN, a.noun, pose(radius, 0, 0) @ centre)
    for i in range(1, 8 * int(a.rng.integers(2, 5)) + 1):
        angle = i * np.pi / 4
        around = pose(radius * np.cos(angle), radius * np.sin(angle), 0) @ centre
        a.stage.move(Move(MAIN, Phase.MANIPULATE, around, about=a.noun), seconds=seconds / 4)
