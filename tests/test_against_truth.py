"""A record against its truth: exact errors of made-up hands, hands found, labels that agree."""

from dataclasses import replace

import numpy as np
import pytest

from handloom.errors import InputError
from handloom.geometry import rotation_from_vector
from handloom.metrics.against_truth import compare
from handloom.metrics.labels import object_shares
from make_labels import make_found, make_truth

TRUTH, FOUND = make_truth(), make_found()


def test_the_truth_has_no_error():
    result = compare(TRUTH, TRUTH)
    assert np.nanmax(result.error_m) == 0
    assert result.summary() == {
        "mpjpe_mm": {"left": 0, "right": 0, "both": 0},
        "mpjpe_wrist_aligned_mm": {"left": 0, "right": 0, "both": 0},
        "hands_expected": 240,
        "hands_found": 240,
        "object_accuracy": 1,
        "action_accuracy": 1,
        "action_f1_at_50": 1,
    }


def test_a_shifted_hand_is_wrong_by_the_shift_and_right_once_wrists_are_aligned():
    result = compare(FOUND, TRUTH)
    summary = result.summary()
    assert summary["mpjpe_mm"] == pytest.approx({"left": 10, "right": 10, "both": 10}, abs=1e-3)
    assert summary["mpjpe_wrist_aligned_mm"] == pytest.approx({"left": 0, "right": 0, "both": 0}, abs=1e-3)
    assert (summary["hands_expected"], summary["hands_found"]) == (240, 230)
    assert np.isnan(result.error_mm[10:20, 0]).all()
    np.testing.assert_allclose(result.error_mm[:, 1], 10, atol=1e-3)


def test_one_wrong_joint_counts_once_and_the_wrist_moves_all_others():
    tip, wrist = np.array(TRUTH.joints_m), np.array(TRUTH.joints_m)
    tip[:, 0, 8, 0] += 0.021
    wrist[:, 1, 0, 1] += 0.021
    found = compare(replace(TRUTH, joints_m=tip), TRUTH).summary()
    assert found["mpjpe_mm"] == pytest.approx({"left": 1, "right": 0, "both": 0.5}, abs=1e-3)
    assert found["mpjpe_wrist_aligned_mm"]["left"] == pytest.approx(21 / 20, abs=1e-3)
    found = compare(replace(TRUTH, joints_m=wrist), TRUTH).summary()
    assert found["mpjpe_mm"]["right"] == pytest.approx(1, abs=1e-3)
    assert found["mpjpe_wrist_aligned_mm"]["right"] == pytest.approx(21, abs=1e-3)


def test_every_joint_weighs_the_same_however_often_it_was_seen():
    tip, valid = np.array(TRUTH.joints_m), TRUTH.valid.copy()
    tip[:, 0, 8, 0] += 0.021
    valid[10:, 0, 8] = False
    assert compare(replace(TRUTH, joints_m=tip, valid=valid), TRUTH).summary()["mpjpe_mm"]["left"] == pytest.approx(
        1, abs=1e-3
    )


def test_errors_do_not_depend_on_where_the_world_is():
    turn = rotation_from_vector(np.array([0.3, -0.8, 0.5]))
    moved = [replace(t, joints_m=t.joints_m @ turn.T + [1, 2, 3], camera=None) for t in (FOUND, TRUTH)]
    np.testing.assert_allclose(compare(*moved).error_m, compare(FOUND, TRUTH).error_m, atol=1e-6)


def test_labels_count_in_the_frames_that_the_truth_labels():
    result = compare(FOUND, TRUTH)
    # Truth: milk for 60 frames; found: milk for 30 of them. Actions: the first quarter and the second half agree.
    assert (len(result.same_object), result.same_object.mean()) == (60, 0.5)
    assert (len(result.same_action), result.same_action.mean()) == (120, 0.75)
    bare = replace(FOUND, object_names=(), object_probabilities=None, actions=())
    assert compare(bare, TRUTH).same_object is None
    assert compare(TRUTH, bare).same_action is None
    assert compare(TRUTH, bare).segments is None


def test_frames_without_an_estimate_count_as_wrong():
    unsure = replace(
        TRUTH, object_probabilities=np.where(np.arange(120)[:, None] < 30, TRUTH.object_probabilities, np.nan)
    )
    assert compare(unsure, TRUTH).same_object.mean() == 0.5


def test_hands_outside_the_picture_are_not_expected():
    away = replace(TRUTH, keypoints_px=TRUTH.keypoints_px + np.array([2000, 0]))
    summary = compare(FOUND, away).summary()
    assert (summary["hands_expected"], summary["hands_found"]) == (0, 0)


def test_nothing_in_common_is_unknown_not_zero():
    nobody = replace(FOUND, valid=np.zeros_like(FOUND.valid))
    assert compare(nobody, TRUTH).summary()["mpjpe_mm"] == {"left": None, "right": None, "both": None}


def test_other_frames_or_spaces_are_refused():
    with pytest.raises(InputError, match="a record of 120 frames in camera space cannot be compared with a truth of 5"):
        compare(FOUND, TRUTH[:5])
    with pytest.raises(InputError, match="of 120 in world space"):
        compare(FOUND, replace(TRUTH, frame="world"))


def test_objects_are_counted_where_they_are_the_likeliest():
    shares = object_shares(FOUND)
    assert [(share.name, share.frames) for share in shares] == [("milk", 60), ("</script><b>cup", 30)]
    assert [share.mean_probability for share in shares] == pytest.approx([0.7, 0.6])
    assert object_shares(replace(FOUND, object_names=(), object_probabilities=None)) == []
