"""Votes and accuracies: answers by hand, ties, withheld labels, permutations."""

import numpy as np
import pytest

from handloom.formats.h2o_classes import ACTIONS, OBJECTS
from handloom.metrics.actions import (
    accuracy,
    class_accuracies,
    confusion,
    early_curve,
    top_k_accuracy,
    verbs_and_nouns,
    vote,
)


def test_the_vote_sums_probabilities_not_categories():
    clips = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.4, 0.6, 0.0], [0.0, 0.0, 1.0]])
    votes = vote(clips, np.array([0, 0, 0, 2]), 3)
    np.testing.assert_allclose(votes[0], [1.7 / 3, 1.3 / 3, 0])
    assert votes[0].argmax() == 0  # two of its three clips say 1
    assert np.isnan(votes[1]).all()
    assert votes[2].argmax() == 2


def test_the_order_of_clips_and_videos_does_not_matter():
    random = np.random.default_rng(0)
    clips, video = random.dirichlet(np.ones(5), 40), random.permutation(np.arange(40) % 8)
    votes, order, names = vote(clips, video, 8), random.permutation(40), random.permutation(8)
    np.testing.assert_allclose(vote(clips[order], video[order], 8), votes)
    np.testing.assert_allclose(vote(clips, names[video], 8)[names], votes)
    truth = random.integers(0, 5, 8)
    assert top_k_accuracy(votes[names], truth[names]) == top_k_accuracy(votes, truth)


def test_top_k_by_hand():
    scores = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0]])
    truth = np.array([0, 1, 1, -1])
    assert [top_k_accuracy(scores, truth, k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 1, 1])
    assert top_k_accuracy(scores, truth, 1) == accuracy(scores.argmax(1), truth)  # the tie goes to the first
    assert top_k_accuracy(scores, truth, 99) == 1
    assert np.isnan(top_k_accuracy(scores, np.full(4, -1)))


def test_confusion_and_mean_class_accuracy():
    truth, predicted = np.array([0, 0, 0, 1, 2, -1]), np.array([0, 0, 1, 1, 0, 2])
    counts = confusion(predicted, truth, 4)
    np.testing.assert_array_equal(counts, [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(class_accuracies(counts), [2 / 3, 1, 0, np.nan])


def test_verbs_and_nouns_of_h2o():
    verb, noun = verbs_and_nouns([" ".join(action) for action in ACTIONS], OBJECTS)
    assert (len(set(verb)), len(set(noun))) == (11, 8)
    names = [" ".join(action) for action in ACTIONS]
    assert verb[names.index("take out espresso")] == verb[names.index("take out cocoa")]
    assert verb[names.index("put in espresso")] != verb[names.index("take out espresso")]
    assert noun[names.index("put in espresso")] == noun[names.index("grab espresso")]


def test_the_longest_noun_counts_and_other_names_have_none():
    _, noun = verbs_and_nouns(["open tea box", "open box"], ["box", "tea box"])
    assert noun[0] != noun[1]
    assert verbs_and_nouns(["open box", "handshake"], ["box"]) is None
    assert verbs_and_nouns(["box"], ["box"]) is None
    assert verbs_and_nouns([], ["box"]) is None


def test_early_curve_by_hand():
    early = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.9, 0.1], [0.8, 0.2]], [[0.1, 0.9], [0.1, 0.9]]])
    np.testing.assert_allclose(early_curve(early, np.array([1, 0, -1])), [0.5, 1.0])
