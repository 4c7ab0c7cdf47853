"""Pictures from a thread that makes them to the one that uses them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Condition, Thread

from handloom.video.frames import Frame

POLL_S = 0.2
"""How long a waiting receiver sleeps before it asks whether to stop."""


STOP_S = 12.0
"""A little more than a stream's own time-out."""


class Handoff:
    """Runs an iterable of frames in a thread, a bounded number of frames ahead. Iterate to receive them.

    An exception of the iterable is raised again in the receiver, after the frames before it. The thread ends
    when the frames do or when `stop` is called; the iterable is closed in its own thread.

    Args:
        frames: read in the thread only.
        depth: how many frames wait at most.
        drop_oldest: where the receiver is late, drop the frame that has waited longest (and count it in
            `dropped`) instead of making the source wait.
    """

    def __init__(self, frames: Iterable[Frame], depth: int, drop_oldest: bool) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, found {depth}")
        self._frames, self._depth, self._drop_oldest = frames, depth, drop_oldest
        self._waiting: deque[Frame] = deque()
        self._changed = Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None
        self.dropped = 0
        self._thread = Thread(target=self._run, name="handloom-frames", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        return self.until(lambda: False)

    def until(self, should_stop: Callable[[], bool]) -> Iterator[Frame]:
        """The frames, until `should_stop` says so; it is asked while waiting, too, if the source is silent."""
        while True:
            with self._changed:
                while not (self._waiting or self._ended or self._stopped or should_stop()):
                    self._changed.wait(POLL_S)
                if self._stopped or should_stop():
                    return
                if not self._waiting:
                    if self._error is not None:
                        raise self._error
                    return
                frame = self._waiting.popleft()
                self._changed.notify_all()
            yield frame

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the thread; whether it has ended in time (a source may sit in a call that cannot be broken)."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            iterator = iter(self._frames)
            try:
                for frame in iterator:
                    if not self._put(frame):
                        break
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, frame: Frame) -> bool:
        with self._changed:
            if self._drop_oldest:
                if len(self._waiting) == self._depth:
                    self._waiting.popleft()
                    self.dropped += 1
            else:
                self._changed.wait_for(lambda: len(self._waiting) < self._depth or self._stopped)
            if self._stopped:
                return False
            self._waiting.append(frame)
            self._changed.notify_all()
            return True


def prefetch(
    source: Iterable[Frame], depth: int = 8, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Frame]:
    """The frames of a source, decoded in a thread up to `depth` frames ahead, until `should_stop` says so.

    Exceptions of the source are raised here. When the caller stops early (`break`, an exception, `close`),
    the thread ends. The frames are the same and in the same order as without.
    """
    handoff = Handoff(source, depth, drop_oldest=False)
    try:
        yield from handoff.until(should_stop)
    finally:
        # A live source may sit in a call that cannot be broken.
        handoff.stop(timeout_s=STOP_S)
