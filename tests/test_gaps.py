"""Short gaps: which are closed, and how much of a network's guess is believed."""

import numpy as np

from handloom.forecast.gaps import bridged, closed, straight


def waving(frames=120):
    """Both hands on a fast wave, which no straight line follows."""
    times = np.arange(frames)[:, None, None, None] / 30
    shape = np.random.default_rng(0).normal(0, 0.03, (2, 21, 3))
    return shape + 0.1 * np.sin(9 * times + np.array([0.0, 1.0, 2.0]))


def with_gaps(frames=120, length=5):
    known = np.ones((frames, 2, 21), bool)
    for start in range(10, frames - 10, 30):
        known[start : start + length, 0] = False
    return known


def error(joints, truth, where):
    return np.linalg.norm(joints - truth, axis=-1)[where].mean()


def test_gaps_are_closed_up_to_a_length_between_sightings_only():
    known = with_gaps(length=8)
    known[:3, 1] = known[50:59, 1] = False
    valid = closed(known)
    assert valid[:, 0].all()
    assert not valid[:3, 1].any()
    assert not valid[50:59, 1].any()


def test_straight_lines_go_through_gaps_and_joints_never_seen_stay_missing():
    joints, known = waving(30), with_gaps(30)
    known[:, 1, 4] = False
    line = straight(joints, known)
    np.testing.assert_array_equal(line[known], joints[known])
    np.testing.assert_allclose(line[12, 0], joints[9, 0] + (joints[15, 0] - joints[9, 0]) / 2)
    assert np.isnan(line[:, 1, 4]).all()


def test_a_network_that_knows_the_motion_is_believed():
    truth, known = waving(), with_gaps()
    joints, valid = bridged(lambda seen: truth.copy(), np.where(known[..., None], truth, np.nan), known)
    assert valid.all()
    line = error(straight(truth, known), truth, ~known)
    assert error(joints, truth, ~known) < 0.15 * line


def test_a_network_that_is_wrong_in_gaps_is_not():
    truth, known = waving(), with_gaps()
    rng = np.random.default_rng(1)

    def wild(seen):
        return truth + np.where(seen[..., None], 0.0, rng.normal(0, 0.2, truth.shape))

    joints, _ = bridged(wild, np.where(known[..., None], truth, np.nan), known)
    line = straight(truth, known)
    assert error(joints, line, ~known) < 0.2 * error(wild(known), line, ~known)
    np.testing.assert_array_equal(joints[known], truth[known])


def test_without_gaps_the_network_is_asked_once_and_without_room_for_cuts_it_counts_by_half():
    truth, asked = waving(14), []

    def refine(seen):
        asked.append(seen)
        return truth.copy()

    whole = np.ones((14, 2, 21), bool)
    bridged(refine, truth, whole)
    assert len(asked) == 1
    known = whole.copy()
    known[4:12] = False
    joints, _ = bridged(refine, np.where(known[..., None], truth, np.nan), known)
    line = straight(truth, known)
    np.testing.assert_allclose(joints, line + (truth - line) / 2)
