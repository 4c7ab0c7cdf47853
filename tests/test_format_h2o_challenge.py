"""Submissions to the H2O challenges: exact content, out and back in, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from handloom.errors import InputError, OutputError
from handloom.formats.h2o_challenge import (
    read_action_submission,
    read_hand_submission,
    write_action_submission,
    write_hand_submission,
)
from make_predictions import make_predictions


def test_hands_hold_126_numbers_left_then_right_in_metres(tmp_path):
    path, predictions = tmp_path / "hands.json", make_predictions(videos=3, frames=4)
    write_hand_submission(path, predictions)
    found = json.loads(path.read_text())
    assert found["modality"] == "RGB"
    assert list(found)[1:] == ["1", "2", "3"]
    assert list(found["2"]) == ["000100.txt", "000101.txt", "000102.txt", "000103.txt"]
    numbers = found["2"]["000101.txt"]
    assert len(numbers) == 126
    np.testing.assert_allclose(numbers[:63], predictions.joints_m[5, 0].ravel(), atol=1e-6)
    np.testing.assert_allclose(numbers[63:], predictions.joints_m[5, 1].ravel(), atol=1e-6)
    back = read_hand_submission(path)
    np.testing.assert_allclose(back[3][103], predictions.joints_m[-1], atol=1e-6)


def test_actions_are_numbered_from_1(tmp_path):
    path, predictions = tmp_path / "action_labels.json", make_predictions(videos=3)
    chosen = np.eye(36)[[0, 0, 35, 35, 8, 8]]
    write_action_submission(path, replace(predictions, action_probabilities=chosen), modality="hand+obj")
    assert json.loads(path.read_text()) == {"modality": "hand+obj", "1": 1, "2": 36, "3": 9}
    assert read_action_submission(path) == {1: 1, 2: 36, 3: 9}


def test_ids_of_a_part_of_the_segments(tmp_path):
    predictions = make_predictions(videos=3)
    write_hand_submission(tmp_path / "h.json", predictions, segment_ids=(7, 2, 242))
    assert set(read_hand_submission(tmp_path / "h.json")) == {7, 2, 242}
    for ids in ((1, 2), (1, 1, 2), (0, 1, 2)):
        with pytest.raises(OutputError, match="segment ids must be 3 different numbers from 1"):
            write_action_submission(tmp_path / "a.json", predictions, segment_ids=ids)


def holes(predictions):
    joints, valid = predictions.joints_m.copy(), predictions.valid.copy()
    joints[5, 0, 3], valid[5, 0, 3] = np.nan, False
    return replace(predictions, joints_m=joints, valid=valid)


def one_hand(predictions):
    return make_predictions(videos=3, hands=("right",))


def empty_segment(predictions):
    return replace(predictions, frame_video=np.zeros(60, int), frame_index=np.arange(60))


def before_zero(predictions):
    return replace(predictions, frame_index=predictions.frame_index - 101)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (holes, "1 frames have joints without a prediction, the first is frame 105 of subject4/h1/0"),
        (one_hand, "both hands, the predictions the right one only"),
        (empty_segment, "segment 2 has no frame"),
        (before_zero, "frame numbers count from 0, found frame -1 of subject4/h1/0"),
    ],
)
def test_hands_that_cannot_be_submitted(tmp_path, spoil, message):
    with pytest.raises(OutputError, match=message):
        write_hand_submission(tmp_path / "hands.json", spoil(make_predictions(videos=3)))
    assert list(tmp_path.iterdir()) == []


def test_actions_of_another_vocabulary_are_refused(tmp_path):
    predictions = make_predictions(videos=3)
    swapped = replace(predictions, action_names=predictions.action_names[::-1])
    with pytest.raises(OutputError, match=r"the 36 actions of H2O in their order \(grab book ... squeeze lotion\)"):
        write_action_submission(tmp_path / "a.json", swapped)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"1": {}}', 'has no "modality"'),
        ('{"modality": "RGB", "0": {}}', "segments are numbered from 1, found '0'"),
        ('{"modality": "RGB", "1": 3}', "segment 1 must hold frames by name"),
        ('{"modality": "RGB", "1": {"a.txt": []}}', "has a frame 'a.txt'"),
        (
            '{"modality": "RGB", "1": {"000001.txt": [1]}}',
            "must hold 126 finite numbers, found 1 values",
        ),
        ('{"modality": "RGB", "1": {"000001.txt": null}}', "must hold 126 finite numbers, found NoneType"),
        ('{"modality": "RGB", "1": {"0000', "ends in the middle"),
    ],
)
def test_malformed_hand_submissions(tmp_path, text, message):
    (tmp_path / "h.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_hand_submission(tmp_path / "h.json")


@pytest.mark.parametrize("label", ["0", "37", "1.5", "true", '"3"'])
def test_malformed_action_submissions(tmp_path, label):
    (tmp_path / "a.json").write_text(f'{{"modality": "RGB", "4": {label}}}')
    with pytest.raises(InputError, match=r"segment 4 must hold an action 1 \.\.\. 36"):
        read_action_submission(tmp_path / "a.json")
