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
    """Which frames of which recording make a clip.

    Attributes:
        recording: its number.
        frames: in it.
        valid: False where the last frame is repeated as padding.
        segment: number of the recording's segment that the clip was cut from, and whose labels it has: segments may
            overlap. None for a clip of no segment, whose frames have the labels that the recording gives them.
    """

    recording: int
    frames: Int[np.ndarray, "T"]
    valid: Bool[np.ndarray, "T"]
    segment: int | None = None


class Span(NamedTuple):
    """What counts as a video: frames of a recording, end exclusive, and the number of the segment that they are."""

    start: int
    end: int
    segment: int | None


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
        for span in spans_of(recording):
            frames, valid = htt_windows(span.end - span.start, training, tokens, spacing, segment)
            places += _places(recording, Windows(frames + span.start, valid), span.segment)
    return places


def spans_of(recording: StoredRecording) -> list[Span]:
    """The videos of a recording: its labelled segments, or else all of it."""
    segments = [Span(segment.start, segment.end, number) for number, segment in enumerate(recording.segments)]
    return segments or [Span(0, recording.length, None)]


def prediction_clips(store: Store, split: str, min_window_s: float = 1.0) -> list[ClipPlace]:
    """G-HTT's windows of 16 observed and up to 96 future frames in every labelled segment of a split.

    Raises:
        InputError: the store has no such split.
    """
    places = []
    for recording in recordings_of(store, split):
        for number, segment in enumerate(recording.segments):
            windows = prediction_windows(segment.start, segment.end, store.layout.fps, min_window_s)
            places += _places(recording, windows, number)
    return places


def recordings_of(store: Store, split: str) -> list[StoredRecording]:
    """The recordings of a split. Raises InputError: there are none."""
    chosen = [recording for recording in store.recordings if recording.split == split]
    if not chosen:
        known = sorted({recording.split or "none" for recording in store.recordings})
        raise InputError(f"{store.root} has no recordings of split {split!r}; it has {', '.join(known)}")
    return chosen


def consecutive_clips(
    recording: int, frames: Int[np.ndarray, "L"], most: int, segment: int | None = None
) -> list[ClipPlace]:
    """Frames of a recording, one after the other, in clips of `most` and a last one of what is left."""
    parts = np.split(frames, range(most, len(frames), most))
    return [ClipPlace(recording, part, np.ones(len(part), bool), segment) for part in parts]


def _places(recording: StoredRecording, windows: Windows, segment: int | None) -> list[ClipPlace]:
    return [ClipPlace(recording.index, frames, valid, segment) for frames, valid in zip(*windows)]
