"""Motion of hands and things: exact holds, reversals, ambiguities, determinism."""

import zlib

import numpy as np
import pytest

from handloom.geometry import invert_rigid
from handloom.simulate.grips import MIRROR, grip, signed_distance
from handloom.simulate.hand import LOWER, UPPER, HandShape, forward
from handloom.simulate.motion import FIRST_THING, Phase, Stretch, join
from handloom.simulate.plan import Layout, recordings
from handloom.simulate.props import PROPS, half_size
from handloom.simulate.rigs import rig
from handloom.simulate.script import Script
from handloom.simulate.subjects import fpha_split, h2o_split, subject, unseen_people_split
from handloom.simulate.taxonomy import ASSEMBLY, BEGINS_LIKE, DESKTOP, FPHA, H2O, Gesture, State
from handloom.skeleton import LEFT, RIGHT

TAXONOMIES = (H2O, FPHA, ASSEMBLY, DESKTOP)
ALL = [(taxonomy, action) for taxonomy in TAXONOMIES for action in taxonomy.actions]
NAMES = [f"{taxonomy.name}-{action.name}" for taxonomy, action in ALL]


def script(taxonomy, noun, seed=0, number=1, nouns=None):
    person = subject(5, number, right_handed=True)
    return Script(taxonomy, person, nouns or (noun,), 30.0, np.random.default_rng(seed))


def perform(taxonomy, action, seed=None):
    seed = zlib.crc32(action.name.encode()) if seed is None else seed
    return script(taxonomy, action.noun, seed).perform(action)


def test_the_taxonomies_have_the_papers_numbers():
    counts = [(len(t.actions), len(t.nouns), len(t.verbs)) for t in (H2O, FPHA, ASSEMBLY)]
    assert counts[0] == (36, 8, 11)
    assert counts[1][:2] == (45, 26)
    assert counts[2][2] == 6
    assert H2O.actions[23].name == "take out espresso"
    assert H2O.first_label == 1
    assert not set(ASSEMBLY.nouns) & set(DESKTOP.nouns)


def test_each_kind_of_ambiguity_occurs():
    def names(pairs):
        return {(a.name, b.name) for a, b in pairs}

    time = names(H2O.time_pairs())
    assert {("grab milk", "place milk"), ("open milk", "close milk"), ("take out cocoa", "put in cocoa")} <= time
    assert {("screw wheel", "unscrew wheel"), ("pick up wheel", "put down wheel")} <= names(ASSEMBLY.time_pairs())
    assert ("apply lotion", "apply spray") in names(H2O.object_pairs())
    assert names(H2O.ending_pairs()) == {("grab book", "read book"), ("grab espresso", "read espresso")}
    assert ("pick up wheel", "position wheel") in names(ASSEMBLY.ending_pairs())
    assert names(FPHA.ending_pairs()) == {("scoop spoon", "put sugar")}


@pytest.mark.parametrize(("taxonomy", "action"), ALL, ids=NAMES)
def test_every_action_moves_like_a_body(taxonomy, action):
    motion = perform(taxonomy, action)
    assert motion.stretches == (Stretch(taxonomy.actions.index(action), 0, len(motion)),)
    assert 30 < len(motion) < 500
    assert (motion.angles >= LOWER - 1e-12).all()
    assert (motion.angles <= UPPER + 1e-12).all()
    speeds = [
        30 * np.linalg.norm(np.diff(poses[..., :3, 3], axis=0), axis=-1).max(initial=0)
        for poses in (motion.world_from_hand, motion.world_from_thing)
    ]
    assert max(speeds) < 2.6  # m/s; a thing that jumped 10 cm in a frame would have 3
    for thing in range(len(motion.things)):
        relative_to_holder_is_constant(motion, thing)


def relative_to_holder_is_constant(motion, thing):
    """While its holder is the same, a thing keeps its pose on it, exactly."""
    holder = motion.holder[:, thing]
    changes = np.flatnonzero(np.diff(holder)) + 1
    for start, end in zip([0, *changes], [*changes, len(motion)]):
        if holder[start] < 0:
            frames = np.broadcast_to(np.eye(4), (end - start, 4, 4))
        elif holder[start] < FIRST_THING:
            frames = motion.world_from_hand[start:end, holder[start]]
        else:
            frames = motion.world_from_thing[start:end, holder[start] - FIRST_THING]
        relative = invert_rigid(frames) @ motion.world_from_thing[start:end, thing]
        assert np.abs(relative - relative[0]).max() < 1e-9


