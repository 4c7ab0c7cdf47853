"""Objects and actions of a record, counted."""

from typing import NamedTuple

import numpy as np

from handloom.hands import HandTrack


class ObjectShare(NamedTuple):
    """An object: in how many frames it is the likeliest, and how sure those frames are of it on average."""

    name: str
    frames: int
    mean_probability: float


def object_shares(track: HandTrack) -> list[ObjectShare]:
    """The objects of a record, most frequent first; those that are never the likeliest are left out."""
    labels, shares = track.object_labels, []
    for row, name in enumerate(track.object_names):
        mine = labels == row
        if mine.any():
            assert track.object_probabilities is not None
            shares.append(ObjectShare(name, int(mine.sum()), float(track.object_probabilities[mine, row].mean())))
    return sorted(shares, key=lambda share: -share.frames)


def object_per_frame(track: HandTrack) -> np.ndarray:
    """Name of the likeliest object in each frame (T,), None without an estimate."""
    names = np.array([*track.object_names, None], object)
    return np.asarray(names[track.object_labels])


def action_per_frame(track: HandTrack) -> np.ndarray:
    """Label of the action in each frame (T,), None outside of all segments."""
    labels = np.array([*(action.label for action in track.actions), None], object)
    return np.asarray(labels[track.action_labels])
