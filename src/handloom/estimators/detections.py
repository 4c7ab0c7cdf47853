"""What a per-frame hand detector says, before anything is decided over time."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

_MEDIAPIPE, TRAINED_CONFIDENCE = 0.5, 0.3
"""Below this a hand is none, by default: the scores of MediaPipe and of trained detectors are not alike."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One hand in one frame.

    Attributes:
        keypoints_px: image position of the 21 joints.
        depth_px: depth relative to the wrist, positive away from the camera, in the scale of image pixels
            (weak perspective); NaN where the detector knows none.
        world_m: the detector's own metric joints, origin anywhere; only their size is used; NaN likewise.
        score: 0 ... 1, how sure the detector is of its answer.
        right_probability: 0 ... 1, that this is the person's right hand.
        box_px: x0, y0, x1, y1 that just hold the joints, where the detector knows them better than by `keypoints_px`.
    """

    keypoints_px: Float[np.ndarray, "21 2"]
    depth_px: Float[np.ndarray, "21"]
    world_m: Float[np.ndarray, "21 3"]
    score: float
    right_probability: float
    box_px: Float[np.ndarray, "4"] | None = None


@runtime_checkable
class Detector(Protocol):
    """Finds hands in successive pictures. One detector serves one thread."""

    def detect(self, image: UInt8[np.ndarray, "H W 3"]) -> list[Detection]:
        """Hands in one RGB picture."""

    def reset(self) -> None:
        """Forget all earlier pictures."""

    def close(self) -> None:
        """Free what the detector holds."""


def least_score(given: float | None, trained: bool) -> float:
    """How sure a detector must be of a hand: what the user says, else what is usual for MediaPipe or a trained one."""
    if given is not None:
        return given
    return TRAINED_CONFIDENCE if trained else _MEDIAPIPE
