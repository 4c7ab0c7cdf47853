"""A track's own past: weights from what came of earlier forecasts, and from nothing that had not come yet."""

from dataclasses import replace

import numpy as np
import pytest

from handloom.datasets.motions import motion_of_track
from handloom.skeleton import bone_lengths
from make_track import make_track
from with_torch import needs_torch, torch

pytestmark = needs_torch


@pytest.fixture(scope="module")
def block():
    from handloom.models.ghtt_pose import PoseBlock, PoseBlockConfig

    torch.manual_seed(0)
    return PoseBlock(PoseBlockConfig(dim=32, heads=4, feedforward=64, layers=1)).eval()


@pytest.fixture(scope="module")
def recording():
    return motion_of_track(make_track(150, 30.0, gaps=False, noise_m=0), "made up")


@pytest.fixture(scope="module")
def past(block, recording):
    from handloom.forecast.own_past import OwnPast

    return OwnPast.of(block, recording)


def test_without_a_past_the_network_counts_by_half(past):
    weights = past.weights(16)
    np.testing.assert_allclose(weights[..., 0], 0.5)
    np.testing.assert_allclose(weights[..., 1:], 0, atol=1e-12)


def test_only_what_has_come_is_known(block, recording, past):
    """The future of a recording may change: what is foretold at a frame stays."""
    from handloom.forecast.own_past import OwnPast

    now = 90
    cut = motion_of_track(make_track(150, 30.0, gaps=False, noise_m=0)[:now], "made up")
    known = OwnPast.of(block, cut)
    np.testing.assert_allclose(known.weights(now), past.weights(now), rtol=1e-6, atol=1e-9)
    foretold = recording.joints_m[now - 1] + np.full((1, 40, 2, 21, 3), 0.01)
    ours, later = known.corrected(foretold, cut.joints_m), past.corrected(foretold, recording.joints_m[:now])
    np.testing.assert_allclose(ours, later, rtol=1e-6, atol=1e-7)
    assert np.abs(past.weights(now) - past.weights(140)).max() > 1e-3


def test_a_hand_that_went_straight_on_goes_straight_on(block):
    """A network that knows nothing is outvoted by the motion itself."""
    from handloom.forecast.forecaster import Forecaster
    from handloom.forecast.own_past import OwnPast

    track = make_track(150, 30.0, gaps=False, noise_m=0)
    still = np.repeat(track.joints_m[:1].astype(np.float64), 150, 0)
    straight = still + np.arange(150)[:, None, None, None] * np.array([0.002, 0.001, 0])
    recording = motion_of_track(replace(track, joints_m=straight.astype(np.float32)), "straight")
    past, now = OwnPast.of(block, recording), 110
    observed = slice(now - 16, now)
    chance = Forecaster(block).predict(recording.motion.part(observed), 30, 1, "a")[0]
    found = past.corrected(chance, recording.joints_m[:now])[0]
    off, before = (np.abs(joints - straight[now : now + 30]).max() for joints in (found, chance[0]))
    assert before > 0.05
    assert off < before / 3


def test_bones_stay_as_long_as_they_are(past, recording):
    now = 100
    last = recording.joints_m[now - 1]
    rng = np.random.default_rng(1)
    foretold = last + 0.01 * rng.normal(size=(2, 45, 2, 21, 3))
    found = past.corrected(foretold, recording.joints_m[:now])
    assert found.shape == foretold.shape
    np.testing.assert_allclose(bone_lengths(found), np.broadcast_to(bone_lengths(last), (2, 45, 2, 20)), atol=1e-9)


def test_what_is_missing_stays_missing_or_the_networks_own(past, recording):
    now = 100
    observed = recording.joints_m[:now].copy()
    observed[-16:, 0] = np.nan
    foretold = np.repeat(observed[-1:], 10, 0)[None] + 0.01
    found = past.corrected(foretold, observed)
    assert np.isnan(found[:, :, 0]).all()
    assert np.isfinite(found[:, :, 1]).all()


def test_turning_the_frame_turns_the_forecast(block, recording):
    """Weights are shared by the axes: with ways that turn along, so does what comes of them."""
    from handloom.forecast.own_past import _normal_equations, _ways

    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rng = np.random.default_rng(2)
    came, foretold = 0.01 * rng.normal(size=(2, 30, 2, 21, 3))
    past, alike = recording.joints_m[:16], 0.01 * rng.normal(size=(30, 2, 21, 3))
    plain = _normal_equations(_ways(foretold, alike, past), came)
    turned = _normal_equations(_ways(foretold @ turn.T, alike @ turn.T, past @ turn.T), came @ turn.T)
    for a, b in zip(plain, turned):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_a_joint_that_is_missing_at_the_end_costs_no_other(block, recording):
    from handloom.forecast.own_past import OwnPast

    now, knuckle = 100, 6
    observed = recording.joints_m[:now].copy()
    observed[-3:, 0, knuckle] = np.nan
    foretold = np.repeat(recording.joints_m[now - 1 : now], 10, 0)[None] + 0.01
    found = OwnPast.of(block, recording).corrected(foretold, observed)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, :, 0, knuckle], foretold[:, :, 0, knuckle])


def swinging(frames, period=40):
    """Both hands, rigid, to and fro."""
    place = 0.1 * np.sin(2 * np.pi * np.arange(frames) / period)[:, None, None, None] * np.array([1.0, 0.5, 0])
    return np.random.default_rng(3).normal(size=(1, 2, 21, 3)) * 0.05 + place


def test_moments_alike_tell_what_comes_of_a_motion_that_repeats():
    from handloom.forecast.alike import Moments

    joints, now = swinging(600), 480
    moments = Moments.of(joints, np.arange(16, 600, 8), 30)
    way = moments.way(joints[:now], now, 0)
    np.testing.assert_allclose(way, joints[now : now + 30] - joints[now - 1], atol=0.005)
    assert np.abs(way).max() > 0.05
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = Moments.of(joints @ turn.T + 1, np.arange(16, 600, 8), 30)
    np.testing.assert_allclose(turned.way(joints[:now] @ turn.T + 1, now, 0), way @ turn.T, atol=1e-9)


def test_moments_say_nothing_of_what_they_cannot_know():
    from handloom.forecast.alike import FEWEST, Moments

    joints, starts = swinging(600), np.arange(16, 600, 8)
    joints[:, 1] = np.nan
    moments = Moments.of(joints, starts, 30)
    now = 480
    assert np.abs(moments.way(joints[:now], now, 0)[:, 0]).max() > 0.05
    assert not moments.way(joints[:now], now, 0)[:, 1].any()
    early = int(starts[FEWEST - 1]) + 29
    assert not moments.way(joints[:early], early, 0).any()
    assert moments.way(joints[: early + 1], early + 1, 0).any()
    assert not moments.way(joints[:now], now, now - 100).any()
    changed = joints.copy()
    changed[now:] += 1
    after = Moments.of(changed, starts, 30).way(changed[:now], now, 0)
    np.testing.assert_array_equal(after, moments.way(joints[:now], now, 0))
