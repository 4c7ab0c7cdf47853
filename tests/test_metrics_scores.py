"""The record of predictions and its scores: by hand, per hand and together, on disk, malformed."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from handloom.errors import InputError, RecordError
from handloom.formats.predictions import read_predictions, write_predictions
from handloom.metrics.pose import FPHA_RANGES, H2O_RANGES, PCKRange, Ranges
from handloom.metrics.predictions import Predictions
from handloom.metrics.published import published
from handloom.metrics.scores import score
from make_predictions import make_predictions, predicted_fields


def shifted(left_m, right_m):
    """Predictions that are off by one vector per hand, everywhere."""
    values = predicted_fields(videos=3, frames=4)
    values["joints_m"] = values["truth_m"] + np.stack([left_m, right_m])[:, None]
    values["valid"][:] = True
    return Predictions(**values)


def permuted(predictions, order):
    """The same videos under other numbers."""
    new = np.argsort(order)
    return replace(
        predictions,
        video_names=tuple(predictions.video_names[i] for i in order),
        frame_video=new[predictions.frame_video],
        clip_video=new[predictions.clip_video],
        action_truth=predictions.action_truth[order],
        early_probabilities=predictions.early_probabilities[order],
    )


def test_pose_scores_by_hand():
    scores = score(shifted([0.003, 0.004, 0], [0, 0, 0.0301]), H2O_RANGES)
    left, right, both = (scores.pose(hand, "camera") for hand in ("left", "right", "both"))
    assert [row.mean_error for row in (left, right, both)] == pytest.approx([5, 30.1, 17.55], abs=1e-3)
    assert [row.joints for row in (left, right, both)] == [21, 21, 42]
    assert right.pck.tolist() == [0] * 13 + [1] * 24  # 30.1 mm lies between 30 and 32.5
    assert right.auc == pytest.approx((37 - 13 - 0.5) / 36)
    aligned = scores.pose("both", "root-aligned")
    assert aligned.mean_error == pytest.approx(0, abs=1e-3)
    assert (aligned.joints, aligned.root) == (40, "wrist")
    assert np.isnan(aligned.joint_errors[[0, 21]]).all()
    assert scores.pose("left", "procrustes").mean_error == pytest.approx(0, abs=1e-3)
    image = scores.pose("left", "image")
    assert (image.unit, image.auc) == ("px", None)


def test_every_number_names_unit_alignment_root_and_range():
    found = json.loads(json.dumps(score(make_predictions(), H2O_RANGES).as_json(), allow_nan=False))
    assert found["data"] == "made-up hands"
    assert len(found["pose"]) == 12
    camera, aligned = (
        next(row for row in found["pose"] if (row["hand"], row["space"]) == ("left", space))
        for space in ("camera", "root-aligned")
    )
    assert (camera["alignment"], camera["root"], camera["joints"]) == ("none", None, 21)
    assert camera["auc"]["range_mm"] == [0, 90]
    assert camera["auc"]["points"] == 37
    assert camera["mepe"]["unit"] == "mm"
    assert aligned["root"] == "wrist"
    assert aligned["auc"]["range_mm"] == [0, 50]
    assert aligned["pck"]["thresholds_mm"][:3] == [0, 2.5, 5]
    assert "summed softmax" in found["action"]["rule"]
    assert np.array(found["action"]["confusion"]["counts"]).sum() == 24
    assert len(found["action"]["early"]["top_1"]) == 10
    assert found["object"]["frames"] == 480


def test_actions_and_objects_by_hand():
    values = predicted_fields(videos=4, frames=2)
    names = values["action_names"]
    said = [names.index(name) for name in ("grab book", "grab milk", "place milk", "pour milk")]
    values["action_truth"] = np.array([said[0], said[2], said[2], -1])
    values["action_probabilities"] = np.eye(36)[np.repeat(said, 2)]
    values["object_probabilities"] = np.eye(8)[[0, 1, 2, 3, 4, 5, 6, 7]]
    values["object_truth"] = np.array([0, 1, 2, 0, -1, -1, -1, -1])
    scores = score(Predictions(**values), H2O_RANGES)
    actions = scores.actions
    assert (actions.videos, actions.withheld) == (3, 1)
    assert (actions.top_1, actions.verb, actions.noun) == pytest.approx((2 / 3, 2 / 3, 1))
    assert actions.mean_class == pytest.approx(0.75)
    assert (scores.object_accuracy, scores.object_frames) == (0.75, 4)


def test_the_numbers_of_the_videos_do_not_matter():
    one = make_predictions()
    other = permuted(one, np.random.default_rng(0).permutation(24))
    assert score(other, H2O_RANGES).as_json() == score(one, H2O_RANGES).as_json()


def test_swapped_hands_swap_their_scores():
    one = make_predictions()
    flip = {
        name: getattr(one, name)[:, ::-1] * ([-1, 1, 1] if name.endswith("_m") else 1)
        for name in ("joints_m", "truth_m", "keypoints_px", "truth_px")
    }
    first, second = (score(p, H2O_RANGES) for p in (one, replace(one, **flip, valid=one.valid[:, ::-1])))
    for space in ("camera", "root-aligned", "procrustes"):
        assert first.pose("left", space).mean_error == pytest.approx(second.pose("right", space).mean_error, rel=1e-4)


def test_one_hand_without_actions_or_objects():
    values = predicted_fields(hands=("right",))
    values |= {"action_names": (), "action_probabilities": np.empty((48, 0)), "action_truth": np.full(24, -1)}
    values |= {"object_names": (), "object_probabilities": np.empty((480, 0)), "object_truth": np.full(480, -1)}
    values |= {"early_fractions": None, "early_probabilities": None}
    scores = score(Predictions(**values), FPHA_RANGES)
    assert [(row.hand, row.space) for row in scores.poses] == [
        ("right", space) for space in ("camera", "root-aligned", "procrustes", "image")
    ]
    assert scores.pose("right", "camera").pck.shape == (33,)
    assert (scores.actions, scores.object_accuracy) == (None, None)


def test_withheld_truth_is_unknown_not_zero():
    values = predicted_fields()
    values["valid"][:] = False
    values["action_truth"][:] = -1
    values["object_truth"][:] = -1
    scores = score(Predictions(**values), H2O_RANGES)
    assert np.isnan([row.mean_error for row in scores.poses]).all()
    assert np.isnan([scores.actions.top_1, scores.actions.mean_class, scores.actions.early.max()]).all()
    assert scores.object_accuracy is None
    json.dumps(scores.as_json(), allow_nan=False)


def test_no_frame_and_no_video():
    scores = score(make_predictions(videos=0), H2O_RANGES)
    assert np.isnan(scores.pose("both", "camera").mean_error)
    assert scores.actions.videos == 0


def test_the_paper_is_quoted_for_its_own_ranges_only():
    assert published(H2O_RANGES).pose["left", "camera"] == (35.02, 0.614)
    assert published(FPHA_RANGES).pose["right", "root-aligned"] == (12.13, 0.763)
    assert published(Ranges(PCKRange(80, 21))) is None


def test_a_record_survives_the_disk(tmp_path):
    one = make_predictions()
    write_predictions(tmp_path / "p.npz", one)
    back = read_predictions(tmp_path / "p.npz")
    for field in fields(one):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(one, field.name))
    write_predictions(tmp_path / "p.npz", replace(one, early_fractions=None, early_probabilities=None))
    assert read_predictions(tmp_path / "p.npz").early_probabilities is None
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]


def test_predictions_are_kept_and_truth_is_wiped_where_there_is_none():
    one = make_predictions()
    assert np.isnan(one.truth_m[~one.valid]).all()
    assert np.isfinite(one.joints_m).all()
    with pytest.raises(ValueError, match="read-only"):
        one.joints_m[0] = 0


def bad(values, **changes):
    return values | {name: change(values[name]) if callable(change) else change for name, change in changes.items()}


def put(where, value):
    def change(array):
        array[where] = value
        return array

    return change


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hands": ("right", "left")}, r'hands must be \("left", "right"\) or one of the two'),
        ({"truth_m": lambda a: a[:-1]}, r"truth_m must have shape \(480, 2, 21, 3\), found \(479, 2, 21, 3\)"),
        ({"valid": lambda a: a.astype(int)}, "valid must hold booleans, found int64"),
        ({"frame_video": put(0, 24)}, r"frame_video must lie in 0 ... 23 \(24 videos\), found 0 ... 24"),
        ({"action_truth": put(0, -2)}, r"action_truth must lie in -1 ... 35 \(36 actions\), found -2"),
        ({"clip_video": put(slice(0, 2), 1)}, r"video 0 \(subject4/h1/0\) has no clip"),
        ({"frame_index": put(1, 100)}, r"frame 100 of video 0 \(subject4/h1/0\) occurs 2 times"),
        ({"joints_m": put(np.s_[3, 1, 8, 2], np.nan), "valid": put(np.s_[3, 1], True)},
         "joints_m is not finite at frame 3, right hand, joint 8, which is marked valid"),
        ({"action_probabilities": put(5, 0.5)}, "action_probabilities must be softmax.*row 5 sum to 18"),
        ({"object_probabilities": put(7, np.nan)}, "object_probabilities must be softmax.*row 7 sum to nan"),
        ({"early_probabilities": put((2, 3), 1.0)}, "early_probabilities must be softmax.*row 2, 3 sum to 36"),
        ({"early_fractions": put(0, 0.5)}, "early_fractions must increase within 0 ... 1"),
        ({"early_fractions": None}, "belong together"),
        ({"object_names": ("book",) * 8}, "object_names holds 'book' twice"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_belong_together(changes, message):
    # The record's own checks speak, not the annotations', which tests switch on.
    record = object.__new__(Predictions)
    record.__dict__.update(bad(predicted_fields(), **changes))
    with pytest.raises(RecordError, match=message):
        record.__post_init__()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a.pop("format"), "expected predictions in format 'handloom-predictions 1', found 'none'"),
        (lambda a: a.pop("valid"), "the array 'valid' is missing"),
        (lambda a: a.update(extra=np.zeros(1)), "unknown array 'extra'"),
        (lambda a: a.update(hands=np.zeros(2)), r"hands must hold text, found float64 of shape \(2,\)"),
        (lambda a: a.update(frame_video=a["frame_video"] + 30), r"p.npz: frame_video must lie in 0 ... 23"),
        (lambda a: a.update(video_names=a["video_names"].astype(object)), "pickled objects"),
    ],
)
def test_malformed_files(tmp_path, spoil, message):
    path = tmp_path / "p.npz"
    write_predictions(path, make_predictions())
    arrays = dict(np.load(path))
    spoil(arrays)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=message):
        read_predictions(path)


def test_missing_and_truncated_files(tmp_path):
    path = tmp_path / "p.npz"
    with pytest.raises(InputError, match=r"p.npz does not exist"):
        read_predictions(path)
    write_predictions(path, make_predictions())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged or not an NPZ archive"):
        read_predictions(path)
