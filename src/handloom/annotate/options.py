"""What a user can choose when annotating a capture."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from handloom.errors import InputError
from handloom.estimators.detections import least_score


@dataclass(frozen=True)
class AnnotateOptions:
    """How to annotate.

    Attributes:
        calibration: file or folder with lens and pose of every camera, where it is not found in the capture.
        cameras: names of the cameras to use; by default all.
        unit_m: metres per unit of the calibration's poses, for calibrations that do not say; without, the size of the
            hands gives the scale.
        hand_size_mm: true distance from wrist to middle knuckle; gives the scale where the calibration has none.
        image_rate: pictures per second of image folders.
        detector: folder of a run of train hand-detector, or of its weights, in place of MediaPipe; needs a network,
            which finds the joints in the boxes.
        min_confidence: the detector's threshold, 0 to 1; by default 0.5 for MediaPipe, 0.3 for a trained one.
        max_hands: the most hands in one picture, other people's included.
        sync: find out by how many frames cameras are late, and put it right.
        max_offset_s: the largest delay between cameras that is looked for.
        threshold_px: a view whose error is larger is wrong; cameras whose median is larger than half of it have a wrong
            calibration. By default 1.5 % of the diagonal of the smallest pictures.
        trust_calibration: go on with cameras that do not agree.
        shard_frames: frames of one shard, the unit of work. Results depend on it a little: every shard has a detector
            of its own.
        network: folder of a run of train mvexonet, or of its weights: MVExoNet sees every triangulated hand again in
            all cameras; without, the labels are those of the detector and of geometry.
        rounds: how often the network looks, each time where it found the hand before.
        device: where it computes.
        smooth_hz: at the end, remove motion faster than this many hertz; off by default.
    """

    calibration: Path | None = None
    cameras: tuple[str, ...] = ()
    unit_m: float | None = None
    hand_size_mm: float | None = None
    image_rate: float = 30.0
    detector: Path | None = None
    min_confidence: float | None = None
    max_hands: int = 4
    sync: bool = True
    max_offset_s: float = 1.0
    threshold_px: float | None = None
    trust_calibration: bool = False
    shard_frames: int = 240
    network: Path | None = None
    rounds: int = 3
    device: Literal["auto", "cpu", "cuda", "mps"] = "cpu"
    smooth_hz: float | None = None

    def __post_init__(self) -> None:
        for name in ("unit_m", "image_rate", "threshold_px", "smooth_hz", "hand_size_mm"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number, found {value:g}")
        if not 1 <= self.rounds <= 20:
            raise InputError(f"the network looks 1 to 20 times, found {self.rounds} rounds")
        if self.detector is not None and self.network is None:
            raise InputError(
                "a trained detector finds boxes, and MVExoNet the joints in them; give its weights with --network"
            )
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise InputError(f"the confidence threshold must lie between 0 and 1, found {self.min_confidence:g}")
        if not 1 <= self.max_hands <= 16:
            raise InputError(f"the number of hands in a picture must lie between 1 and 16, found {self.max_hands}")
        if not 15 <= self.shard_frames <= 100_000:
            raise InputError(f"a shard must have 15 to 100000 frames, found {self.shard_frames}")
        if not (math.isfinite(self.max_offset_s) and self.max_offset_s >= 0):
            raise InputError(f"the largest delay must be a number of seconds, 0 or more, found {self.max_offset_s:g} s")

    @property
    def threshold(self) -> float:
        """How sure a detector must be of a hand."""
        return least_score(self.min_confidence, self.detector is not None)
