"""No hand goes through the table, in no rig; what is held goes with the hand that is lifted."""

from dataclasses import replace

import numpy as np
import pytest

from handloom.simulate.clearance import cleared, flesh_m
from handloom.simulate.hand import forward
from handloom.simulate.script import Script
from handloom.simulate.simulation import Options, Simulation
from handloom.simulate.subjects import subject
from handloom.simulate.taxonomy import H2O
from handloom.skeleton import LEFT, RIGHT

PERSON = subject(5, 1, right_handed=True)
SHAPES = (PERSON.left, PERSON.right)


def read():
    script = Script(H2O, PERSON, ("book",), 30.0, np.random.default_rng(0))
    return script.perform(H2O.action("read book")), script


def lowest(motion):
    return np.stack(
        [
            forward(SHAPES[hand], motion.world_from_hand[:, hand], motion.angles[:, hand])[..., 2]
            - flesh_m(SHAPES[hand])
            for hand in (LEFT, RIGHT)
        ]
    ).min((0, 2))


@pytest.mark.parametrize(
    ("rig", "options"),
    [
        ("h2o", {"subjects": 4, "repetitions": 6, "seconds": 12.0}),
        ("fpha", {"subjects": 2, "repetitions": 1}),
        ("assembly", {"subjects": 4, "repetitions": 1, "seconds": 25.0}),
        ("desktop", {"subjects": 3, "repetitions": 1, "seconds": 25.0}),
    ],
)
def test_hands_stay_above_the_table(rig, options):
    simulation = Simulation(rig, Options(**options))
    below, steps = [], []
    for name in simulation.names:
        take = simulation.take(name)
        joints = take.joints_m[:, RIGHT:] if take.rig.taxonomy.one_hand else take.joints_m
        below.append(joints[..., 2].min((1, 2)) < -0.005)
        steps.append(np.abs(np.diff(joints, axis=0)).max(initial=0) * float(take.rate))
    assert np.concatenate(below).mean() < 0.005
    assert max(steps) < 6.0  # m/s of a finger tip: nothing jumps


def test_a_motion_that_is_clear_stays_as_it_is():
    motion, script = read()
    high = replace(motion, world_from_hand=motion.world_from_hand.copy())
    high.world_from_hand[..., 2, 3] += 0.1
    high.world_from_thing[..., 2, 3] += 0.1
    same = cleared(high, SHAPES, (LEFT, RIGHT), script.props)
    np.testing.assert_array_equal(same.world_from_hand, high.world_from_hand)
    np.testing.assert_array_equal(same.world_from_thing, high.world_from_thing)


def test_what_is_held_is_lifted_with_the_hand_and_what_stands_is_not():
    motion, script = read()
    book = motion.things.index("book")
    held = motion.holder[:, book] == RIGHT
    sunk = replace(
        motion, world_from_hand=motion.world_from_hand.copy(), world_from_thing=motion.world_from_thing.copy()
    )
    depth = 0.3 * np.clip((np.arange(len(motion)) - np.argmax(held) - 8) / 16, 0, 1) * held
    sunk.world_from_hand[..., 2, 3] -= depth[:, None]
    sunk.world_from_thing[..., 2, 3] -= depth[:, None] * held[:, None]
    assert lowest(sunk).min() < -0.03
    clear = cleared(sunk, SHAPES, (LEFT, RIGHT), script.props)
    away = np.abs(np.arange(len(motion)) - np.argmax(held)) > 7
    assert lowest(clear)[away].min() > -1e-9
    np.testing.assert_allclose(clear.held_in(RIGHT, book)[held], sunk.held_in(RIGHT, book)[held], atol=1e-12)
    np.testing.assert_array_equal(clear.world_from_thing[~held], sunk.world_from_thing[~held])
    rise = clear.world_from_hand[:, 0, 2, 3] - sunk.world_from_hand[:, 0, 2, 3]
    assert rise.max() > 0.05
    assert np.abs(np.diff(rise)).max() < 0.05  # it was sunk by 19 mm a frame


def test_ends_play_no_part_in_what_happens_backwards():
    motion, script = read()
    there = cleared(motion, SHAPES, (RIGHT,), script.props)
    back = cleared(motion.backwards(), SHAPES, (RIGHT,), script.props).backwards()
    np.testing.assert_allclose(there.world_from_hand, back.world_from_hand, atol=1e-12)
