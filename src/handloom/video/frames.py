"""What every source of pictures gives: frames with exact times, and an account of those that are missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float64


class Frame(NamedTuple):
    """One decoded picture."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    """Position in presentation order among all frames of the source, lost and dropped ones counted."""
    pts: int
    """Presentation timestamp, in units of `VideoInfo.time_base`."""
    time_s: float
    """`pts * time_base`, correctly rounded. Zero is the zero of the source's own clock (the start of a file's
    timeline, of a stream's clock, of a webcam's first picture), not the first frame. Strictly increasing."""
    image: np.ndarray
    """(height, width, 3) uint8, RGB, upright, C-contiguous. Copy it before drawing on it."""


class FrameProblem(NamedTuple):
    """A frame that is missing from the iteration, or (index None) something about the whole source."""

    index: int | None  # type: ignore[assignment]
    time_s: float | None
    reason: str


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """What is known of a source before its pictures are read.

    Attributes:
        path: file, folder, pattern, address, or webcam index.
        width, height: of the upright picture, in pixels.
        time_base: seconds per tick of `Frame.pts`.
        frame_rate: frames per second, averaged over the file.
        frame_count: frames to be shown, those that will not decode counted; None for streams and webcams.
        duration_s: from the first frame to the end of the last one; None for streams and webcams.
        codec, pixel_format: FFmpeg's names.
        rotation_deg: clockwise turn that the file asks for and that has been applied: 0, 90, 180 or 270.
        variable_frame_rate: whether the time between frames varies by more than the file's own rounding.
        nominal_times: the file stores no times; they are counted at `frame_rate`.
        times_s: (frame_count,) presentation time of every frame, those that will not decode included.
        audio: whether there is sound beside the pictures.
    """

    path: str
    width: int
    height: int
    time_base: Fraction
    frame_rate: float
    frame_count: int | None
    duration_s: float | None
    codec: str
    pixel_format: str
    rotation_deg: int = 0
    variable_frame_rate: bool = False
    nominal_times: bool = False
    times_s: Float64[np.ndarray, "frame_count"] | None = None
    audio: bool = False


@runtime_checkable
class FrameSource(Protocol):
    """Pictures in presentation order. Files start anew with every iteration; streams can be read once."""

    @property
    def info(self) -> VideoInfo:
        """What is known of the source as a whole."""

    @property
    def problems(self) -> list[FrameProblem]:
        """What could not be given, so far; complete when the iteration has ended."""

    @property
    def dropped(self) -> int:
        """Frames of a live source that were left out because their reader was late."""

    @property
    def cut_short(self) -> bool:
        """Whether a camera or connection went away."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Let go of devices, connections and threads."""

    def __enter__(self) -> "FrameSource": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


_Source = TypeVar("_Source")


@runtime_checkable
class Recording(FrameSource, Protocol):
    """A source that can be read again and again, also by several threads at a time."""

    def select(self, wanted: Callable[[int], bool], limit: int | None = None, start: int = 0) -> Iterator[Frame]:
        """The frames from `start` on, before `limit`, whose index is wanted; the others cost no conversion."""


class Closing:
    """The context manager of every source: leaving it closes."""

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self: _Source) -> _Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def seconds(pts: int, time_base: Fraction) -> float:
    """`pts * time_base`, rounded once."""
    return pts * time_base.numerator / time_base.denominator
