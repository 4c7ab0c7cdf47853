"""Numbers of `metrics.track` against motions whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handloom.hands import HandTrack
from handloom.metrics.track import (
    acceleration,
    bone_spread,
    coverage,
    gap_lengths,
    hand_size,
    high_pass_rms,
    jerk,
    jitter,
    palm_spread,
    runs,
    speed,
    summarise,
)
from handloom.skeleton import BONES, PALM_BONES, bone_lengths
from make_track import hand_shape, make_track, moving, scaled

UNEVEN = np.cumsum(np.array([0.0, 0.03, 0.05, 0.02, 0.04, 0.03, 0.06, 0.03, 0.02, 0.05]))
EVEN = np.arange(10) / 25


def polynomial(times: np.ndarray, power: int) -> np.ndarray:
    return (times**power)[:, None] * np.array([1.0, -2.0, 2.0])  # direction of length 3


def seen_except(frames: int, missing: dict[int, slice]) -> np.ndarray:
    valid = np.ones((frames, 2, 21), bool)
    for hand, where in missing.items():
        valid[where, hand] = False
    return valid


@pytest.mark.parametrize("times", [EVEN, UNEVEN])
def test_speed_of_constant_motion_whatever_the_frame_rate(times):
    found = speed(moving(polynomial(times, 1), times))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], np.tile([3.0, 6.0], (9, 1)), rtol=1e-4)


@pytest.mark.parametrize("times", [EVEN, UNEVEN])
def test_acceleration_of_quadratic_motion(times):
    found = acceleration(moving(polynomial(times, 2), times))
    assert np.isnan(found[:2]).all()
    np.testing.assert_allclose(found[2:], np.tile([6.0, 12.0], (8, 1)), rtol=2e-3)


@pytest.mark.parametrize("times", [EVEN, UNEVEN])
def test_jitter_of_cubic_motion_is_its_third_derivative(times):
    track = moving(polynomial(times, 3), times)
    np.testing.assert_allclose(jitter(track), [18.0, 36.0], rtol=0.03)  # float32 metres, differentiated three times
    assert np.isnan(jerk(track)[:3]).all()
    assert np.isfinite(jerk(track)[3:]).all()


def test_jitter_is_the_third_difference_times_the_cubed_rate():
    track = make_track(60, gaps=False)
    by_hand = np.linalg.norm(np.diff(track.joints_m.astype(float), 3, axis=0), axis=-1).mean((0, 2)) * 30**3
    np.testing.assert_allclose(jitter(track), by_hand, rtol=1e-5)


def test_gaps_are_bridged_by_no_difference():
    valid = seen_except(10, {0: slice(4, 5)})
    track = moving(polynomial(EVEN, 1), EVEN, valid)
    assert np.flatnonzero(np.isnan(speed(track)[:, 0])).tolist() == [0, 4, 5]
    assert np.flatnonzero(np.isnan(acceleration(track)[:, 0])).tolist() == [0, 1, 4, 5, 6]
    assert np.flatnonzero(np.isnan(jerk(track)[:, 0])).tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert np.isnan(speed(track)[1:, 1]).sum() == 0
    np.testing.assert_allclose(gap_lengths(track, 0), [0.08])
    assert gap_lengths(track, 1).size == 0


def test_a_missing_joint_leaves_the_others_measured():
    valid = seen_except(10, {})
    valid[:, 0, 7] = False
    track = moving(polynomial(EVEN, 3), EVEN, valid)
    np.testing.assert_allclose(jitter(track), [18.0, 36.0], rtol=0.03)
    spread = bone_spread(track)
    broken = [i for i, bone in enumerate(BONES) if 7 in bone]
    assert np.flatnonzero(np.isnan(spread[0])).tolist() == broken
    assert np.isfinite(spread[1]).all()


def test_coverage_and_runs():
    track = moving(polynomial(EVEN, 1), EVEN, seen_except(10, {0: slice(0, 3), 1: slice(8, 9)}))
    np.testing.assert_allclose(coverage(track), [0.7, 0.9])
    assert runs(track.present[:, 0]).tolist() == [[3, 10]]
    assert runs(track.present[:, 1]).tolist() == [[0, 8], [9, 10]]
    assert runs(~track.present[:, 1]).tolist() == [[8, 9]]
    assert runs(np.zeros(4, bool)).shape == (0, 2)


@given(st.lists(st.booleans(), max_size=40))
def test_runs_rebuild_the_mask(mask):
    rebuilt = np.zeros(len(mask), bool)
    for first, end in runs(np.array(mask, bool)):
        assert end > first
        assert not rebuilt[first:end].any()
        rebuilt[first:end] = True
    assert rebuilt.tolist() == mask


def test_high_pass_returns_white_noise_and_ignores_smooth_motion():
    times = np.sort(np.random.default_rng(1).uniform(0, 60, 1800))
    smooth = moving(np.stack([times**2 / 50, times, 0 * times], -1), times)
    assert (high_pass_rms(smooth) < 0.02).all()  # float32 pixels around 10⁴
    noise = np.random.default_rng(2).normal(0, 3.0, smooth.keypoints_px.shape)
    shaky = replace(smooth, keypoints_px=smooth.keypoints_px + noise)
    np.testing.assert_allclose(high_pass_rms(shaky), 3 * np.sqrt(2), rtol=0.02)


def test_bone_spread_of_a_hand_that_grows():
    factors = np.array([0.9, 1.0, 1.1, 1.0])
    shape = hand_shape(np.zeros(1))[0]
    joints = np.stack([shape * factors[:, None, None], np.tile(shape, (4, 1, 1))], 1)
    ones = np.ones((4, 2, 21))
    track = HandTrack(np.arange(4.0), joints, ones.astype(bool), ones, joints[..., :2])
    expected = factors.std() / factors.mean()
    np.testing.assert_allclose(bone_spread(track)[0], expected, rtol=1e-5)
    np.testing.assert_allclose(bone_spread(track)[1], 0, atol=1e-6)
    np.testing.assert_allclose(palm_spread(track), [expected, 0], atol=1e-6)
    np.testing.assert_allclose(hand_size(track), np.linalg.norm(shape[9]), rtol=1e-5)
    np.testing.assert_allclose(bone_lengths(track.joints_m)[0, 1, BONES.index((5, 6))], 0.043, rtol=1e-5)


def test_palm_spread_looks_at_the_four_palm_bones_only():
    track = make_track(30, gaps=False, noise_m=0)
    joints = track.joints_m.copy()
    joints[::2, 0, 17] *= 1.5
    moved = replace(track, joints_m=joints)
    index = [BONES.index(bone) for bone in PALM_BONES]
    np.testing.assert_allclose(palm_spread(moved), bone_spread(moved)[:, index].mean(1))
    assert palm_spread(moved)[0] > 0.1 > 1e-3 > palm_spread(moved)[1]


def test_a_change_of_unit_scales_lengths_and_leaves_ratios():
    track = make_track(60)
    in_mm = scaled(track, 1000)
    for measure in (speed, acceleration, jerk, jitter, hand_size):
        np.testing.assert_allclose(measure(in_mm), 1000 * measure(track), rtol=1e-3)
    for measure in (coverage, bone_spread, palm_spread, high_pass_rms):
        np.testing.assert_allclose(measure(in_mm), measure(track), rtol=1e-3)


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4])
def test_short_records_are_measured_as_far_as_they_go(frames):
    track = make_track(10, gaps=False)[:frames]
    for measure, needed in (
        (coverage, 1),
        (speed, 2),
        (acceleration, 3),
        (jerk, 4),
        (jitter, 4),
        (high_pass_rms, 5),
    ):
        assert np.isfinite(measure(track)).any() == (frames >= needed), measure
    for measure, needed in ((bone_spread, 2), (palm_spread, 2), (hand_size, 1)):
        assert np.isfinite(measure(track)).all() == (frames >= needed), measure
    left, _ = summarise(track)
    assert left.frames == frames


def test_the_summary_of_a_hand_that_was_never_seen_is_unknown_not_zero():
    track = moving(polynomial(EVEN, 1), EVEN, seen_except(10, {0: slice(None)}))
    left, right = summarise(track)
    assert (left.frames, left.coverage) == (0, 0.0)
    numbers = (
        left.speed_m_s,
        left.jitter_m_s3,
        left.high_pass_px,
        left.palm_spread,
        left.hand_size_m,
        left.longest_gap_s,
    )
    assert np.isnan(numbers).all()
    assert right.speed_m_s == pytest.approx(6.0, rel=1e-4)
    assert right.longest_gap_s == 0
