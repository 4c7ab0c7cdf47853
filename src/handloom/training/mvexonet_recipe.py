"""How MVExoNet is trained; the paper tells the jitter of the root and the expanded boxes, the rest is ours."""

from dataclasses import dataclass
from typing import Literal

from handloom.models.mvexonet import MVExoNetConfig
from handloom.training.schedule import Schedule


@dataclass(frozen=True)
class MVExoNetRecipe(Schedule):
    """One training.

    Attributes:
        most_views: of a sample; if a hand has more, some are left out by chance.
        least_views: as few as are left by chance.
        root_m: standard deviation of the volume's middle about the true knuckle, on each axis.
        box_shift, box_scale: how boxes are off, see `disturbed`.
        turn_deg: standard deviation of the volume's turn against the true palm's, about each axis.
        turn_any: share of volumes that are turned any way: the joints before may be wrong.
        later: share of samples as in later rounds, where box, middle and turn are off by `later_error` of the above.
        colours: share by which brightness, contrast and each channel change, and of pictures that turn grey.
        weight_joints: of the mean distance on an axis, per millimetre.
        weight_volume: of the cross-entropy of the voxels.
        weight_heatmaps: of the cross-entropy of each view's own heatmap.
        weight_algebraic: of the triangulated joints' distance, per millimetre.
        precision: of the network's arithmetic; the losses are single precision.
    """

    epochs: int = 20
    batch_clips: int = 16
    learning_rate: float = 1e-3
    warm_up_steps: int = 500
    schedule: Literal["steps", "cosine"] = "cosine"
    weight_decay: float = 0.01
    max_gradient: float | None = 5.0
    most_views: int = 8
    least_views: int = 3
    root_m: float = 0.015
    box_shift: float = 0.1
    box_scale: float = 0.18
    turn_deg: float = 12.0
    turn_any: float = 0.05
    later: float = 0.6
    later_error: float = 0.35
    colours: float = 0.2
    weight_joints: float = 0.1
    weight_volume: float = 0.5
    weight_heatmaps: float = 1.0
    weight_algebraic: float = 0.02
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class MVExoNetPreset:
    """Shape and recipe; `kept_px` is the side of the pictures of hands that are kept to be cut again."""

    config: MVExoNetConfig
    recipe: MVExoNetRecipe
    kept_px: int


MVEXONET_PRESETS = {
    "paper": MVExoNetPreset(MVExoNetConfig(), MVExoNetRecipe(), 448),
    "small": MVExoNetPreset(
        MVExoNetConfig(
            crop_size=64,
            voxels=24,
            stem=16,
            stages=((1, 3, 1, 16, 1), (4, 3, 2, 24, 2), (4, 5, 2, 40, 2), (4, 3, 2, 64, 2)),
            kernel=3,
            widths=(16, 32, 64, 64),
            residuals=1,
        ),
        MVExoNetRecipe(
            epochs=12,
            batch_clips=8,
            learning_rate=2e-3,
            warm_up_steps=100,
            most_views=6,
            precision="bfloat16",
        ),
        112,
    ),
}
"""`paper`: EfficientNet-B0 on crops of 256 pixels and 64 voxels a side, for a GPU. `small`: crops of 64 pixels and 24
voxels a side, for 2 CPU cores."""
