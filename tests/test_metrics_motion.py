"""Metrics of refined and predicted motion: golden numbers, exact answers; the two plain forecasts."""

import numpy as np
import pytest

import ghtt_golden
from handloom.errors import InputError
from handloom.forecast.baselines import constant_velocity, static
from handloom.metrics.motion import (
    acceleration_errors,
    equalised_errors,
    frechet_distance,
    pairwise_diversity,
    path_errors,
    with_palm_of,
    wrist_relative_errors,
)
from make_track import make_track

needs_golden = pytest.mark.skipif(not ghtt_golden.GOLDEN.exists(), reason="no golden numbers beside this checkout")
WITHOUT_THUMB_BASE = np.arange(21) != 1


def whole(frames):
    return np.broadcast_to(WITHOUT_THUMB_BASE, (frames, 2, 21))


def moving(frames=20):
    return make_track(frames, gaps=False, noise_m=0).joints_m.astype(np.float64)


@needs_golden
def test_pose_errors_are_those_of_the_authors_code():
    golden = ghtt_golden.golden()
    truth, found = ghtt_golden.hands(), ghtt_golden.hands(ghtt_golden.estimate)
    weighed = np.r_[0:50, 60:64]
    ra, pa = equalised_errors(found, truth, whole(64))
    np.testing.assert_allclose(ra, golden["metric_ra_frame"], atol=1e-7)
    np.testing.assert_allclose(pa, golden["metric_pa_frame"], atol=1e-7)
    np.testing.assert_allclose(ra[weighed].mean(0), golden["metric_ra"], atol=1e-7)
    np.testing.assert_allclose(pa[weighed].mean(0), golden["metric_pa"], atol=1e-7)
    relative = wrist_relative_errors(found, truth, whole(64))
    np.testing.assert_allclose(relative[weighed].mean(0), golden["metric_ra_unscaled"], atol=1e-7)
    absolute, _ = path_errors(found[weighed][None], truth[weighed], whole(54))
    np.testing.assert_allclose(absolute[0], golden["metric_cam"], atol=1e-7)


@needs_golden
@pytest.mark.parametrize(("space", "joints"), [("cam", WITHOUT_THUMB_BASE), ("local", np.arange(21) > 1)])
def test_diversity_and_errors_of_samples_are_those_of_the_authors_code(space, joints):
    golden, truth = ghtt_golden.golden(), ghtt_golden.hands()[16:]
    samples = ghtt_golden.samples(space).astype(np.float64).reshape(2, 20, 48, 2, 21, 3)
    found = []
    for sequence, frames in zip(samples, (48, 30)):
        valid = np.broadcast_to(joints, (frames, 2, 21))
        average, final = path_errors(sequence[:, :frames], truth[:frames], valid)
        found.append((pairwise_diversity(sequence[:, :frames], valid), average.mean(0), final.mean(0)))
    for name, values in zip(("apd", "ape", "fpe"), zip(*found)):
        np.testing.assert_allclose(np.mean(values, 0), golden[f"metric_{name}_{space}"], atol=1e-7)


@needs_golden
def test_fid_is_that_of_the_authors_code():
    found = frechet_distance(ghtt_golden.features("a", 300), ghtt_golden.features("b", 200))
    assert found == pytest.approx(float(ghtt_golden.golden()["metric_fid"]), abs=1e-5)


def test_fid_of_a_set_with_itself_and_with_a_shifted_one():
    features = np.random.default_rng(0).normal(size=(400, 6))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + np.array([3, 0, 0, 0, 0, 4])) == pytest.approx(25)
    with pytest.raises(InputError, match="not finite"):
        frechet_distance(features, np.where(features > 2, np.nan, features))
    with pytest.raises(InputError, match=r"found \(400, 6\) and \(1, 6\)"):
        frechet_distance(features, features[:1])


def test_palms_are_made_equal():
    truth = moving()
    scaled = with_palm_of(1.3 * truth + 0.2, truth)
    np.testing.assert_allclose(scaled, truth, atol=1e-12)
    ra, pa = equalised_errors(0.8 * truth, truth, whole(20))
    assert ra.max() < 1e-12
    assert pa.max() < 1e-9


def test_paths_by_hand():
    truth = np.zeros((4, 2, 1, 3))
    off = np.array([1.0, 2, 3, 10])[:, None, None, None] * [1.0, 0, 0]
    samples = np.stack([truth + off, truth + 2 * off])
    valid = np.ones((4, 2, 1), bool)
    valid[3, 0] = False
    average, final = path_errors(samples, truth, valid)
    np.testing.assert_allclose(average, [[2, 4], [4, 8]])
    np.testing.assert_allclose(final, [[3, 10], [6, 20]])
    np.testing.assert_allclose(pairwise_diversity(samples, valid), [2, 4])
    assert np.isnan(pairwise_diversity(samples[:1], valid)).all()


def test_acceleration_errors_by_hand():
    t = np.arange(10)[:, None, None, None] / 30
    truth = np.zeros((10, 2, 3, 3)) + t
    found = truth + 0.5 * 2.0 * t**2 * [0, 0, 1]
    valid = np.ones((10, 2, 3), bool)
    valid[4, 1] = False
    errors = acceleration_errors(found, truth, valid, 30.0)
    np.testing.assert_allclose(errors[:, 0], 2.0)
    assert np.isnan(errors[2:5, 1]).all()
    np.testing.assert_allclose(errors[5:, 1], 2.0)


def test_plain_forecasts():
    t = np.arange(8)[:, None, None, None] / 30
    joints = np.arange(126.0).reshape(1, 2, 21, 3) + t * [1, -2, 0.5]
    ahead = np.arange(1, 5)[:, None, None, None] / 30
    np.testing.assert_allclose(constant_velocity(joints, 4), joints[-1:] + ahead * [1, -2, 0.5])
    np.testing.assert_array_equal(static(joints, 3), np.stack([joints[-1]] * 3))
    np.testing.assert_array_equal(constant_velocity(joints[:1], 2), static(joints[:1], 2))
