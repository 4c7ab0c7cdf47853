"""Clusters of half seconds joined to hands over the recording."""

import numpy as np

from handloom.annotate.chains import Chaining, choose_hands
from handloom.annotate.clusters import Clusters, detection_of
from handloom.annotate.detect import Found
from handloom.estimators.handedness import palm_distance

WINDOW, VIEWS, SLOTS = 15, 4, 3


def scene(windows):
    """Clusters and detections of windows, each a list of (place in hand sizes, views that see it, right)."""
    T = WINDOW * len(windows)
    shape = np.random.default_rng(0).normal(300, 30, (21, 2))
    member = np.full((T, VIEWS, SLOTS), -1)
    keypoints = np.full((VIEWS, T, SLOTS, 21, 2), np.nan)
    number, first, evidence, support = 0, [], [], []
    for window, hands in enumerate(windows):
        frames = slice(window * WINDOW, (window + 1) * WINDOW)
        for slot, (place, views, right) in enumerate(hands):
            member[frames, :views, slot] = number
            keypoints[:views, frames, slot] = shape + np.array([place * size(shape), 0])
            first.append(window * WINDOW)
            support.append(WINDOW * views)
            evidence.append(support[-1] * (2.0 if right else -2.0))
            number += 1
    none = np.zeros((T, SLOTS))
    found = [Found(points, none + 0.9, none + 0.5, none, np.ones(T, bool)) for points in keypoints]
    return Clusters(member, np.array(first), np.array(evidence), np.array(support)), found


def size(shape):
    """Of a hand, in pixels."""
    both = np.stack([shape, shape + np.array([100, 0])])[None]
    found = Found(both, np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2)), np.ones(1, bool))
    return 100 / palm_distance(detection_of(found, 0, 0), detection_of(found, 0, 1))


def test_a_stray_detection_of_one_view_does_not_take_the_place_of_a_hand_that_all_see():
    # Each of the two could go on as the other for less in all than as itself, were there one voice for each.
    windows = [[(0.0, 4, True), (0.35, 1, True)], [(0.05, 4, True), (-0.2, 1, True), (5.0, 4, False)]]
    clusters, found = scene(windows)
    chaining = Chaining(2 * WINDOW)
    chaining.push(0, 0, clusters, found)
    assert [[number for _, number in chain.clusters] for chain in chaining.chains] == [[0, 2], [1, 3], [4]]
    others = choose_hands(chaining.chains)
    assert [chain.hand for chain in chaining.chains] == [1, None, 0]
    assert others == 2 * WINDOW


def test_a_hand_that_few_views_still_see_goes_on_and_one_that_is_elsewhere_does_not():
    clusters, found = scene([[(0.0, 4, True)], [(0.5, 1, True), (0.7, 4, True)]])
    chaining = Chaining(2 * WINDOW)
    chaining.push(0, 0, clusters, found)
    assert [[number for _, number in chain.clusters] for chain in chaining.chains] == [[0, 1], [2]]
