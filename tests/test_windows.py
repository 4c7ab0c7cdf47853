"""HTT's and G-HTT's clip rules, and the order of training."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handloom.datasets.sampler import epoch_order, rank_share, sample_rng
from handloom.datasets.windows import htt_windows, prediction_windows
from handloom.errors import InputError

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "htt-fpha.npz"


@pytest.mark.parametrize("kind", ["test", "train"])
def test_htt_windows_are_those_of_the_released_code(kind):
    if not GOLDEN.is_file():
        pytest.skip(f"{GOLDEN} is not there")
    golden = np.load(GOLDEN)
    lengths = golden["window_video_length"].tolist()
    windows = [htt_windows(length, training=kind == "train") for length in lengths]
    assert [len(w) for w in windows] == golden[f"window_{kind}_count"].tolist()
    video = np.repeat(np.arange(len(lengths)), [len(w) for w in windows])
    starts = np.concatenate([w.frames[:, 0] for w in windows])
    np.testing.assert_array_equal(video, golden[f"window_{kind}_video"])
    np.testing.assert_array_equal(starts, golden[f"window_{kind}_start"])
    if kind == "test":
        np.testing.assert_array_equal(np.concatenate([w.frames for w in windows]), golden["window_test_frames"])
        np.testing.assert_array_equal(np.concatenate([w.valid for w in windows]), golden["window_test_valid"] == 1)


@given(length=st.integers(0, 1500))
def test_htt_evaluation_sees_every_frame_once(length):
    frames, valid = htt_windows(length, training=False)
    assert sorted(frames[valid].tolist()) == list(range(length))
    assert valid[:, 0].all()
    # Padding repeats the last real frame of its own window.
    last = np.where(valid, frames, -1).max(1)
    assert (frames[~valid] == np.broadcast_to(last[:, None], frames.shape)[~valid]).all()


def test_prediction_windows_by_hand():
    windows = prediction_windows(10, 80, 30.0, min_window_s=1.0)
    # Starts 10, 26, 42 leave 70, 54, 38 frames; 58 leaves 22, less than a second.
    assert windows.frames[:, 0].tolist() == [10, 26, 42]
    assert windows.frames.shape == (3, 112)
    assert windows.valid.sum(1).tolist() == [70, 54, 38]
    assert windows.frames[0, 69:].tolist() == [79] * 43
    assert prediction_windows(10, 80, 30.0, min_window_s=2.0).frames[:, 0].tolist() == [10]
    assert prediction_windows(0, 400, 30.0).valid[0].all()
    assert len(prediction_windows(5, 6, 30.0, 0.0)) == 0
    assert len(prediction_windows(5, 7, 30.0, 0.0)) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: htt_windows(-1, True), "no stretch of a video"),
        (lambda: prediction_windows(9, 3, 30.0), "frames 9 ... 3"),
        (lambda: prediction_windows(0, 9, 0.0), "positive frame rate"),
        (lambda: epoch_order(4, -1, 0), "must not be negative"),
        (lambda: rank_share(np.arange(4), 2, 2), "process 2 of 2"),
        (lambda: rank_share(np.arange(4), done=5), "5 samples done in an epoch of 4"),
    ],
)
def test_impossible_numbers_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_order_depends_on_seed_and_epoch_alone():
    order = epoch_order(1000, seed=3, epoch=7)
    assert sorted(order) == list(range(1000))
    np.testing.assert_array_equal(order, epoch_order(1000, 3, 7))
    assert (order != epoch_order(1000, 3, 8)).mean() > 0.9
    assert (order != epoch_order(1000, 4, 7)).mean() > 0.9
    # Fixed for ever: a checkpoint of today must resume tomorrow.
    assert epoch_order(8, 0, 0).tolist() == FIRST_ORDER


FIRST_ORDER = [0, 2, 1, 5, 4, 3, 6, 7]


@given(count=st.integers(0, 60), ranks=st.integers(1, 5), done=st.integers(0, 60), then=st.integers(1, 4))
def test_ranks_share_an_epoch_and_resume_in_any_number(count, ranks, done, then):
    order = epoch_order(count, 1, 2)
    done = min(done, count) // ranks * ranks
    before = [rank_share(order, rank, ranks)[: done // ranks] for rank in range(ranks)]
    after = [rank_share(order, rank, then, done) for rank in range(then)]
    assert len({len(share) for share in after}) == 1
    seen = np.concatenate([*before, *after]).tolist()
    assert len(seen) == len(set(seen))
    assert count - len(seen) < then
    assert set(np.concatenate(before).tolist()) == set(order[:done].tolist())


def test_samples_draw_the_same_numbers_in_any_worker():
    first, again = sample_rng(1, 2, 3).uniform(size=4), sample_rng(1, 2, 3).uniform(size=4)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, sample_rng(1, 3, 2).uniform(size=4))


@pytest.mark.parametrize(("tokens", "spacing", "segment"), [(8, 8, 1), (16, 2, 16), (32, 1, 4), (1, 1, 1)])
@pytest.mark.parametrize("length", [1, 7, 63, 64, 65, 200])
def test_windows_of_other_sizes_hold_every_frame_once(tokens, spacing, segment, length):
    frames, valid = htt_windows(length, False, tokens, spacing, segment)
    assert frames.shape[1] == tokens
    np.testing.assert_array_equal(np.sort(frames[valid]), np.arange(length))
    starts = htt_windows(length, True, tokens, spacing, segment).frames[:, 0]
    assert (starts % (tokens * spacing) < spacing * segment).all()
    assert len(starts) == sum(k % (tokens * spacing) < spacing * segment for k in range(length))


def test_windows_of_no_size():
    with pytest.raises(InputError, match="1 or more, found 0, 2, 16"):
        htt_windows(10, False, tokens=0)
