"""How SVEgoNet is trained: the released way, and one for 2 CPU cores."""

from dataclasses import dataclass, replace
from typing import Literal

from handloom.models.internet import InterNetConfig
from handloom.training.options import EgoOptions
from handloom.training.schedule import Schedule


@dataclass(frozen=True)
class EgoRecipe(Schedule):
    """One training of SVEgoNet. The defaults are the toolkit's (its released code), with its augmentation on.

    Attributes:
        frame_step: every so many frames of a recording are trained on.
        augment: turn, shift, scale, mirror and brighten crops, as InterHand2.6M's baseline does. The toolkit defines
            it and does not use it.
        weight_root, weight_hand: of the depth between the wrists, and of which hands there are.
        precision: of the network's arithmetic; the losses are single precision.
    """

    epochs: int = 20
    batch_clips: int = 8
    learning_rate: float = 1e-4
    decay: float = 0.1
    decay_at: tuple[int, ...] | None = (15, 17)
    frame_step: int = 1
    augment: bool = True
    weight_root: float = 1.0
    weight_hand: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class EgoPreset:
    """Shape and recipe."""

    config: InterNetConfig
    recipe: EgoRecipe


PRESETS = {
    "paper": EgoPreset(InterNetConfig(), EgoRecipe()),
    "small": EgoPreset(
        InterNetConfig(
            voxels=32,
            image_px=96,
            backbone="resnet18",
            width=16,
            features=48,
            lateral=True,
            heatmaps="map",
        ),
        EgoRecipe(
            epochs=10,
            batch_clips=32,
            learning_rate=2e-3,
            warm_up_steps=100,
            schedule="cosine",
            weight_decay=0.01,
            max_gradient=10.0,
            frame_step=6,
            weight_root=0.1,
            precision="bfloat16",
        ),
    ),
}
"""`paper`: as published; for a GPU, with `--backbone-weights`. `small`: crops of 96 px, a sixteenth of the backbone's
size without pre-trained weights, and maps in place of volumes; for 2 CPU cores."""


def as_released(preset: EgoPreset) -> EgoPreset:
    """The preset with what the released toolkit does: squares of whole pixels, one hand alone, largest voxels, no
    augmentation."""
    return EgoPreset(
        replace(preset.config, heatmaps="volume", lateral=False, crops="square", other_hand=False),
        replace(preset.recipe, augment=False),
    )


def chosen_preset(options: EgoOptions) -> EgoPreset:
    """The preset with all that is given in the options."""
    preset = PRESETS[options.preset]
    if options.behaviour == "official":
        preset = as_released(preset)
    return replace(preset, recipe=options.applied(preset.recipe, "frame_step"))
