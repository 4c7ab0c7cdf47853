"""How G-HTT is trained: the paper's way, and one for 2 CPU cores."""

from dataclasses import dataclass, field
from typing import Any

from handloom.models.ghtt_pose import PoseBlockConfig
from handloom.models.motion_recogniser import MotionRecogniserConfig
from handloom.models.posegpt import PoseGPTConfig
from handloom.training.ghtt_samples import Disturbance
from handloom.training.schedule import Schedule


@dataclass(frozen=True)
class MotionRecipe(Schedule):
    """One training of a network on motion. The defaults are G-HTT's (section 3.3); P has 80 epochs, A 200.

    Attributes:
        disturbance: of observed motion.
        skip: how often a decoder reads the encoder's tokens beside the latent.
        hide_noun: how often block A is not told the object; the paper always tells it.
        normalise: count features from the training data's mean in its spreads; the paper does not.
        mid_noise: standard deviation of the noise on mid-levels that A reads, in their own standard deviations.
    """

    epochs: int = 80
    batch_clips: int = 256
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    disturbance: Disturbance = field(default_factory=Disturbance)
    skip: float = 0.5
    mid_noise: float = 1.0
    hide_noun: float = 0.0
    normalise: bool = False


@dataclass(frozen=True)
class PosePreset:
    """Shape and recipe of a P block."""

    config: PoseBlockConfig
    recipe: MotionRecipe


@dataclass(frozen=True)
class ActionPreset:
    """Shape and recipe of an A block; its width is that of P."""

    config: dict[str, Any]
    recipe: MotionRecipe


POSE_PRESETS = {
    "paper": PosePreset(PoseBlockConfig(), MotionRecipe()),
    "small": PosePreset(
        PoseBlockConfig(dim=192, heads=6, feedforward=384, layers=3),
        MotionRecipe(
            epochs=30,
            batch_clips=128,
            learning_rate=1e-3,
            warm_up_steps=200,
            schedule="cosine",
            max_gradient=1.0,
            normalise=True,
            disturbance=Disturbance(vary=True, hide=0.15),
        ),
    ),
}
"""`paper`: as published; for a GPU. `small`: a tenth of the width squared, a third of the layers, and hands that go
missing."""

ACTION_PRESETS = {
    "paper": ActionPreset(
        {"label_dim": 512, "heads": 8, "feedforward": 2048, "layers": 9, "steps": 16}, MotionRecipe(200)
    ),
    "small": ActionPreset(
        {"label_dim": 128, "heads": 6, "feedforward": 384, "layers": 2, "steps": 16},
        MotionRecipe(
            epochs=100,
            batch_clips=64,
            learning_rate=1e-3,
            warm_up_steps=100,
            schedule="cosine",
            max_gradient=1.0,
            normalise=True,
            mid_noise=0.3,
            hide_noun=0.3,
        ),
    ),
}


@dataclass(frozen=True)
class PoseGPTPreset:
    """Shapes and recipes of PoseGPT's two networks (as G-HTT's authors compare it)."""

    config: PoseGPTConfig
    codec_recipe: MotionRecipe
    recipe: MotionRecipe


_PLAIN = Disturbance(noise=0.0, shorten=False)
POSEGPT_PRESETS = {
    "paper": PoseGPTPreset(
        PoseGPTConfig(),
        MotionRecipe(epochs=1200, batch_clips=64, learning_rate=5e-5, disturbance=_PLAIN),
        MotionRecipe(epochs=30, batch_clips=64, learning_rate=5e-5, disturbance=_PLAIN),
    ),
    "small": PoseGPTPreset(
        PoseGPTConfig(
            label_dim=128, dim=128, layers=4, codec_dim=128, codec_feedforward=256, codec_layers=2, frames=128
        ),
        MotionRecipe(150, 32, 1e-3, 100, "cosine", max_gradient=1.0, disturbance=_PLAIN, normalise=True),
        MotionRecipe(20, 32, 1e-3, 100, "cosine", max_gradient=1.0, disturbance=_PLAIN, normalise=True),
    ),
}


@dataclass(frozen=True)
class RecogniserPreset:
    """Shape and recipe of the network behind FID (section 4.2, and the released code)."""

    config: MotionRecogniserConfig
    recipe: MotionRecipe


RECOGNISER_PRESETS = {
    "paper": RecogniserPreset(
        MotionRecogniserConfig(()),
        MotionRecipe(epochs=1000, batch_clips=128, learning_rate=3e-5, decay_epochs=400, disturbance=_PLAIN),
    ),
    "small": RecogniserPreset(
        MotionRecogniserConfig((), label_dim=128, dim=96, heads=4, feedforward=192, layers=2),
        MotionRecipe(60, 32, 1e-3, 100, "cosine", max_gradient=1.0, disturbance=_PLAIN, normalise=True),
    ),
}