def test_a_held_thing_moves_and_its_hold_is_the_grip():
    motion = perform(ASSEMBLY, ASSEMBLY.action("pick up cabin"))
    held = motion.holder[:, 0] == RIGHT
    assert held.any()
    assert not held.all()
    path = motion.world_from_thing[held, 0, :3, 3]
    assert np.linalg.norm(path[-1] - path[0]) > 0.08
    cabin = PROPS["cabin"]
    expected = grip(subject(5, 1).right, RIGHT, cabin.hold, cabin.form, cabin.size_m).thing_from_hand
    np.testing.assert_allclose(
        motion.held_in(RIGHT, 0)[held], np.broadcast_to(invert_rigid(expected), (held.sum(), 4, 4)), atol=1e-12
    )


@pytest.mark.parametrize("name", ["open milk", "take out cocoa", "grab book"])
def test_the_opposite_action_is_the_same_movement_backwards(name):
    forward_action = H2O.action(name)
    backward_action = dict(H2O.time_pairs())[forward_action]
    there, back = perform(H2O, forward_action, seed=9), perform(H2O, backward_action, seed=9)
    np.testing.assert_array_equal(there.world_from_hand, back.world_from_hand[::-1])
    np.testing.assert_array_equal(there.angles, back.angles[::-1])
    np.testing.assert_array_equal(there.world_from_thing, back.world_from_thing[::-1])
    assert set(back.phase[back.phase > 0]) <= set(Phase)
    assert (there.phase == Phase.GRASP).any()
    assert ((there.phase == Phase.GRASP) == (back.phase[::-1] == Phase.RELEASE)).all()
    assert there.stretches != back.stretches
    assert np.abs(there.world_from_thing[0] - back.world_from_thing[0]).max() > 0.01  # yet not the same movement


