"""From a decoded frame to an upright RGB array."""

import struct
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from jaxtyping import UInt8

# One conversion takes a fraction of a millisecond: waking a pool of threads for it costs more than it gains.
ONE_THREAD: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}


# The matrices of 0, 90, 180 and 270 degrees counter-clockwise, in which PyAV counts.
_TURNS = ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))


class Orientation(NamedTuple):
    """One of the eight ways to lay a picture down: transpose first, then flip."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    rotation_deg: int = 0
    """The clockwise turn of these; 0 for a pure mirror image."""


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """How to turn a frame upright: its display matrix (MP4 header, EXIF), the identity where it has none.

    The matrix [a b u; c d v; x y w] takes column p, row q to column a·p + c·q + x, row b·p + d·q + y.
    """
    try:
        side_data: Any = frame.side_data
    except ValueError:
        # PyAV stumbles over side data that is newer than itself (EXIF); the angle it can still tell.
        a, b, c, d = _TURNS[frame.rotation % 360 // 90]
    else:
        matrix = side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return Orientation()
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    turn = round(np.degrees(np.arctan2(b, a)) / 90) % 4 * 90
    if abs(b) > abs(a):
        return Orientation(True, b < 0, c < 0, turn)
    return Orientation(False, d < 0, a < 0, turn if a * d > 0 else 0)


class Converter:
    """Turns decoded frames of one source into upright RGB arrays.

    Args:
        orientation: of the source.
        mirrored: flip the upright picture left to right.
    """

    def __init__(self, orientation: Orientation, mirrored: bool) -> None:
        self._transpose = orientation.transpose
        self._flip_rows = orientation.flip_rows
        self._flip_columns = orientation.flip_columns != mirrored
        self._reformatter = VideoReformatter()

    def rgb(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "height width 3"]:
        """Upright RGB, C-contiguous. Deep pictures are scaled to 8 bits; an alpha channel is left out."""
        # Both are PyAV's traps: an unnamed range counts as limited, and an unnamed target takes on the
        # source's matrix, which before PyAV 17 undoes the conversion of BT.709.
        image = self._reformatter.reformat(
            frame,
            format="rgb24",
            src_color_range=frame.color_range,
            dst_colorspace=Colorspace.DEFAULT,
            **ONE_THREAD,
        ).to_ndarray()
        if self._transpose:
            image = image.transpose(1, 0, 2)
        if self._flip_rows:
            image = image[::-1]
        if self._flip_columns:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)
