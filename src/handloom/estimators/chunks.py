"""Detect hands in a recording with several detectors side by side.

A detector that follows hands needs its frames in order, so a recording is cut into chunks of fixed length, each with a
detector in its initial state that is first shown the few frames before the chunk. Chunks do not depend on each other:
the result is the same for any number of workers.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack

from handloom.estimators.detections import Detection, Detector
from handloom.video import Frame, Recording, prefetch

CHUNK_FRAMES = 96
WARM_UP_FRAMES = 8


def detect_recording(
    frames: Recording,
    new_detector: Callable[[], Detector],
    workers: int,
    on_frame: Callable[[Frame], None],
    should_stop: Callable[[], bool],
    limit: int | None = None,
) -> tuple[dict[int, list[Detection]], int | None]:
    """Detections of every decoded frame, by frame index.

    Args:
        frames: the recording; every worker reads it on its own.
        new_detector: makes a detector.
        workers: number of threads; detectors work outside Python's lock.
        on_frame: called with every frame once, in order within a chunk, never by two threads at a time.
        should_stop: asked before every frame; True ends the work early.
        limit: read no more than so many frames.

    Returns:
        The detections, and the number of leading frames that are complete if the work was stopped early, else None.
    """
    found: dict[int, list[Detection]] = {}
    stopped_at: list[int] = []
    failed = threading.Event()
    lock = threading.Lock()

    def work(worker: int) -> None:
        def wanted(index: int) -> bool:
            return any(chunk % workers == worker for chunk in _chunks(index))

        with ExitStack() as stack:
            # Only where one worker does all chunks does it meet two at a time: the later one warming up.
            detectors = [new_detector() for _ in range(2 if workers == 1 else 1)]
            for detector in detectors:
                stack.callback(detector.close)
            newest = -1
            for frame in prefetch(frames.select(wanted, limit)):
                if should_stop() or failed.is_set():
                    stopped_at.append(frame.index)
                    return
                for chunk in _chunks(frame.index):
                    if chunk % workers != worker:
                        continue
                    detector = detectors[chunk % len(detectors)]
                    if chunk > newest:
                        newest = chunk
                        detector.reset()
                    detections = detector.detect(frame.image)
                    if chunk == frame.index // CHUNK_FRAMES:
                        with lock:
                            found[frame.index] = detections
                            on_frame(frame)

    def guarded(worker: int) -> None:
        try:
            work(worker)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(workers, thread_name_prefix="handloom-detect") as pool:
        futures = [pool.submit(guarded, worker) for worker in range(workers)]
        # In short waits: a signal that another thread receives is not seen by one that sleeps without end.
        while wait(futures, timeout=0.1).not_done:
            pass
        for future in futures:
            future.result()
    if not stopped_at:
        return found, None
    complete = min(stopped_at)
    return {index: detections for index, detections in found.items() if index < complete}, complete


def _chunks(index: int) -> Iterator[int]:
    """The chunks that need a frame: its own, and the next one if it warms up on it."""
    own, next_one = index // CHUNK_FRAMES, (index + WARM_UP_FRAMES) // CHUNK_FRAMES
    yield own
    if next_one != own:
        yield next_one
