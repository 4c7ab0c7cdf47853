"""Processes of which each keeps to one core, and none outlives its parent.

The number of threads of NumPy's linear algebra is fixed when it is loaded, so it can only be set for a process to come.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from typing import Any

from handloom.errors import InputError

_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM")}


def require_worker(workers: int) -> None:
    """Raises InputError: fewer processes than one."""
    if workers < 1:
        raise InputError(f"at least one worker is needed, found {workers}")


@contextmanager
def single_threaded_children() -> Iterator[None]:
    """Processes started in this block do linear algebra in one thread."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def exit_with_parent() -> None:
    """For a worker of `multiprocessing` that was spawned: end with the process that started it, even if that is killed.

    Also where that has happened already, before the worker came so far.
    """
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="handloom-parent-watch", daemon=True).start()


def run_single_threaded(module: str, *arguments: object) -> Any:
    """What `python -m module arguments` prints as JSON, run on one core."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env=environment | _ONE_THREAD, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)
