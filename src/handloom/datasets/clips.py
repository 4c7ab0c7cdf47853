"""Where the clips of a store are: the rules of `windows` applied to its recordings."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from handloom.datasets.store import Store, StoredRecording
from handloom.datasets.windows import (
    HTT_SEGMENT,
    HTT_SPACING,
    HTT_TOKENS,
    Windows,
    htt_windows,
    prediction_windows,
)
from handloom.errors import InputError


class ClipPlace(NamedTuple):
    """Which frames of which recording make a clip; `valid` is False where the last frame is repeated as padding."""

    recording: int
    frames: Int[np.ndarray, "T"]
    valid: Bool[np.ndarray, "T"]


def htt_clips(
    store: Store,
    split: str,
    training: bool,
    tokens: int = HTT_TOKENS,
    spacing: int = HTT_SPACING,
    segment: int = HTT_SEGMENT,
) -> list[ClipPlace]:
    """HTT's clips of a split: of every labelled segment, or of the whole of a recording that has none.

    Segments whose action is withheld count too. For the numbers see `windows.htt_windows`.

    Raises:
        InputError: the store has no such split.
    """
    places = []
    for recording in recordings_of(store, split):
        for start, end in spans_of(recording):
            frames, valid = htt_windows(end - start, training, tokens, spacing, segment)
            places += _places(recording, Windows(frames + start, valid))
    return places


def spans_of(recording: StoredRecording) -> list[tuple[int, int]]:
    """First and last-but-one frame of what counts as a video: every labelled segment, or else the whole recording."""
    return [(segment.start, segment.end) for segment in recording.segments] or [(0, recording.length)]


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
