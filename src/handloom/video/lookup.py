"""Single frames by index, for looking back and forth."""

import threading
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from handloom.video.frames import Frame, Recording


class FrameLookup:
    """The picture of an index, or None where it does not decode. Neighbouring indices in order are cheap.

    Args:
        recording: closed by its owner.
        kept: how many pictures stay in memory.
    """

    AHEAD = 16
    """So many frames are read through rather than sought."""

    def __init__(self, recording: Recording, kept: int = 32) -> None:
        self._recording, self._kept = recording, kept
        self._pictures: OrderedDict[int, UInt8[np.ndarray, "H W 3"] | None] = OrderedDict()
        self._frames: Iterator[Frame] = iter(())
        self._next = -self.AHEAD
        self._lock = threading.Lock()

    def __call__(self, index: int) -> UInt8[np.ndarray, "H W 3"] | None:
        """The picture of a frame; safe to call from several threads."""
        with self._lock:
            if index not in self._pictures:
                self._read(index)
            self._pictures.move_to_end(index)
            return self._pictures[index]

    def _read(self, index: int) -> None:
        if not self._next <= index < self._next + self.AHEAD:
            self._frames = self._recording.select(lambda _: True, start=index)
        self._keep(index, None)
        for frame in self._frames:
            self._next = frame.index + 1
            self._keep(frame.index, frame.image)
            if frame.index >= index:
                return

    def _keep(self, index: int, picture: UInt8[np.ndarray, "H W 3"] | None) -> None:
        self._pictures[index] = picture
        if len(self._pictures) > self._kept:
            self._pictures.popitem(last=False)
