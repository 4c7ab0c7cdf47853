"""Shards on several processes: each a pure function of its input that writes a file of its own."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from handloom.threads import exit_with_parent, single_threaded_children

Task = TypeVar("Task")

Engine = Callable[[Callable[[Task], None], Sequence[Task]], Iterator[None]]
"""Calls a function with every task, and yields once for each that is done."""


def local_engine(workers: int) -> Engine:
    """Processes on this machine; one worker is this process."""

    def run(function: Callable[[Task], None], tasks: Sequence[Task]) -> Iterator[None]:
        if workers == 1 or len(tasks) < 2:
            for task in tasks:
                function(task)
                yield
            return
        # Not forked: FFmpeg, OpenCV and MediaPipe keep threads that a fork would lose.
        context = multiprocessing.get_context("spawn")
        with (
            single_threaded_children(),
            ProcessPoolExecutor(min(workers, len(tasks)), context, exit_with_parent) as pool,
        ):
            pending = [pool.submit(function, task) for task in tasks]
            try:
                for future in pending:
                    future.result()
                    yield
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    return run
