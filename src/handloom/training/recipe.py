"""How HTT is trained: one dataclass, and the presets that a user can name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from handloom.models.htt import HTTConfig
from handloom.training.schedule import Schedule

BatchNorm = Literal["statistics frozen", "frozen", "trained"]
"""The released code freezes the running statistics and trains the affine weights; the paper freezes both; a backbone
without pre-trained weights must train both."""


@dataclass(frozen=True)
class PictureRecipe(Schedule):
    """One stage of training of a network that sees pictures. The defaults are HTT's (section 3.4, and its code).

    Attributes:
        weight_keypoints, weight_depth, weight_from_wrist, weight_object: of the losses (px and metres).
        batch_norm: what of the backbone's normalisation is trained.
        freeze_backbone: train on features that are computed once.
        augment: change colours, blur and position of pictures.
        mirror: share of the augmented clips that are shown as in a mirror, if the network knows both hands.
        exchange: share of the clips whose hands are put into the surroundings of another clip.
        precision: of the network's arithmetic; the losses are single precision.
    """

    weight_keypoints: float = 1.0
    weight_depth: float = 100.0
    weight_from_wrist: float = 0.0
    weight_object: float = 1.0
    batch_norm: BatchNorm = "statistics frozen"
    freeze_backbone: bool = False
    augment: bool = True
    mirror: float = 0.0
    exchange: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class Recipe(PictureRecipe):
    """One stage of training HTT.

    Attributes:
        clip_starts: a video is cut into clips from each of its first so many frames of the spaced sequence on; None
            for block P's t, so that every frame comes up at every place of a window.
        weight_action: of the loss.
        clip_mean: every clip counts the same (eq. 8), not every frame of the batch.
        augmentations: variants of every recording whose features are computed for a frozen backbone; 0 for the plain
            pictures alone.
    """

    clip_starts: int | None = None
    weight_action: float = 1.0
    clip_mean: bool = False
    augmentations: int = 0


@dataclass(frozen=True)
class Stage:
    """A recipe, and what it changes about the network that is trained.

    Attributes:
        name: of its folder in the run.
        recipe: how it is trained.
        config: makes the stage's config of the final one.
    """

    name: str
    recipe: Recipe
    config: Callable[[HTTConfig], HTTConfig] = lambda config: config


@dataclass(frozen=True)
class Preset:
    """A network and the stages in which it is trained; each starts from the weights of the one before that fit."""

    config: Callable[[HTTConfig], HTTConfig]
    stages: tuple[Stage, ...]


def _small(config: HTTConfig) -> HTTConfig:
    return replace(
        config,
        image_size=(240, 136),
        backbone_width=16,
        pooling="grid",
        dim=256,
        feedforward=512,
        # Half the picture: the same numbers out of the heads.
        pixel_scale=config.pixel_scale / 2,
        depth_scale=config.depth_scale * 2,
    )


def _single_frames(config: HTTConfig) -> HTTConfig:
    """Frames far apart, each estimated alone: what teaches a backbone most per picture."""
    return replace(config, pose_window=1, clip_frames=4, spacing=8)


_SMALL_FRAMES = Recipe(
    epochs=5,
    batch_clips=16,
    learning_rate=2e-3,
    warm_up_steps=100,
    schedule="cosine",
    weight_decay=0.05,
    weight_from_wrist=300.0,
    weight_object=10.0,
    weight_action=2.0,
    batch_norm="trained",
    mirror=0.5,
    exchange=0.25,
    precision="bfloat16",
    max_gradient=100.0,
)
_SMALL_CLIPS = Recipe(
    steps=3000,
    batch_clips=16,
    clip_starts=4,
    learning_rate=5e-4,
    warm_up_steps=100,
    schedule="cosine",
    weight_decay=0.05,
    weight_from_wrist=300.0,
    weight_object=10.0,
    weight_action=20.0,
    freeze_backbone=True,
    augmentations=2,
    mirror=0.5,
    max_gradient=100.0,
)

PRESETS = {
    "paper": Preset(lambda config: config, (Stage("clips", Recipe()),)),
    "small": Preset(
        _small,
        (
            Stage("frames", _SMALL_FRAMES, _single_frames),
            Stage("clips", _SMALL_CLIPS),
        ),
    ),
}
"""`paper`: as published; for a GPU, with `--backbone-weights`. `small`: a quarter of the pixels and of the channels, no
pre-trained weights: first the backbone on single frames, then both blocks on its frozen features; for 2 CPU cores."""
