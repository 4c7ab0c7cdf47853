"""`Futures`: how both hands may go on, as several drawn motions."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float


class Futures(NamedTuple):
    """Several futures of a track. The first is the mean, the others are drawn.

    Attributes:
        times_s: of the frames, on the clock of the track.
        joints_m: in the frame of the track; with a moving camera, that of its last frame.
        valid: joints that are predicted; the others were not seen at the end of the observation.
        frame: "camera" or "world".
        path: of G-HTT, "a" or "b".
    """

    times_s: Float[np.ndarray, "frames"]
    joints_m: Float[np.ndarray, "samples frames 2 21 3"]
    valid: Bool[np.ndarray, "2 21"]
    frame: str
    path: str
