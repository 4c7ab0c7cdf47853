"""One implementation for NumPy and Torch: the array API namespace of the inputs."""

from typing import Any

from array_api_compat import array_namespace

Array = Any
"""A NumPy array or a Torch tensor; functions return the kind, dtype and device that they were given."""

__all__ = ["Array", "array_namespace"]
