"""Ctrl-C, or a polite request to end, that leaves complete outputs."""

import signal
import threading
from types import FrameType
from typing import Any


class Interruption:
    """The first Ctrl-C asks for a stop at the next frame; a second one before that raises KeyboardInterrupt.

    SIGTERM counts as Ctrl-C. Outside the main thread, where signals cannot be caught, nothing is.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
