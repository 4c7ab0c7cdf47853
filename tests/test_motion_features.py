"""Hand frames and the 153 features of motion: golden numbers, inverses, gaps."""

import numpy as np
import pytest

import ghtt_golden
from handloom.errors import InputError
from handloom.geometry import apply_rigid, invert_rigid, rigid
from handloom.geometry.hand_frames import HAND_SIZE_M, camera_from_hand, palm_size
from handloom.geometry.motion_features import (
    FEATURES,
    MOTION,
    STILL,
    hand_motion,
    joints_from_features,
    to_pose9,
    trajectory,
)
from made_up_hands import rotations
from make_track import make_track

needs_golden = pytest.mark.skipif(not ghtt_golden.GOLDEN.exists(), reason="no golden numbers beside this checkout")


def two_hands(frames=40):
    track = make_track(frames, gaps=False, noise_m=0)
    return track.joints_m.astype(np.float64)


@needs_golden
@pytest.mark.parametrize(("name", "of"), [("hand", ghtt_golden.hand), ("estimate", ghtt_golden.estimate)])
def test_frames_are_those_of_the_authors_code(name, of):
    golden, joints = ghtt_golden.golden(), ghtt_golden.hands(of)
    np.testing.assert_array_equal(golden[f"{name}_joints"], joints.reshape(64, 42, 3).astype(np.float32))
    hand_from_camera = invert_rigid(camera_from_hand(joints, ghtt_golden.templates()))
    rotation = golden[f"{name}_root_rotation"].swapaxes(-1, -2)
    np.testing.assert_allclose(hand_from_camera[..., :3, :3], rotation, atol=1e-6)
    np.testing.assert_allclose(hand_from_camera[..., :3, 3], golden[f"{name}_root_translation"], atol=3e-7)
    np.testing.assert_allclose(palm_size(joints), golden[f"{name}_size"], atol=3e-7)


@needs_golden
def test_features_and_their_inverse_are_those_of_the_authors_code():
    golden, joints = ghtt_golden.golden(), ghtt_golden.hands()
    motion = hand_motion(joints, template=ghtt_golden.templates())
    np.testing.assert_allclose(motion.features, golden["rep_feature"], atol=1e-6)
    base = motion.camera_from_hand[15]
    relative = to_pose9(invert_rigid(base) @ motion.camera_from_hand, 10.0).reshape(64, 18)
    np.testing.assert_allclose(relative, golden["rep_trajectory"], atol=1e-6)
    in_base = apply_rigid(invert_rigid(base), joints)
    np.testing.assert_allclose(in_base.reshape(64, 42, 3), golden["rep_joints_base"], atol=3e-7)

    features = motion.features[16:].astype(np.float32).astype(np.float64)
    sizes = motion.sizes_m[:16].mean(0, keepdims=True)
    back = joints_from_features(features, base, sizes)
    np.testing.assert_allclose(back.reshape(48, 42, 3), golden["inv_joints_cam"], atol=3e-7)
    moved = to_pose9(trajectory(features), 10.0).reshape(48, 18)
    np.testing.assert_allclose(moved, golden["inv_trajectory"], atol=1e-6)


def test_joints_come_back():
    joints = two_hands()
    motion = hand_motion(joints)
    back = joints_from_features(motion.features[1:], motion.camera_from_hand[0], motion.sizes_m[1:])
    np.testing.assert_allclose(back, joints[1:], atol=1e-9)
    single = joints_from_features(
        motion.features[1:].astype(np.float32), motion.camera_from_hand[0], motion.sizes_m[1:]
    )
    np.testing.assert_allclose(single, joints[1:], atol=1e-5)


def test_features_depend_on_neither_place_nor_unit():
    joints = two_hands()
    turn = rotations(np.array([[0.4, -1.1, 2.0]]))[0]
    moved = apply_rigid(rigid(turn, np.array([0.3, -0.2, 1.0])), joints)
    features = hand_motion(joints).features
    np.testing.assert_allclose(hand_motion(moved).features, features, atol=1e-9)
    twice = hand_motion(2 * joints).features
    np.testing.assert_allclose(twice[:, :126], features[:, :126], atol=1e-9)
    np.testing.assert_allclose(twice[:, 132:135], 2 * features[:, 132:135], atol=1e-9)


def test_mirrored_hands_swap_their_features():
    joints = two_hands()
    mirror = np.array([-1.0, 1, 1])
    features, mirrored = hand_motion(joints).features, hand_motion(joints[:, ::-1] * mirror).features
    left = (mirrored[:, :63].reshape(-1, 21, 3) * mirror).reshape(-1, 63)
    np.testing.assert_allclose(left, features[:, 63:126], atol=1e-9)


def test_motion_goes_through_a_gap():
    joints = two_hands()
    valid = np.ones(joints.shape[:3], bool)
    valid[10:20, 0] = False
    valid[:5, 1, 5] = False
    motion = hand_motion(joints, valid)
    assert not motion.present[10:20, 0].any()
    assert not motion.known[:5, 1].any(), "a palm that is not whole has no frame"
    assert np.isfinite(motion.features).all()
    back = joints_from_features(motion.features[1:], motion.camera_from_hand[0], motion.sizes_m[1:])
    np.testing.assert_allclose(back[20:, 0], joints[21:, 0], atol=1e-9)
    np.testing.assert_allclose(motion.camera_from_hand[0, 1], motion.camera_from_hand[5, 1], atol=1e-12)


def test_a_hand_that_never_was_is_still():
    joints = two_hands(20)
    joints[:, 0] = np.nan
    motion = hand_motion(joints)
    assert (motion.features[:, :63] == 0).all()
    np.testing.assert_array_equal(motion.features[:, 126:135], np.tile(STILL, (20, 1)))
    np.testing.assert_array_equal(motion.features[:, 144:], np.tile(STILL, (20, 1)))
    assert (motion.sizes_m[:, 0] == HAND_SIZE_M).all()


def test_hidden_hands_are_as_if_never_seen():
    joints, hidden = two_hands(), np.zeros((40, 2), bool)
    hidden[8:15, 1] = hidden[30:, 0] = True
    given, seen = hand_motion(joints).without(hidden), hand_motion(np.where(hidden[..., None, None], np.nan, joints))
    for ours, theirs in zip(given, seen):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_part_is_a_sequence_of_its_own():
    joints = two_hands()
    part, alone = hand_motion(joints).part(slice(7, 30)), hand_motion(joints[7:30])
    for ours, theirs in zip(part, alone):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert part.features.shape == (23, FEATURES)
    np.testing.assert_array_equal(part.features[0, MOTION], STILL * 2)


def test_the_same_numbers_in_torch():
    torch = pytest.importorskip("torch")
    motion = hand_motion(two_hands())
    features = torch.from_numpy(motion.features[1:]).requires_grad_()
    base, sizes = torch.from_numpy(motion.camera_from_hand[0]), torch.from_numpy(motion.sizes_m[1:])
    back = joints_from_features(features, base, sizes)
    np.testing.assert_allclose(back.detach().numpy(), two_hands()[1:], atol=1e-9)
    back.square().sum().backward()
    assert torch.isfinite(features.grad).all()


def test_no_frames_are_refused():
    with pytest.raises(InputError, match=r"of one frame or more, found \(0, 2, 21, 3\)"):
        hand_motion(np.zeros((0, 2, 21, 3)))
