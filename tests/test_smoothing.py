"""Smoothing: exact on lines, no delay, true cutoff, gaps respected; One-Euro causal and prompt."""

import numpy as np
import pytest

from handloom.smoothing import OneEuro, cutoff_by_cross_validation, smooth_zero_phase


def test_a_line_passes_unchanged_on_uneven_times():
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.05, 200))
    line = np.stack([2 * times + 1, -times], 1)
    np.testing.assert_allclose(smooth_zero_phase(times, line, 1.0), line, atol=1e-8)


@pytest.mark.parametrize("rate", [30, 120])
def test_the_cutoff_halves_a_sine_and_delays_nothing(rate):
    times = np.arange(20 * rate) / rate
    sine = np.sin(2 * np.pi * 2.0 * times)[:, None]
    smooth = smooth_zero_phase(times, sine, 2.0)
    middle = slice(5 * rate, 15 * rate)
    gain = (smooth[middle] * sine[middle]).sum() / (sine[middle] ** 2).sum()
    assert gain == pytest.approx(0.5, abs=0.02)
    residual = smooth[middle] - gain * sine[middle]
    assert np.abs(residual).max() < 0.02  # no phase shift: what is left is no cosine


def test_time_reversal_commutes():
    values = np.random.default_rng(1).normal(size=(80, 3))
    times = np.arange(80) / 30
    forward = smooth_zero_phase(times, values, 3.0)
    np.testing.assert_allclose(smooth_zero_phase(times, values[::-1], 3.0)[::-1], forward, atol=1e-9)


def test_missing_rows_stay_missing_and_long_gaps_separate():
    times = np.arange(100) / 30
    values = np.random.default_rng(2).normal(size=(100, 1))
    values[30:60] = np.nan
    smooth = smooth_zero_phase(times, values, 2.0)
    assert np.isnan(smooth[30:60]).all()
    assert np.isfinite(smooth[:30]).all()
    # The part before the gap does not know what comes after it.
    other = values.copy()
    other[60:] += 100
    np.testing.assert_array_equal(smooth_zero_phase(times, other, 2.0)[:30], smooth[:30])


def test_untrusted_rows_are_ignored():
    times = np.arange(60) / 30
    values = np.zeros((60, 1))
    values[30] = 10
    weights = np.ones(60)
    weights[30] = 0
    assert abs(smooth_zero_phase(times, values, 2.0, weights)).max() < 0.05


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_short_clips(count):
    times = np.arange(count) / 30
    values = np.arange(2.0 * count).reshape(count, 2)
    np.testing.assert_allclose(smooth_zero_phase(times, values, 2.0), values, atol=1e-9)


def test_one_euro_steadies_rest_and_follows_speed():
    random = np.random.default_rng(3)
    rest, moving = OneEuro(1.0, 5.0), OneEuro(1.0, 5.0)
    noise = random.normal(0, 0.001, 300)
    steadied = np.array([rest.push(k / 30, np.array([noise[k]])) for k in range(300)])
    assert steadied[100:].std() < 0.5 * noise.std()
    followed = [moving.push(k / 30, np.array([1.0 * k / 30])) for k in range(60)]
    assert followed[-1][0] == pytest.approx(59 / 30, abs=0.06)  # 1 m/s: less than two frames behind


def test_one_euro_starts_afresh_after_a_gap():
    euro = OneEuro(1.0, 0.0)
    euro.push(0.0, np.array([0.0]))
    assert euro.push(5.0, np.array([1.0]))[0] == 1.0


def test_one_missing_sample_does_not_poison_the_filter():
    euro = OneEuro(1.0, 0.0)
    values = [1.0, 1.0, np.nan, 1.0, 1.0]
    filtered = [float(euro.push(k / 30, np.array([value]))[0]) for k, value in enumerate(values)]
    np.testing.assert_allclose(filtered, values)


@pytest.mark.parametrize("gap", [1e-6, 1e-5])
def test_frames_at_nearly_the_same_time(gap):
    times = np.sort(np.concatenate([np.arange(60) / 30, [1.0 + gap]]))
    noise = np.random.default_rng(5).normal(0, 0.01, (61, 1))
    assert np.abs(smooth_zero_phase(times, noise, 2.0)).max() < 0.02


def test_even_the_strongest_smoothing_has_a_solution():
    times = np.arange(5000) / 1000
    noise = np.random.default_rng(6).normal(size=(5000, 1))
    assert np.isfinite(smooth_zero_phase(times, noise, 0.001)).all()


def test_the_cutoff_follows_the_noise_and_gaps_are_bridged():
    times = np.arange(300) / 30
    clean = np.stack([np.sin(2 * np.pi * 0.7 * times), np.cos(2 * np.pi * 0.4 * times)], -1)
    noise = np.random.default_rng(0).normal(size=clean.shape)
    cutoffs = (0.5, 1.0, 2.0, 4.0, 10.0, 20.0)
    chosen = [cutoff_by_cross_validation(times, clean + size * noise, cutoffs) for size in (0.0, 0.001, 0.05, 0.3)]
    assert chosen[0] == 20
    assert sorted(chosen, reverse=True) == chosen
    assert chosen[-1] <= 2
    errors = [np.abs(smooth_zero_phase(times, clean + 0.3 * noise, c) - clean).mean() for c in cutoffs]
    assert errors[cutoffs.index(chosen[-1])] < 1.1 * min(errors)
    assert cutoff_by_cross_validation(times[:5], noise[:5], cutoffs) == 20
    gappy = clean.copy()
    gappy[100:106] = np.nan
    assert np.isnan(smooth_zero_phase(times, gappy, 5.0)[100:106]).all()
    assert np.abs(smooth_zero_phase(times, gappy, 5.0, bridge=True) - clean).max() < 0.02
