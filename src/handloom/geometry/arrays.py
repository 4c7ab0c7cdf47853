"""One implementation for NumPy and Torch: the array API namespace of the inputs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Bool, Float

from handloom.errors import InputError

Array = Any
"""A NumPy array or a Torch tensor; functions return the kind, dtype and device that they were given."""

__all__ = [
    "Array",
    "alike",
    "all_finite",
    "array_namespace",
    "constant",
    "epsilon",
    "like",
    "nan_unless",
    "squared_length",
]


def like(values: np.ndarray | Sequence[Any], array: Array) -> Array:
    """Known numbers as an array of the kind, dtype and device of another."""
    return array_namespace(array).asarray(values, dtype=array.dtype, device=device(array))


def alike(*arrays: Array) -> tuple[Array, ...]:
    """Arrays of one floating point type: the widest among them."""
    xp = array_namespace(*arrays)
    dtype = xp.result_type(*arrays)
    return tuple(xp.astype(array, dtype, copy=False) for array in arrays)


def constant(array: Array) -> Array:
    """The same numbers, cut off from Torch's gradient."""
    return array.detach() if hasattr(array, "detach") else array


def epsilon(array: Array) -> float:
    """Rounding unit of the array's floating point type."""
    return float(array_namespace(array).finfo(array.dtype).eps)


def nan_unless(valid: Array, values: Float[Array, "..."]) -> Float[Array, "..."]:
    """Values where `valid` holds, NaN elsewhere; `valid` lacks the trailing axes of `values`."""
    return array_namespace(values).where(
        valid.reshape(valid.shape + (1,) * (values.ndim - valid.ndim)), values, float("nan")
    )


def squared_length(vectors: Float[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """Sum of squares of few components: NumPy's reductions over a short last axis take several times as long."""
    total = vectors[..., 0] * vectors[..., 0]
    for i in range(1, vectors.shape[-1]):
        total = total + vectors[..., i] * vectors[..., i]
    return total


def all_finite(vectors: Float[Array, "*batch dim"]) -> Bool[Array, "*batch"]:
    """Whether all of few components are finite."""
    xp = array_namespace(vectors)
    finite = xp.isfinite(vectors[..., 0])
    for i in range(1, vectors.shape[-1]):
        finite = finite & xp.isfinite(vectors[..., i])
    return finite


def check_weights(
    name: str, weights: Array | None, shape: tuple[int, ...], absent: str = "0 or NaN means not seen"
) -> None:
    """Raises InputError if weights are given that have another shape or a negative entry."""
    if weights is None:
        return
    if tuple(weights.shape) != shape:
        raise InputError(f"{name} must have shape {shape}, found {tuple(weights.shape)}")
    if bool(array_namespace(weights).any(weights < 0)):
        raise InputError(f"{name} must not be negative; {absent}")
