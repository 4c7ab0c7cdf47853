"""The order of training samples: a function of seed and epoch alone, so that any place in it can be found again."""

import numpy as np
from jaxtyping import Int

from handloom.errors import InputError


def epoch_order(count: int, seed: int, epoch: int) -> Int[np.ndarray, "count"]:
    """A shuffle of 0 ... `count` - 1 that is the same on every machine and for every number of processes.

    Raises:
        InputError: a negative number.
    """
    if min(count, seed, epoch) < 0:
        raise InputError(f"count, seed and epoch must not be negative, found {count}, {seed}, {epoch}")
    # Raw Philox words are fixed by its specification; NumPy's own shuffle may change between versions.
    words = np.random.Philox(key=[seed, epoch]).random_raw(count)
    return np.argsort(words, kind="stable")


def rank_share(
    order: Int[np.ndarray, "count"], rank: int = 0, ranks: int = 1, done: int = 0
) -> Int[np.ndarray, "share"]:
    """One process's part of an epoch in training, as long as that of every other process.

    Args:
        order: of the whole epoch.
        rank, ranks: which process, of how many.
        done: samples of the epoch that all processes together have been through: resuming starts there, also
            with another number of processes.

    The last samples that do not go round are left out of this epoch; the next one shuffles anew.

    Raises:
        InputError: no such process, or more is done than there is.
    """
    if not 0 <= rank < ranks:
        raise InputError(f"process {rank} of {ranks}: processes count from 0")
    if not 0 <= done <= len(order):
        raise InputError(f"{done} samples done in an epoch of {len(order)}")
    rest = order[done:]
    return rest[: len(rest) // ranks * ranks][rank::ranks]


def sample_rng(seed: int, epoch: int, sample: int) -> np.random.Generator:
    """Random numbers of one sample in one epoch, whichever process or worker draws them."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, sample])))
