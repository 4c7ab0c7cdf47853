"""Webcams, and the rule for all sources that do not wait: a reader that is late loses the oldest pictures."""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import UInt8

from handloom.errors import InputError
from handloom.video.frames import Closing, Frame, FrameProblem, FrameSource, VideoInfo, seconds
from handloom.video.handoff import Handoff

CLOCK = Fraction(1, 1_000_000)


class Webcam(Closing):
    """A camera of this computer, through OpenCV. Times are microseconds since the first picture.

    A camera that goes away ends the iteration and stands in `problems`.

    Args:
        index: 0 is the first camera.
        mirrored: flip every picture left to right.

    Raises:
        InputError: there is no such camera, or it gives no picture.
    """

    dropped = 0
    cut_short = False

    def __init__(self, index: int, mirrored: bool = False) -> None:
        import cv2

        self._index, self._mirrored = index, mirrored
        self.problems: list[FrameProblem] = []
        # OpenCV would print a page about every backend that it tried; our one line says it better.
        log = cv2.utils.logging
        level = log.setLogLevel(log.LOG_LEVEL_SILENT)
        self._camera: Any = cv2.VideoCapture(index)
        log.setLogLevel(level)
        picture = self._camera.read()[1] if self._camera.isOpened() else None
        if picture is None:
            self._camera.release()
            raise InputError(
                f"webcam {index} cannot be opened or gives no picture; check that it is plugged in (0 is the "
                "first one), that no other program uses it, and that this program may"
            )
        rate = float(self._camera.get(cv2.CAP_PROP_FPS))
        self.info = VideoInfo(
            path=str(index),
            width=picture.shape[1],
            height=picture.shape[0],
            time_base=CLOCK,
            frame_rate=rate if np.isfinite(rate) and rate > 0 else 30.0,
            frame_count=None,
            duration_s=None,
            codec="webcam",
            pixel_format="bgr24",
            variable_frame_rate=True,
        )

    def __iter__(self) -> Iterator[Frame]:
        start, last, index = None, -1, 0
        try:
            while True:
                given, picture = self._camera.read()
                now = time.monotonic_ns() // 1000
                if not given:
                    gone = f"webcam {self._index} stopped giving pictures after {index}"
                    self.problems.append(FrameProblem(None, None, gone))
                    self.cut_short = True
                    return
                start = now if start is None else start
                last = max(now - start, last + 1)
                yield Frame(index, last, seconds(last, CLOCK), self._rgb(picture))
                index += 1
        finally:
            self._camera.release()

    def close(self) -> None:
        """Let go of the camera."""
        self._camera.release()

    def _rgb(self, picture: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
        return np.ascontiguousarray(picture[:, ::-1, ::-1] if self._mirrored else picture[:, :, ::-1])


class LiveSource(Closing):
    """A webcam or stream read in a thread of its own, from the first iteration on.

    At most `depth` pictures wait. Those that come when the queue is full push out the oldest, which are
    counted in `dropped`; the index of a frame counts them too.

    Args:
        source: read in the thread only.
        depth: how many pictures wait.
    """

    def __init__(self, source: FrameSource, depth: int = 4) -> None:
        self._source, self._depth = source, depth
        self._handoff: Handoff | None = None
        self.info = source.info
        self.problems = source.problems

    @property
    def dropped(self) -> int:
        """Pictures that were left out because their reader was late."""
        return self._handoff.dropped if self._handoff else 0

    @property
    def cut_short(self) -> bool:
        """Whether the camera or connection went away."""
        return self._source.cut_short

    def __iter__(self) -> Iterator[Frame]:
        return self.until(lambda: False)

    def until(self, should_stop: Callable[[], bool]) -> Iterator[Frame]:
        """The frames, until `should_stop` says so; it is asked while waiting, too, if the camera is silent."""
        if self._handoff is None:
            self._handoff = Handoff(self._source, self._depth, drop_oldest=True)
        return self._handoff.until(should_stop)

    def close(self) -> None:
        """End the thread. One that sits in a read ends, and closes its source, when that read does."""
        if self._handoff is None or self._handoff.stop(timeout_s=2.0):
            self._source.close()
