"""Lifting a clip: exact where the model holds, right under symmetries, sound where it does not hold."""

import numpy as np
import pytest

from handloom.estimators.lifting import (
    ADULT_BONES_M,
    LiveLift,
    lift_clip,
    lift_flat,
    skeletons_up_to_scale,
)
from handloom.estimators.record import track_from_detections
from handloom.geometry import BrownConrady, KannalaBrandt, Pinhole
from handloom.hands import CameraSource, ScaleSource
from handloom.skeleton import bone_lengths
from made_up_hands import detect, moving_hand, open_hand

PINHOLE = Pinhole(1280, 720, 900.0, 905.0, 640.0, 355.0)
BROWN = BrownConrady(1280, 720, 900.0, 905.0, 640.0, 355.0, (-0.1, 0.05, 0.001, -0.001, 0.0))
FISHEYE = KannalaBrandt(1280, 960, 420.0, 420.0, 640.0, 480.0, (0.02, -0.01, 0.003, -0.001))
TIMES = np.arange(60) / 30


def lifted(camera, joints, **changes):
    """Lift the right hand only; returns ClipLift."""
    towards = joints.mean(1) / np.linalg.norm(joints.mean(1), axis=1, keepdims=True)
    along_ray = isinstance(camera, KannalaBrandt)
    hands = [detect(camera, frame, axis=axis if along_ray else None) for frame, axis in zip(joints, towards)]
    T = len(hands)
    keypoints, depth = np.full((T, 2, 21, 2), np.nan), np.full((T, 2, 21), np.nan)
    confidence = np.zeros((T, 2))
    keypoints[:, 1] = [hand.keypoints_px for hand in hands]
    depth[:, 1] = [hand.depth_px for hand in hands]
    confidence[:, 1] = 0.9
    options = {"skeleton_length_m": ADULT_BONES_M.sum()} | changes
    return lift_clip(camera, TIMES[:T], keypoints, depth, confidence, **options)


@pytest.mark.parametrize("camera", [PINHOLE, BROWN])
def test_exact_without_noise(camera):
    """Constant bones and a steady recession: every joint of every frame comes back."""
    joints = moving_hand(60)
    lift = lifted(camera, joints)
    np.testing.assert_allclose(lift.joints_m[:, 1], joints, atol=2e-6)
    np.testing.assert_allclose(lift.bone_lengths_m, ADULT_BONES_M, rtol=1e-5)
    assert np.isnan(lift.joints_m[:, 0]).all()


def test_fisheye_beyond_the_image_plane():
    """A hand 60 degrees off axis; the local approximation of a fisheye costs some percent, no more."""
    joints = moving_hand(60, start=(0.52, 0.0, 0.3))
    lift = lifted(FISHEYE, joints)
    depth = np.linalg.norm(lift.joints_m[:, 1, 0], axis=-1) / np.linalg.norm(joints[:, 0], axis=-1)
    assert np.abs(depth / np.median(depth) - 1).max() < 0.15
    pixels, seen = FISHEYE.project(lift.joints_m[:, 1])
    assert seen.all()
    np.testing.assert_allclose(pixels, FISHEYE.project(joints)[0], atol=0.01)


def test_a_larger_picture_gives_the_same_hands():
    joints = moving_hand(40)
    small, large = PINHOLE, PINHOLE.resized(2560, 1440)
    np.testing.assert_allclose(lifted(small, joints).joints_m, lifted(large, joints).joints_m, atol=2e-6)


def test_one_bad_frame_does_not_move_its_neighbours_much():
    joints = moving_hand(60)
    shrunk = joints.copy()
    shrunk[30] = joints[30] + [0, 0, 0.4]  # one frame in which the hand looks half its size
    depth = lifted(PINHOLE, shrunk).joints_m[:, 1, 0, 2]
    assert np.abs(depth / joints[:, 0, 2] - 1)[[25, 35]].max() < 0.05


def test_no_hand_at_all():
    lift = lift_clip(
        PINHOLE, TIMES[:3], np.full((3, 2, 21, 2), np.nan), np.full((3, 2, 21), np.nan), np.zeros((3, 2)), 0.8
    )
    assert np.isnan(lift.joints_m).all()


def test_flat_lifting_puts_a_parallel_hand_where_it_is():
    """A hand parallel to the image is flat indeed; its depth is then right to the precision of the proportions."""
    flat = open_hand() * [1, 1, 0]
    flat = flat * (ADULT_BONES_M / bone_lengths(flat)).min()
    pixels, _ = PINHOLE.project(flat + np.array([0.03, 0.01, 0.6]))
    lifted_flat = lift_flat(PINHOLE, pixels)
    assert lifted_flat[0, 2] == pytest.approx(0.6, rel=0.1)
    np.testing.assert_allclose(PINHOLE.project(lifted_flat)[0], pixels, atol=1e-6)


def test_live_lifting_approaches_the_clip():
    joints = moving_hand(60)
    live = LiveLift(PINHOLE)
    for k, frame in enumerate(joints):
        d = detect(PINHOLE, frame)
        last = live.push(k / 30, 1, d.keypoints_px, d.depth_px, float(ADULT_BONES_M.sum()))
    np.testing.assert_allclose(last, joints[-1], rtol=0.02, atol=1e-3)


def test_keypoints_without_a_ray_are_missing():
    narrow = BrownConrady(640, 480, 500.0, 500.0, 320.0, 240.0, (-0.4, 0.0, 0.0, 0.0, 0.0))
    assert np.isnan(skeletons_up_to_scale(narrow, np.full((21, 2), 1e6), np.zeros(21))).all()


def test_the_record_of_a_clip():
    joints = moving_hand(30)
    table = [[None] * 30, [detect(PINHOLE, frame) for frame in joints]]
    table[1][7] = None
    track = track_from_detections(table, TIMES[:30], PINHOLE, CameraSource.CALIBRATED)
    assert track.present[:, 0].sum() == 0
    assert track.present[:, 1].sum() == 29
    assert not track.present[7, 1]
    assert track.scale_source is ScaleSource.TRACKER
    np.testing.assert_allclose(track.joints_m[track.valid], joints[track.present[:, 1]].reshape(-1, 3), atol=1e-5)


def test_joints_beyond_the_border_have_no_confidence():
    joints = moving_hand(20, start=(0.33, 0.0, 0.5))
    table = [[None] * 20, [detect(PINHOLE, frame) for frame in joints]]
    track = track_from_detections(table, TIMES[:20], PINHOLE, CameraSource.GUESSED)
    outside = track.keypoints_px[:, 1, :, 0] > PINHOLE.width - 0.5
    assert outside.any()
    assert (track.confidence[:, 1][outside] == 0).all()
    assert (track.confidence[:, 1][~outside] > 0).any()
