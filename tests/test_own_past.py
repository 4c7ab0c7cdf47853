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
    np.testing.assert_allclose(OwnPast.of(block, cut).weights(now), past.weights(now), rtol=1e-6, atol=1e-9)
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
    found = past.corrected(chance, recording.joints_m[observed], now)[0]
    off, before = (np.abs(joints - straight[now : now + 30]).max() for joints in (found, chance[0]))
    assert before > 0.05
    assert off < before / 3


def test_bones_stay_as_long_as_they_are(past, recording):
    now = 100
    last = recording.joints_m[now - 1]
    rng = np.random.default_rng(1)
    foretold = last + 0.01 * rng.normal(size=(2, 45, 2, 21, 3))
    found = past.corrected(foretold, recording.joints_m[now - 16 : now], now)
    assert found.shape == foretold.shape
    np.testing.assert_allclose(bone_lengths(found), np.broadcast_to(bone_lengths(last), (2, 45, 2, 20)), atol=1e-9)


def test_what_is_missing_stays_missing_or_the_networks_own(past, recording):
    now = 100
    observed = recording.joints_m[now - 16 : now].copy()
    observed[:, 0] = np.nan
    foretold = np.repeat(observed[-1:], 10, 0)[None] + 0.01
    found = past.corrected(foretold, observed, now)
    assert np.isnan(found[:, :, 0]).all()
    assert np.isfinite(found[:, :, 1]).all()


def test_turning_the_frame_turns_the_forecast(block, recording):
    """Weights are shared by the axes: with ways that turn along, so does what comes of them."""
    from handloom.forecast.own_past import _normal_equations, _ways

    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rng = np.random.default_rng(2)
    came, foretold = 0.01 * rng.normal(size=(2, 30, 2, 21, 3))
    past = recording.joints_m[:16]
    plain = _normal_equations(_ways(foretold, past), came)
    turned = _normal_equations(_ways(foretold @ turn.T, past @ turn.T), came @ turn.T)
    for a, b in zip(plain, turned):
        np.testing.assert_allclose(a, b, atol=1e-12)
