"""The record: what it accepts, what it refuses, and that nothing leaks out of missing joints."""

import numpy as np
import pytest

from handloom.errors import InputError, RecordError
from handloom.hands import ActionSegment, HandTrack
from handloom.skeleton import BONES, JOINT_NAMES, JOINT_ORDERS, SOURCE_JOINT_COUNTS, reorder


def fields(T=3, **changes):
    values = {
        "times_s": np.arange(T) / 30,
        "joints_m": np.ones((T, 2, 21, 3)),
        "valid": np.ones((T, 2, 21), bool),
        "confidence": np.full((T, 2, 21), 0.5),
        "keypoints_px": np.zeros((T, 2, 21, 2)),
    }
    return values | changes


def test_missing_joints_are_wiped():
    valid = np.ones((3, 2, 21), bool)
    valid[1, 0] = False
    track = HandTrack(**fields(valid=valid))
    assert np.isnan(track.joints_m[1, 0]).all()
    assert np.isnan(track.keypoints_px[1, 0]).all()
    assert (track.confidence[1, 0] == 0).all()
    assert track.present.tolist() == [[True, True], [False, True], [True, True]]


def test_the_callers_arrays_are_neither_changed_nor_shared():
    joints = np.ones((3, 2, 21, 3), np.float32)
    valid = np.zeros((3, 2, 21), bool)
    track = HandTrack(**fields(joints_m=joints, valid=valid))
    assert (joints == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        track.joints_m[0] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"joints_m": np.ones((3, 2, 20, 3))},
            r"joints_m must have shape \(3, 2, 21, 3\), found \(3, 2, 20, 3\)",
        ),
        ({"times_s": np.array([0, 2, 1.0])}, "strictly increasing"),
        ({"times_s": np.array([0, np.nan, 1.0])}, "finite"),
        ({"confidence": np.full((3, 2, 21), 1.5)}, r"confidence of valid joints must lie in 0 \.\.\. 1"),
        (
            {"joints_m": np.full((3, 2, 21, 3), np.nan)},
            "not finite at frame 0, hand 0, joint 0, which is marked valid",
        ),
        ({"frame": "body"}, 'frame must be "camera" or "world", found \'body\''),
        ({"world_from_camera": np.full((3, 4, 4), 2.0)}, "rigid"),
        (
            {"object_names": ("cup",), "object_probabilities": np.ones((3, 2))},
            "object_probabilities must have shape",
        ),
        ({"object_names": ("cup",)}, "object_names and object_probabilities together, or neither"),
        ({"object_probabilities": np.ones((3, 1))}, "object_names and object_probabilities together, or neither"),
        ({"object_names": ("cup", "cup")}, "object_names must be unique, but 'cup' comes twice"),
        ({"object_names": ("cup", " ")}, "object_names must be texts that are not empty"),
        ({"object_names": ("cup", 3)}, "object_names must be texts that are not empty"),
        (
            {"object_names": ("a", "b"), "object_probabilities": [[0.5, 0.5], [0.7, 0.2], [0.1, 0.1]]},
            r"frame 1 must lie in 0 \.\.\. 1 and sum to 1, found \[0.69.*, 0.2.*\] \(2 such frames\)",
        ),
        ({"object_names": ("a", "b"), "object_probabilities": [[1.5, -0.5]] * 3}, r"frame 0 must lie in 0 \.\.\. 1"),
        ({"object_names": ("a", "b"), "object_probabilities": [[1, np.nan]] * 3}, r"frame 0 must lie in 0 \.\.\. 1"),
        (
            {"actions": (ActionSegment("b", 2, 3), ActionSegment("a", 1, 4))},
            "in order of their start, but 'a' at 1 s follows 'b' at 2 s",
        ),
    ],
)
def test_malformed_fields_are_refused(change, message):
    # The record's own checks speak, not the annotations', which tests switch on.
    with pytest.raises(RecordError, match=message):
        HandTrack.__post_init__(_unchecked(fields() | change))


def _unchecked(values):
    defaults = {
        "camera": None,
        "frame": "camera",
        "world_from_camera": None,
        "object_names": (),
        "object_probabilities": None,
        "actions": (),
        "camera_source": "unknown",
        "scale_source": "tracker's own scale",
    }
    track = object.__new__(HandTrack)
    for name, value in (defaults | values).items():
        object.__setattr__(track, name, value)
    return track


def test_slicing_keeps_everything_in_step():
    track = HandTrack(**fields(T=5), world_from_camera=np.tile(np.eye(4), (5, 1, 1)))
    part = track[1:3]
    assert len(part) == 2
    assert part.times_s.tolist() == track.times_s[1:3].tolist()
    assert part.world_from_camera.shape == (2, 4, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("", 0, 1), "needs a label, found ''"),
        ((3, 0, 1), "needs a label, found 3"),
        (("pour", 0, np.inf), "'pour': end_s must be a finite number, found inf"),
        (("pour", "0", 1), "'pour': start_s must be a finite number, found '0'"),
        (("pour", 1, 1), r"'pour' must end after it starts, found 1 \.\.\. 1 s"),
        (("pour", 0, 1, 1.2), r"'pour': score must lie in 0 \.\.\. 1, found 1.2"),
    ],
)
def test_malformed_segments_are_refused(values, message):
    segment = object.__new__(ActionSegment)
    for name, value in zip(("label", "start_s", "end_s", "score"), (*values, 1.0)):
        object.__setattr__(segment, name, value)
    with pytest.raises(RecordError, match=message):
        segment.__post_init__()


