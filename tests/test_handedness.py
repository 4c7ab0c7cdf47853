"""Left and right are decided over time."""

import numpy as np
import pytest

from handloom.estimators.detections import Detection
from handloom.estimators.handedness import Linker, assign_hands, assign_hands_live, detection_table
from handloom.skeleton import LEFT, RIGHT

SHAPE = np.random.default_rng(0).uniform(-50, 50, (21, 2)).astype(np.float32)
PATHS = {LEFT: np.array([200.0, 300.0]), RIGHT: np.array([500.0, 300.0])}


def detection(x, right, y=300.0, score=0.95):
    return Detection(
        keypoints_px=SHAPE + np.array([x, y], np.float32),
        depth_px=np.zeros(21, np.float32),
        world_m=np.zeros((21, 3), np.float32),
        score=score,
        right_probability=right,
    )


def labels(frames):
    """For each frame the x position that each hand was given."""
    linker = Linker()
    for index, detections in enumerate(frames):
        linker.push(index, index / 30, detections)
    dropped = assign_hands(linker.tracklets)
    table = detection_table(linker.tracklets, len(frames))
    centre = SHAPE[:, 0].mean()
    xs = [[None if d is None else round(float(d.keypoints_px[:, 0].mean() - centre)) for d in row] for row in table]
    return xs, dropped, linker


def test_one_wrong_label_swaps_nothing():
    frames = [[detection(200 + k, 0.02)] for k in range(30)]
    frames[12] = [detection(212, 0.99)]
    xs, _, _ = labels(frames)
    assert xs[LEFT] == [200 + k for k in range(30)]
    assert xs[RIGHT] == [None] * 30


def test_never_two_left_hands():
    """Both hands are called left all the time; the one that is more often called right is the right one."""
    frames = [[detection(200, 0.05), detection(500, 0.9 if k % 3 == 0 else 0.2)] for k in range(30)]
    xs, dropped, _ = labels(frames)
    assert xs[LEFT] == [200] * 30
    assert xs[RIGHT] == [500] * 30
    assert dropped == 0


def test_order_of_detections_does_not_matter():
    frames = [[detection(200, 0.1), detection(500, 0.9)] for _ in range(10)]
    assert labels(frames)[0] == labels([pair[::-1] for pair in frames])[0]


def test_missing_stays_missing():
    frames = [[detection(200, 0.1)] for _ in range(10)] + [[]] * 20 + [[detection(500, 0.9)] for _ in range(10)]
    xs, _, _ = labels(frames)
    assert xs[LEFT] == [200] * 10 + [None] * 30
    assert xs[RIGHT] == [None] * 30 + [500] * 10


def test_a_short_gap_is_bridged_by_position():
    """The hand comes back with a wrong label within the gap that a tracklet survives."""
    frames = [[detection(200, 0.02)] for _ in range(10)] + [[]] * 3 + [[detection(205, 0.9)] for _ in range(2)]
    xs, _, linker = labels(frames)
    assert len(linker.tracklets) == 1
    assert xs[LEFT][-1] == 205


def test_a_second_answer_for_the_same_hand_is_dropped():
    frames = [[detection(200, 0.1), detection(203, 0.8, score=0.6)] for _ in range(10)]
    xs, _, linker = labels(frames)
    assert xs[RIGHT] == [None] * 10
    assert linker.duplicates == 10


def test_a_new_hand_far_away_does_not_continue_the_old_one():
    frames = [[detection(200, 0.1)] for _ in range(5)] + [[detection(520, 0.9)] for _ in range(5)]
    assert len(labels(frames)[2].tracklets) == 2


def test_mirrored_labels_give_mirrored_hands():
    random = np.random.default_rng(4)
    probabilities = random.uniform(0, 1, (40, 2))
    frames = [[detection(200, p), detection(500, q)] for p, q in probabilities]
    flipped = [[detection(200, 1 - p), detection(500, 1 - q)] for p, q in probabilities]
    assert labels(frames)[0] == labels(flipped)[0][::-1]


def test_no_detections_at_all():
    xs, dropped, _ = labels([[], [], []])
    assert xs == [[None] * 3, [None] * 3]
    assert dropped == 0


def test_clash_without_consistent_labelling_drops_the_weaker():
    """Three tracklets, each in conflict with both others: two labels cannot serve them."""
    frames = (
        [[detection(100, 0.1), detection(400, 0.9)]] * 4
        + [[detection(400, 0.9), detection(700, 0.2)]] * 4
        + [[detection(700, 0.2), detection(100, 0.1)]] * 4
    )
    xs, dropped, _ = labels(frames)
    both = [a for a, b in zip(*xs) if a is not None and a == b]
    assert not both
    assert dropped > 0


@pytest.mark.parametrize("wrong", [3, 25])
def test_live_labels_survive_one_wrong_frame(wrong):
    linker = Linker()
    hands = []
    for k in range(40):
        seen = linker.push(k, k / 30, [detection(200, 0.97 if k == wrong else 0.04), detection(500, 0.95)])
        assign_hands_live(seen)
        assert {t.hand for t in seen} == {LEFT, RIGHT}
        hands.append(next(t.hand for t in seen if t.detections[-1].keypoints_px[0, 0] < 350))
    assert hands == [LEFT] * 40


def test_a_slow_camera_still_links_frames():
    """At 3 frames/s the hand is unseen for longer than MAX_GAP_S between any two frames."""
    linker = Linker()
    for k in range(12):
        linker.push(k, k / 3, [detection(200, 0.99 if k == 6 else 0.02)])
    assert len(linker.tracklets) == 1
