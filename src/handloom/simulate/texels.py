"""Textures in the form that is quick to sample: bilinear, in linear light, repeating.

A texel is one integer of three fields of 21 bits, so that one multiplication weights all its channels: 11 bits of the
root of linear light, and room for weights that sum to 32 x 32. Every texture has a rim of one texel from its other
side, so that no sample has to go around.
"""

from collections.abc import Sequence
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, UInt8, UInt32, UInt64
from numba import njit

_SHIFT, _WHOLE, _LAST = np.uint32(5), np.float32(32), np.uint32(31)  # steps of a 32nd between texels
_HALF = np.float32(16)
_RIM, _NEXT, _WEIGHT = np.uint32(2), np.uint64(1), np.uint64(5)
_RED, _GREEN, _FIELD = np.uint64(42), np.uint64(21), np.uint64(2**21 - 1)
_ROOT = np.float32(1 / (2047 * 1024))


def packed(
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None], linear: Float32[np.ndarray, "256"]
) -> tuple[UInt64[np.ndarray, "texels"], UInt32[np.ndarray, "pictures 3"]]:
    """All textures one after the other, and where each starts with its rows and columns, without rim; 0 rows: none.

    Args:
        pictures: sRGB.
        linear: light 0 ... 1 of the sRGB codes.
    """
    table, texels, start = np.zeros((len(pictures), 3), np.uint32), [np.zeros(1, np.uint64)], 1
    root = np.round(2047 * np.sqrt(linear)).astype(np.uint64)
    for k, picture in enumerate(pictures):
        if picture is not None:
            table[k] = start, *picture.shape[:2]
            rimmed = root[np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="wrap")].reshape(-1, 3)
            texels.append((rimmed[:, 0] << _RED) | (rimmed[:, 1] << _GREEN) | rimmed[:, 2])
            start += len(rimmed)
    return np.concatenate(texels), table


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
@no_type_check
def sample(texels, start, rows, columns, u, v):
    """Linear light of a texture at u, v >= 0, which may be less by rounding."""
    # 32-bit signed integers, since processors have no quick way between floats and others; truncated, as it is quicker
    # than floor. What comes out below 0 is large as an unsigned one.
    column = (u - np.float32(np.int32(u))) * (np.float32(np.int32(columns)) * _WHOLE) + _HALF
    row = (v - np.float32(np.int32(v))) * (np.float32(np.int32(rows)) * _WHOLE) + _HALF
    i = min(np.uint32(np.int32(column)), (columns << _SHIFT) | _LAST)
    j = min(np.uint32(np.int32(row)), (rows << _SHIFT) | _LAST)
    wide = columns + _RIM
    upper = np.uint64(start + (j >> _SHIFT) * wide + (i >> _SHIFT))
    lower = upper + np.uint64(wide)
    across, down = np.uint64(i & _LAST), np.uint64(j & _LAST)
    above = (texels[upper] << _WEIGHT) + across * (texels[upper + _NEXT] - texels[upper])
    below = (texels[lower] << _WEIGHT) + across * (texels[lower + _NEXT] - texels[lower])
    mixed = (above << _WEIGHT) + down * (below - above)
    red = np.float32(np.int32(mixed >> _RED)) * _ROOT
    green = np.float32(np.int32((mixed >> _GREEN) & _FIELD)) * _ROOT
    blue = np.float32(np.int32(mixed & _FIELD)) * _ROOT
    return red * red, green * green, blue * blue
