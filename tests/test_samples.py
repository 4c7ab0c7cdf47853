"""Sample pictures in bounded memory, whatever arrives."""

import numpy as np
import pytest

from handloom.tracking.samples import FrameSamples


@pytest.mark.parametrize("indices", [range(1000), range(0, 4000, 2), range(999, -1, -1), [7]])
def test_samples_are_few_spread_and_scaled(indices):
    samples = FrameSamples(wanted=12)
    for index in indices:
        samples.push(index, np.full((90, 1280, 3), index % 251, np.uint8))
    assert len(samples._kept) <= 24
    chosen = samples.choose(np.ones(4000, bool))
    assert [index for index, _ in chosen] == sorted(index for index, _ in chosen)
    assert len(chosen) == min(8, len(indices))
    for index, image in chosen:
        assert image.shape == (45, 640, 3)
        assert image[0, 0, 0] == index % 251


def test_frames_with_hands_are_preferred():
    samples = FrameSamples()
    for index in range(100):
        samples.push(index, np.zeros((4, 4, 3), np.uint8))
    preferred = np.zeros(100, bool)
    preferred[40:60] = True
    assert all(40 <= index < 60 for index, _ in samples.choose(preferred))


def test_the_choice_does_not_depend_on_the_order():
    orders = [np.arange(500), np.random.default_rng(0).permutation(500)]
    kept = []
    for order in orders:
        samples = FrameSamples()
        for index in order:
            samples.push(int(index), np.zeros((2, 2, 3), np.uint8))
        kept.append([index for index, _ in samples.choose(np.ones(500, bool))])
    assert kept[0] == kept[1]
