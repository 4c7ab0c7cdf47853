"""How the detector of hands is trained."""

from dataclasses import dataclass
from typing import Literal

from handloom.models.hand_detector import HandDetectorConfig
from handloom.training.schedule import Schedule


@dataclass(frozen=True)
class HandDetectorRecipe(Schedule):
    """One training; a clip is a picture.

    Attributes:
        frame_step: every so many frames of a recording are trained on.
        zoom: pictures become larger or smaller by up to this factor.
        shift: they move by up to this share of their longer side.
        colours: see `mvexonet_samples.coloured`.
        weight_boxes: of the boxes' loss.
        precision: of the network's arithmetic; the losses are single precision.
    """

    epochs: int = 40
    batch_clips: int = 32
    learning_rate: float = 1e-3
    warm_up_steps: int = 500
    schedule: Literal["steps", "cosine"] = "cosine"
    weight_decay: float = 0.01
    max_gradient: float | None = 10.0
    frame_step: int = 1
    zoom: float = 1.4
    shift: float = 0.2
    colours: float = 0.25
    weight_boxes: float = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"


@dataclass(frozen=True)
class HandDetectorPreset:
    """Shape and recipe."""

    config: HandDetectorConfig
    recipe: HandDetectorRecipe


HAND_DETECTOR_PRESETS = {
    "paper": HandDetectorPreset(HandDetectorConfig(), HandDetectorRecipe()),
    "small": HandDetectorPreset(
        HandDetectorConfig(
            long_side_px=192,
            features=32,
            stem=16,
            stages=((1, 3, 2, 16, 1), (3, 3, 2, 24, 2), (3, 5, 2, 40, 2), (3, 3, 2, 64, 2)),
        ),
        HandDetectorRecipe(
            epochs=7,
            batch_clips=8,
            learning_rate=3e-3,
            warm_up_steps=100,
            precision="float32",
        ),
    ),
}
"""`paper`: EfficientNet-B0 on pictures of 512 pixels, for a GPU. `small`: 192 pixels, a fortieth of the weights, for 2
CPU cores."""
