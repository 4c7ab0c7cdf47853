"""How G-HTT's image estimator F and object aggregator E^PO are trained. The paper leaves that to a supplement which is
not public; `paper` takes HTT's recipe for F, whose network and losses it shares, and G-HTT's for E^PO."""

from dataclasses import dataclass
from typing import Any

from handloom.training.recipe import PictureRecipe
from handloom.training.schedule import Schedule


@dataclass(frozen=True)
class ImageRecipe(PictureRecipe):
    """One training of F.

    Attributes:
        weight_contrast: of the contrastive cross-entropy of object features; `weight_object` is that of their distance.
        frames, spacing: of the clips that are loaded at once: single frames, but neighbours in a file load faster.
    """

    weight_contrast: float = 1.0
    frames: int = 4
    spacing: int = 8


@dataclass(frozen=True)
class AggregatorRecipe(Schedule):
    """One training of E^PO on F's features.

    Attributes:
        noise: standard deviation of what is added to the features.
        most_clips: that F is asked for, evenly chosen; None for all.
    """

    noise: float = 0.01
    most_clips: int | None = None


@dataclass(frozen=True)
class ImagePreset:
    """Shape and recipes."""

    config: dict[str, Any]
    recipe: ImageRecipe
    aggregator: AggregatorRecipe


PRESETS = {
    "paper": ImagePreset({}, ImageRecipe(batch_clips=16), AggregatorRecipe(80, 256, 1e-4, weight_decay=0.01)),
    "small": ImagePreset(
        {
            "label_dim": 128,
            "image_size": (240, 136),
            "backbone_width": 16,
            "pooling": "grid",
            "dim": 256,
            # Half the picture: the same numbers out of the heads.
            "pixel_scale": 50.0,
            "depth_scale": 2e-4,
            "heads": 4,
            "feedforward": 256,
        },
        ImageRecipe(
            epochs=5,
            batch_clips=16,
            learning_rate=2e-3,
            warm_up_steps=100,
            schedule="cosine",
            weight_decay=0.05,
            weight_from_wrist=300.0,
            weight_contrast=10.0,
            batch_norm="trained",
            mirror=0.5,
            exchange=0.25,
            precision="bfloat16",
            max_gradient=100.0,
        ),
        AggregatorRecipe(
            epochs=20, batch_clips=64, learning_rate=5e-4, schedule="cosine", weight_decay=0.01, most_clips=1024
        ),
    ),
}
"""`paper`: for a GPU, with `--backbone-weights`. `small`: a quarter of the pixels and of the channels, a grid over the
last map, no pre-trained weights; for 2 CPU cores."""
