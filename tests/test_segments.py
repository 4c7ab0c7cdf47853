"""Segments on a timeline against true ones: who counts, by hand."""

import math

import pytest

from handloom.hands import ActionSegment
from handloom.metrics.segments import SegmentScore, match_segments

TRUE = [ActionSegment("a", 0, 2), ActionSegment("b", 2, 4), ActionSegment("a", 4, 5)]


def test_the_truth_is_right():
    score = match_segments(TRUE, TRUE)
    assert score == SegmentScore(3, 3, 3)
    assert score.recall == score.precision == score.f1 == 1


def test_overlap_label_and_once_each():
    found = [
        ActionSegment("a", 0, 1),  # half of the first: right at 0.5
        ActionSegment("a", 1, 2),  # the other half: its true segment is taken
        ActionSegment("b", 2.9, 5),  # overlaps 1.1 of 3
        ActionSegment("c", 4, 5),  # another label
    ]
    score = match_segments(found, TRUE)
    assert score == SegmentScore(1, 4, 3)
    assert score.precision == 0.25
    assert score.recall == pytest.approx(1 / 3)
    assert score.f1 == pytest.approx(2 / 7)
    assert match_segments(found, TRUE, 0.51).right == 0
    assert match_segments(found, TRUE, 0.3).right == 2


def test_nothing_found_or_to_find():
    assert match_segments([], TRUE) == SegmentScore(0, 0, 3)
    assert match_segments(TRUE, []) == SegmentScore(0, 3, 0)
    assert math.isnan(match_segments([], TRUE).precision)
    assert math.isnan(match_segments([], []).f1)
    assert match_segments(TRUE, TRUE) + match_segments([], TRUE) == SegmentScore(3, 3, 6)
