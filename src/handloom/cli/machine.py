"""What the verbs ask of the machine: its cores, its extras."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from handloom.errors import MissingDependencyError


@contextmanager
def needing_torch() -> Iterator[None]:
    """Say how to get torch, an extra, where it cannot be imported."""
    try:
        yield
    except ImportError as failure:
        raise MissingDependencyError(
            f"this needs the extras torch and onnx ({failure}); install them with: pip install '.[torch,onnx]' in a "
            "clone of Handloom"
        ) from failure


def cores() -> int:
    """Processors of this machine."""
    return os.cpu_count() or 1