def test_actions_that_differ_by_the_object_alone_move_alike():
    lotion, spray = (perform(H2O, H2O.action(f"apply {noun}"), seed=4) for noun in ("lotion", "spray"))
    assert abs(len(lotion) - len(spray)) <= len(lotion)  # both are the same sequence of beats
    for motion in (lotion, spray):
        palms = motion.world_from_hand[len(motion) // 2, :, :3, 3]
        assert np.linalg.norm(palms[0] - palms[1]) < 0.16


@pytest.mark.parametrize(("taxonomy", "pair"), [(ASSEMBLY, 0), (H2O, 0), (FPHA, 0)])
def test_endings_alone_tell_some_actions_apart(taxonomy, pair):
    short, long = taxonomy.ending_pairs()[pair]
    a, b = perform(taxonomy, short, seed=3), perform(taxonomy, long, seed=3)
    assert len(b) > len(a) + 10
    # The same movements but for tremor, which runs on over the whole of each.
    difference = np.abs(a.world_from_hand - b.world_from_hand[: len(a)])[..., :3, 3].max()
    assert difference < 0.012
    assert np.abs(b.world_from_hand[len(a) :, :, :3, 3] - a.world_from_hand[-1, :, :3, 3]).max() > 0.05


def test_begins_like_names_gestures_that_exist():
    used = {action.gesture for taxonomy in TAXONOMIES for action in taxonomy.actions}
    assert set(BEGINS_LIKE) <= used
    assert used == set(Gesture)


def test_screwing_has_regrasps():
    motion = perform(ASSEMBLY, ASSEMBLY.action("screw wheel"), seed=2)
    part = motion.things.index("wheel")
    grasps = int((np.diff((motion.holder[:, part] == RIGHT).astype(int)) == 1).sum())
    assert grasps == 1 + (len(np.flatnonzero(np.diff(motion.holder[:, part]))) - 2) // 2
    turn = invert_rigid(motion.world_from_thing[0, part]) @ motion.world_from_thing[-1, part]
    assert turn[2, 2] == pytest.approx(1, abs=1e-9)
    assert turn[2, 3] < -0.001


def test_a_long_recording_is_continuous_and_its_actions_follow_from_each_other():
    made = script(ASSEMBLY, None, seed=8, nouns=ASSEMBLY.nouns).wander(40.0, {})
    assert len(made) == 40 * 30
    assert len(made.stretches) >= 4
    states = dict.fromkeys(ASSEMBLY.nouns, State.RESTING)
    for before, after in zip(made.stretches, made.stretches[1:]):
        assert before.end < after.start  # a transition lies between
    for stretch in made.stretches:
        action = ASSEMBLY.actions[stretch.action]
        assert states[action.noun] is action.before
        states[action.noun] = action.after
    for poses in (made.world_from_hand, made.world_from_thing):
        assert np.abs(np.diff(poses[..., :3, 3], axis=0)).max() * 30 < 2.6
    labels = made.labels()
    assert (labels >= 0).sum() == sum(s.end - s.start for s in made.stretches)


def test_a_recording_lasts_as_long_as_was_asked():
    lengths = {seconds: len(script(H2O, "milk", seed=2).wander(seconds, {})) for seconds in (0.5, 4.0, 6.0, 21.37)}
    assert lengths == {0.5: 15, 4.0: 120, 6.0: 180, 21.37: 641}
    made = script(H2O, "milk", seed=2).wander(6.0, {})
    assert all(stretch.end <= len(made) for stretch in made.stretches)
    last = made.world_from_hand[made.stretches[-1].end :, :, :3, 3]
    assert np.ptp(last, axis=0).max() < 0.02  # the hands wait for the end
    cut = script(H2O, "milk", seed=2).wander(0.5, {})
    assert [(stretch.start, stretch.end) for stretch in cut.stretches] == [(0, 15)]


def test_few_recordings_test_only_things_that_some_train_with():
    for subjects in (2, 3, 4, 8):
        for repetitions in (1, 2, 6):
            planned = recordings(rig("h2o"), Layout.NATIVE, subjects, repetitions)
            nouns = {split: {item.nouns for item in planned if item.split == split} for split in ("train", "test")}
            assert nouns["test"] <= nouns["train"]


def test_a_left_handed_motion_is_the_mirror_image():
    motion = perform(H2O, H2O.action("grab spray"))
    other = motion.mirrored()
    shape = HandShape.average(RIGHT), HandShape.average(LEFT)
    right = forward(shape[0], motion.world_from_hand[:, RIGHT], motion.angles[:, RIGHT])
    left = forward(shape[1], other.world_from_hand[:, LEFT], other.angles[:, LEFT])
    np.testing.assert_allclose(left, right * (-1, 1, 1), atol=1e-12)
    assert (other.holder == LEFT).sum() == (motion.holder == RIGHT).sum() > 0
    np.testing.assert_array_equal(other.mirrored().world_from_thing, motion.world_from_thing)


def test_slices_and_joins_keep_labels_in_place():
    motion = perform(H2O, H2O.action("grab spray"))
    joined = join([motion, motion[5:12]])
    assert joined.stretches[1] == Stretch(motion.stretches[0].action, len(motion), len(motion) + 7)
    assert joined[len(motion) + 2 : len(motion) + 4].stretches == (Stretch(motion.stretches[0].action, 0, 2),)


@pytest.mark.parametrize("name", ["milk", "espresso", "wheel", "sponge", "cabin", "soda can"])
def test_fingers_touch_what_they_hold_and_do_not_go_through(name):
    prop, shape = PROPS[name], HandShape.average(RIGHT)
    hold = grip(shape, RIGHT, prop.hold, prop.form, prop.size_m)
    joints = forward(shape, hold.thing_from_hand, hold.closed_angles)
    distance = signed_distance(joints, prop.form, half_size(prop.size_m))
    assert distance.min() > -0.004  # no joint's middle lies deep inside
    assert (distance[[4, 8, 12]] < shape.radii_m[[4, 8, 12]] + 0.012).sum() >= 2
    mirrored = grip(shape, LEFT, prop.hold, prop.form, prop.size_m)
    np.testing.assert_array_equal(mirrored.thing_from_hand, MIRROR @ hold.thing_from_hand @ MIRROR)


def test_people_differ_and_stay_themselves():
    people = [subject(0, number) for number in range(1, 7)]
    again = subject(0, 3)
    assert again.style == people[2].style
    assert again.darkness == people[2].darkness
    np.testing.assert_array_equal(again.right.lengths_m, people[2].right.lengths_m)
    assert len({person.style.speed for person in people}) == 6
    assert np.ptp([person.darkness for person in people]) > 0.5
    np.testing.assert_array_equal(people[0].left.lengths_m, people[0].right.lengths_m)
    assert not any(subject(0, number, right_handed=True).style.left_handed for number in range(1, 60))
    assert any(subject(0, number).style.left_handed for number in range(1, 60))


def test_style_is_seen_in_the_motion():
    lengths = {}
    for number in (1, 2, 3, 4, 5, 6):
        person = subject(5, number, right_handed=True)
        runs = [
            Script(H2O, person, ("milk",), 30.0, np.random.default_rng(k)).perform(H2O.action("grab milk"))
            for k in range(12)
        ]
        lengths[person.style.speed] = np.mean([len(run) for run in runs])
    speeds = sorted(lengths)
    assert lengths[speeds[0]] > lengths[speeds[-1]]


def test_splits():
    assert [h2o_split(n, "h1") for n in (1, 2, 3, 4)] == ["train", "train", "train", "test"]
    assert h2o_split(3, "o1") == "val"
    assert [fpha_split(r) for r in (1, 2)] == ["train", "test"]
    assert [unseen_people_split(n, 10) for n in range(1, 11)] == ["train"] * 7 + ["val"] + ["test"] * 2
    assert [unseen_people_split(n, 2) for n in (1, 2)] == ["train", "test"]
