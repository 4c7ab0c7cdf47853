"""What a per-frame hand detector says, before anything is decided over time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Detection:
    """One hand in one frame.

    Attributes:
        keypoints_px: image position of the 21 joints.
        depth_px: depth relative to the wrist, positive away from the camera, in the scale of image pixels
            (weak perspective).
        world_m: the detector's own metric joints, origin anywhere; only their size is used.
        score: 0 ... 1, how sure the detector is of its answer.
        right_probability: 0 ... 1, that this is the person's right hand.
    """

    keypoints_px: Float[np.ndarray, "21 2"]
    depth_px: Float[np.ndarray, "21"]
    world_m: Float[np.ndarray, "21 3"]
    score: float
    right_probability: float
