"""Which frames make a clip: HTT's rule for actions, G-HTT's rule for prediction."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from handloom.errors import InputError

HTT_TOKENS, HTT_SPACING, HTT_SEGMENT = 128, 2, 16
"""Frames per clip, step between them, and frames per segment of block P (HTT, sections 3.2 and 4.1)."""

OBSERVED, HORIZON, STRIDE = 16, 96, 16
"""Frames that G-HTT observes, frames that it is asked for at most, and frames between two windows."""


class Windows(NamedTuple):
    """Frame indices of N windows; `valid` is False where the last real frame is repeated to fill the window."""

    frames: Int[np.ndarray, "N T"]
    valid: Bool[np.ndarray, "N T"]

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.frames)


def htt_windows(
    length: int,
    training: bool,
    tokens: int = HTT_TOKENS,
    spacing: int = HTT_SPACING,
    segment: int = HTT_SEGMENT,
) -> Windows:
    """Clips of `tokens` frames, every `spacing`-th one, from a video of `length` frames (HTT, section 4.1).

    Evaluation starts where index mod (tokens * spacing) < spacing: every frame is real in exactly one clip. Training
    starts where it is < spacing * segment: every offset within a segment of block P. HTT has 128, 2 and 16.

    Raises:
        InputError: the length is negative, or another number is not positive.
    """
    _check_range(0, length)
    if min(tokens, spacing, segment) < 1:
        raise InputError(f"tokens, spacing and segment must be 1 or more, found {tokens}, {spacing}, {segment}")
    index = np.arange(length)
    starts = index[index % (tokens * spacing) < spacing * (segment if training else 1)]
    return _filled(starts, length, tokens, spacing)


def prediction_windows(start: int, end: int, frame_rate: float, min_window_s: float = 1.0) -> Windows:
    """Windows of 16 observed and up to 96 future frames of the action in frames `start` ... `end` - 1.

    One window every 16 frames; it reaches to the end of the action or 112 frames far. Windows shorter than
    `min_window_s` (1 s in G-HTT's Table 2, 2 s in Tables 3 and 4) or 2 frames are left out; with 0 s an action
    keeps windows that hold nothing but observed frames.

    Raises:
        InputError: the range is empty backwards, or a time or rate that is none.
    """
    _check_range(start, end)
    if not (np.isfinite(frame_rate) and frame_rate > 0 and np.isfinite(min_window_s) and min_window_s >= 0):
        raise InputError(f"windows need a positive frame rate and a length >= 0 s; found {frame_rate}, {min_window_s}")
    shortest = max(2, round(min_window_s * frame_rate))
    return _filled(np.arange(start, end - shortest + 1, STRIDE), end, OBSERVED + HORIZON, 1)


def _filled(starts: Int[np.ndarray, "N"], end: int, count: int, step: int) -> Windows:
    """`count` frames from every start on; past the end the last frame taken is repeated."""
    frames = starts[:, None] + step * np.arange(count)
    last = starts + (end - 1 - starts) // step * step
    return Windows(np.minimum(frames, last[:, None]), frames < end)


def _check_range(start: int, end: int) -> None:
    if not 0 <= start <= end:
        raise InputError(f"frames {start} ... {end} (end exclusive) are no stretch of a video")