ACTIONS = (ActionSegment("take", -1, 2), ActionSegment("pour", 1, 4, 0.5), ActionSegment("put", 3, 9))


def labelled():
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4], [np.nan, np.nan], [1, 0], [0.5, 0.5]])
    more = {"object_names": ("cup", "lid"), "object_probabilities": probabilities, "actions": ACTIONS}
    return HandTrack(**fields(T=5, times_s=np.arange(5.0)), **more)


def test_labels_of_each_frame():
    assert labelled().object_labels.tolist() == [1, 0, -1, 0, 0]
    # Overlapping segments: the one that began last. The end is exclusive.
    assert labelled().action_labels.tolist() == [0, 1, 1, 2, 2]
    assert HandTrack(**fields()).object_labels.tolist() == [-1, -1, -1]
    alone = HandTrack(**fields(T=5, times_s=np.arange(5.0)), actions=(ActionSegment("pour", 1, 3),))
    assert alone.action_labels.tolist() == [-1, 0, 0, -1, -1]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (slice(None), [("take", -1, 2), ("pour", 1, 4), ("put", 3, 9)]),
        (slice(1, 3), [("take", 1, 2), ("pour", 1, 3)]),
        (slice(2, None), [("pour", 2, 4), ("put", 3, 9)]),
        (slice(0, 4, 2), [("take", -1, 2), ("pour", 1, 4), ("put", 3, 4)]),
        (slice(4, 5), [("put", 4, 9)]),
        (slice(2, 2), []),
    ],
)
def test_slicing_cuts_segments_to_the_time_of_the_slice(part, expected):
    cut = labelled()[part]
    assert [(action.label, action.start_s, action.end_s) for action in cut.actions] == expected
    assert {action.label: action.score for action in cut.actions}.get("pour", 0.5) == 0.5
    # A frame keeps its label.
    whole, names = labelled(), lambda track: [track.actions[row].label for row in track.action_labels]
    assert names(cut) == names(whole)[part]
    np.testing.assert_array_equal(cut.object_probabilities, whole.object_probabilities[part])


def test_frame_rate_is_not_rounded():
    track = HandTrack(**fields(T=100, times_s=np.arange(100) * 1001 / 30000))
    assert track.frame_rate == pytest.approx(30000 / 1001)


def test_bones_are_a_tree_over_named_joints():
    assert len(JOINT_NAMES) == 21
    assert sorted(child for _, child in BONES) == list(range(1, 21))
    assert all(parent < child for parent, child in BONES)


@pytest.mark.parametrize("order", JOINT_ORDERS)
def test_orders_select_each_source_joint_once(order):
    assert len(set(JOINT_ORDERS[order])) == 21
    source = np.arange(SOURCE_JOINT_COUNTS[order])[:, None]
    assert reorder(source, order)[:, 0].tolist() == list(JOINT_ORDERS[order])


def test_published_orders():
    """Spot checks against each data set's own documentation."""
    assert JOINT_ORDERS["assemblyhands"][0] == 20  # wrist last
    assert JOINT_ORDERS["assemblyhands"][12] == 8  # tip of the middle finger
    assert JOINT_ORDERS["fpha"][1:5] == (1, 6, 7, 8)  # thumb: MCP in the first block, then PIP, DIP, tip
    assert JOINT_ORDERS["openxr"][5] == 7  # index proximal; 6 is the metacarpal
    assert JOINT_ORDERS["mano"][17:] == (7, 8, 9, 20)  # little finger, tip appended last


def test_unknown_order_and_wrong_count():
    with pytest.raises(InputError, match="unknown joint order 'leap'; known: assembly101, assemblyhands, fpha"):
        reorder(np.zeros((21, 3)), "leap")
    with pytest.raises(InputError, match="joint order 'openxr' has 26 joints, found 21"):
        reorder(np.zeros((21, 3)), "openxr")


@pytest.mark.parametrize("name", ["camera_source", "scale_source"])
def test_unknown_provenance_is_refused(name):
    values = {"camera_source": "guessed", "scale_source": "tracker's own scale"} | {name: "foo"}
    with pytest.raises(RecordError, match=f"{name} must be one of .*, found 'foo'"):
        HandTrack.__post_init__(_unchecked(fields() | values))


def test_a_record_introduces_itself_in_one_line():
    assert repr(HandTrack(**fields())) == (
        "HandTrack(3 frames, left hand in 3, right hand in 3, camera space, camera unknown, scale: tracker's own scale)"
    )
