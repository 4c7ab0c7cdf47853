"""Where the clips of a store are: the rules of `windows` applied to its recordings."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from handloom.datasets.store import Store, StoredRecording
from handloom.datasets.windows import Windows, htt_windows, prediction_windows
from handloom.errors import InputError


class ClipPlace(NamedTuple):
    """Which frames of which recording make a clip; `valid` is False where the last frame is repeated as padding."""

    recording: int
    frames: Int[np.ndarray, "T"]
    valid: Bool[np.ndarray, "T"]


def htt_clips(store: Store, split: str, training: bool) -> list[ClipPlace]:
    """HTT's clips of a split: of every labelled segment, or of the whole of a recording that has none.

    Segments whose action is withheld count too.

    Raises:
        InputError: the store has no such split.
    """
    places = []
    for recording in recordings_of(store, split):
        spans = [(segment.start, segment.end) for segment in recording.segments] or [(0, recording.length)]
        for start, end in spans:
            frames, valid = htt_windows(end - start, training)
            places += _places(recording, Windows(frames + start, valid))
    return places


def prediction_clips(store: Store, split: str, min_window_s: float = 1.0) -> list[ClipPlace]:
    """G-HTT's windows of 16 observed and up to 96 future frames in every labelled segment of a split.

    Raises:
        InputError: the store has no such split.
    """
    places = []
    for recording in recordings_of(store, split):
        for segment in recording.segments:
            windows = prediction_windows(segment.start, segment.end, store.layout.fps, min_window_s)
            places += _places(recording, windows)
    return places


def recordings_of(store: Store, split: str) -> list[StoredRecording]:
    """The recordings of a split. Raises InputError: there are none."""
    chosen = [recording for recording in store.recordings if recording.split == split]
    if not chosen:
        known = sorted({recording.split or "none" for recording in store.recordings})
        raise InputError(f"{store.root} has no recordings of split {split!r}; it has {', '.join(known)}")
    return chosen


def _places(recording: StoredRecording, windows: Windows) -> list[ClipPlace]:
    return [ClipPlace(recording.index, frames, valid) for frames, valid in zip(*windows)]
