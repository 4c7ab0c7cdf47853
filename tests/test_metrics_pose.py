"""Pose errors: exact answers by hand, the papers' ranges, invariances, missing joints."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handloom.benchmarks.metrics import _loop, _metrics, bench_metrics
from handloom.metrics.pose import (
    FPHA_CAMERA,
    H2O_CAMERA,
    ROOT_ALIGNED,
    PCKRange,
    auc,
    joint_errors,
    joint_means,
    joint_pck,
    mepe,
    pck,
    procrustes_errors,
    root_aligned_errors,
)


def poses(frames=7, hands=2, seed=0):
    random = np.random.default_rng(seed)
    truth = random.uniform(-0.2, 0.2, (frames, hands, 21, 3))
    predicted = truth + random.normal(0, 0.02, truth.shape)
    return predicted, truth, random.random(truth.shape[:-1]) < 0.8


def test_the_papers_thresholds():
    for span, top, points in ((FPHA_CAMERA, 0.08, 33), (H2O_CAMERA, 0.09, 37), (ROOT_ALIGNED, 0.05, 21)):
        assert len(span.thresholds_m) == points
        assert (span.thresholds_m[0], span.thresholds_m[-1]) == (0, top)
        np.testing.assert_allclose(np.diff(span.thresholds_m), 0.0025)


def test_errors_are_distances():
    truth = np.zeros((1, 1, 21, 3))
    predicted = truth.copy()
    predicted[0, 0, 3] = 0.003, 0.004, 0
    errors = joint_errors(predicted, truth, np.ones((1, 1, 21), bool))
    assert errors[0, 0, 3] == pytest.approx(0.005)
    assert errors.sum() == pytest.approx(0.005)
    assert mepe(errors) == pytest.approx(0.005 / 21)


def test_every_joint_weighs_the_same_however_often_it_was_seen():
    errors = np.full((4, 1, 3), np.nan)
    errors[:, 0, 0] = 0.010
    errors[0, 0, 1] = 0.040
    assert mepe(errors) == pytest.approx(0.025)  # pooled, it would be (4 * 10 + 40) / 5 = 16 mm
    np.testing.assert_allclose(joint_means(errors)[0], [0.010, 0.040, np.nan])
    assert np.isnan(mepe(np.full((4, 1, 3), np.nan)))
    assert np.isnan(mepe(np.empty((0, 1, 3))))


def test_a_pck_curve_by_hand_counts_errors_at_the_threshold():
    span = PCKRange(10, 3)  # 0, 5, 10 mm
    errors = np.array([[0.0, 0.005, 0.010, 0.011], [np.nan] * 4]).T
    np.testing.assert_allclose(joint_pck(errors, span), [[0.25, 0.5, 0.75], [np.nan] * 3])
    np.testing.assert_allclose(pck(errors, span), [0.25, 0.5, 0.75])
    assert auc(pck(errors, span), span) == pytest.approx((0.375 + 0.625) / 2)


@pytest.mark.parametrize("span", [FPHA_CAMERA, H2O_CAMERA, ROOT_ALIGNED])
def test_auc_of_perfect_hopeless_and_half_way_predictions(span):
    for error_mm, expected in ((0, 1), (span.top_mm + 1, 0), (span.top_mm / 2, 0.5 + 0.5 / (span.points - 1))):
        errors = np.full((5, 2, 21), error_mm / 1000)
        assert auc(pck(errors, span), span) == pytest.approx(expected)


def test_pck_grows_and_its_mean_is_that_of_the_joints():
    errors = joint_errors(*poses(200))
    curves = joint_pck(errors, H2O_CAMERA)
    assert (np.diff(curves) >= 0).all()
    assert auc(pck(errors, H2O_CAMERA), H2O_CAMERA) == pytest.approx(
        np.mean([auc(curve, H2O_CAMERA) for curve in curves.reshape(-1, 37)])
    )


def test_root_alignment_forgives_position_and_leaves_the_root_out():
    predicted, truth, _ = poses()
    valid = np.ones(truth.shape[:-1], bool)
    errors = root_aligned_errors(predicted, truth, valid)
    assert np.isnan(errors[..., 0]).all()
    assert np.isfinite(errors[..., 1:]).all()
    moved = predicted + np.random.default_rng(1).normal(size=(7, 2, 1, 3))
    np.testing.assert_allclose(root_aligned_errors(moved, truth, valid), errors, atol=1e-12)
    by_hand = np.linalg.norm((predicted[3, 1, 8] - predicted[3, 1, 0]) - (truth[3, 1, 8] - truth[3, 1, 0]))
    assert errors[3, 1, 8] == pytest.approx(by_hand)
    other = root_aligned_errors(predicted, truth, valid, root=9)
    assert np.isnan(other[..., 9]).all()
    assert not np.isclose(mepe(other), mepe(errors))


def test_without_its_root_a_hand_has_no_root_aligned_error():
    predicted, truth, valid = poses()
    valid[2, 1, 0] = False
    errors = root_aligned_errors(predicted, truth, valid)
    assert np.isnan(errors[2, 1]).all()
    assert valid[2, 1].any()


def test_procrustes_forgives_a_similarity_but_no_mirror():
    _, truth, _ = poses()
    valid = np.ones(truth.shape[:-1], bool)
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    np.testing.assert_allclose(procrustes_errors(1.7 * truth @ turn + [1, 2, 3], truth, valid), 0, atol=1e-9)
    assert mepe(procrustes_errors(truth * [-1, 1, 1], truth, valid)) > 0.02
    valid[0, 0] = False
    valid[0, 0, :2] = True
    assert np.isnan(procrustes_errors(truth, truth, valid)[0, 0]).all()


@given(st.integers(0, 1000))
def test_alignment_can_only_help_and_mirror_and_unit_change_nothing(seed):
    predicted, truth, valid = poses(seed=seed)
    squares = [np.nansum(errors(predicted, truth, valid) ** 2) for errors in (joint_errors, procrustes_errors)]
    assert squares[1] <= squares[0] + 1e-12
    for errors in (joint_errors, root_aligned_errors, procrustes_errors):
        found = errors(predicted, truth, valid)
        mirrored = errors(predicted * [-1, 1, 1], truth * [-1, 1, 1], valid)
        np.testing.assert_allclose(mirrored, found, atol=1e-9)
        np.testing.assert_allclose(errors(1000 * predicted, 1000 * truth, valid), 1000 * found, rtol=1e-6)
        order = np.random.default_rng(seed).permutation(len(truth))
        assert mepe(errors(predicted[order], truth[order], valid[order])) == pytest.approx(mepe(found))


def test_numbers_under_invalid_joints_do_not_count():
    predicted, truth, valid = poses()
    wild = np.where(valid[..., None], predicted, 1e6)
    holes = np.where(valid[..., None], truth, np.nan)
    for errors in (joint_errors, root_aligned_errors, procrustes_errors):
        np.testing.assert_array_equal(errors(wild, holes, valid), errors(predicted, truth, valid))


def test_the_loop_that_the_benchmark_races_gives_the_same_numbers():
    predicted, truth, valid = poses(50)
    np.testing.assert_allclose(_metrics(predicted, truth, valid), _loop(predicted, truth, valid), rtol=1e-12)


def test_the_benchmark_measures_all_three():
    assert {name: value > 0 for name, value in bench_metrics(50).items()} == dict.fromkeys(
        ("metrics", "loop", "procrustes"), True
    )
