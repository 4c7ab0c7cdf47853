"""How to train, one dataclass for each network: arguments of the functions that train, and flags of `handloom train`.

Nothing here needs torch, so that the command line can tell its flags without.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from handloom.errors import InputError
from handloom.estimators.htt_network import Device
from handloom.progress import Progress, silent
from handloom.training.schedule import Schedule

if TYPE_CHECKING:
    from handloom.training.processes import Processes

Recipe = TypeVar("Recipe", bound=Schedule)


@dataclass(frozen=True)
class LoopOptions:
    """How a stage is carried out; nothing here changes what comes out.

    Attributes:
        workers: processes that load pictures.
        checkpoint_minutes: between two checkpoints.
        stop_after_steps: end early, as if killed; the next run goes on there.
        should_stop: asked after every step; True ends the stage with a checkpoint.
        progress: told of every step.
    """

    workers: int = 0
    checkpoint_minutes: float = 5.0
    stop_after_steps: int | None = None
    should_stop: Callable[[], bool] = lambda: False
    progress: Progress = silent


@dataclass(frozen=True)
class RunOptions:
    """How to train.

    Attributes:
        preset: paper, as published, for a GPU; or small, for 2 CPU cores.
        split: of the stores, that is trained on.
        seed: of all chance.
        epochs: passes over all that is trained on, instead of the preset's; of each network, where there are several.
        batch_clips: clips (or hands, pictures, segments, windows) of a step, over all processes, instead of the
            preset's.
        learning_rate: at the start, instead of the preset's.
        device: where to compute; auto is CUDA, else MPS, else the CPU.
        checkpoint_minutes: time between two checkpoints.
        max_steps: end after so many steps, as if interrupted.
    """

    preset: Literal["paper", "small"] = "small"
    split: str = "train"
    seed: int = 0
    epochs: int | None = None
    batch_clips: int | None = None
    learning_rate: float | None = None
    device: Device = "auto"
    checkpoint_minutes: float = 5.0
    max_steps: int | None = None

    def __post_init__(self) -> None:
        least = {"seed": 0, "epochs": 1, "batch_clips": 1, "max_steps": 1, "frame_step": 1, "workers": 0}
        for name, value in least.items():
            found = getattr(self, name, None)
            if found is not None and found < value:
                raise InputError(f"--{name.replace('_', '-')} is at least {value}, found {found}")
        if self.seed >= 2**63:
            raise InputError(f"--seed is less than 2 to the power of 63, found {self.seed}")
        if self.learning_rate is not None and not (self.learning_rate > 0 and isfinite(self.learning_rate)):
            raise InputError(f"--learning-rate is a positive number, found {self.learning_rate}")
        if not (self.checkpoint_minutes >= 0 and isfinite(self.checkpoint_minutes)):
            raise InputError(f"--checkpoint-minutes is a number, not below 0, found {self.checkpoint_minutes}")

    def applied(self, recipe: Recipe, *more: str) -> Recipe:
        """The recipe with what is given here, `more` naming what else may be."""
        given = {name: getattr(self, name) for name in ("epochs", "batch_clips", "learning_rate", *more)}
        return replace(recipe, **{name: value for name, value in given.items() if value is not None})

    def loop(
        self, shared: "Processes", progress: Progress, should_stop: Callable[[], bool], workers: int = 0
    ) -> LoopOptions:
        """How the loop is carried out; the leading process alone tells of its progress."""
        told = progress if shared.leads else silent
        return LoopOptions(workers, self.checkpoint_minutes, self.max_steps, should_stop, told)

    def about(self, config: Any, recipe: Schedule, data: dict[str, Any], shared: "Processes") -> dict[str, Any]:
        """All that the weights of a training depend on."""
        return {
            "model": asdict(config),
            "recipe": asdict(recipe),
            "data": data,
            "seed": self.seed,
            "processes": shared.count,
        }


@dataclass(frozen=True)
class HTTOptions(RunOptions):
    """How to train HTT.

    Attributes:
        preset: paper, as published, for a GPU and with backbone weights; or small, for 2 CPU cores and without.
        camera: whose pictures; by default the only camera, or H2O's on the head.
        behaviour: of the released code, or of the paper where the two differ.
        backbone_weights: ImageNet weights of the ResNet in torchvision's layout (.pth, .safetensors).
        backbone_from: folder of weights of a trained HTT, or of G-HTT's image estimator, whose backbone is frozen and
            used; only the preset's last stage is trained.
        start_from: folder of weights of a trained HTT to go on from, on other recordings or classes, as far as they
            fit; all stages are trained.
        features: folder for the features of frozen backbones, which several runs may share; by default in the run.
        epochs: of every stage, instead of the preset's.
        precision: of every stage, instead of the preset's.
        workers: processes that load pictures.
    """

    camera: str | None = None
    behaviour: Literal["official", "paper"] = "official"
    backbone_weights: Path | None = None
    backbone_from: Path | None = None
    start_from: Path | None = None
    features: Path | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    workers: int = 1

    @property
    def start(self) -> Path | None:
        """Weights of a trained HTT that the first stage takes over."""
        return self.backbone_from or self.start_from


@dataclass(frozen=True)
class ImageOptions(RunOptions):
    """How to train G-HTT's image estimator F, and E^PO on what it says.

    Attributes:
        preset: paper, for a GPU and with backbone weights; or small, for 2 CPU cores and without.
        cameras: whose pictures, all at once; by default all cameras that are pinholes.
        labels: table of text embeddings of the objects (.npz with names and vectors, or .json), CLIP's say; or text,
            for those of the small language model in the extra [text]; by default random directions.
        backbone_weights: ImageNet weights of the ResNet in torchvision's layout (.pth, .safetensors).
        batch_clips: clips of 4 frames in a step of F, over all processes, instead of the preset's.
        learning_rate: of F, instead of the preset's.
        workers: processes that load pictures.
    """

    cameras: tuple[str, ...] = ()
    labels: Path | None = None
    backbone_weights: Path | None = None
    workers: int = 1


@dataclass(frozen=True)
class HandDetectorOptions(RunOptions):
    """How to train a detector of hands.

    Attributes:
        preset: paper (EfficientNet-B0, 512 px), for a GPU; or small (192 px), for 2 CPU cores.
        cameras: whose pictures; by default all.
        pictures: folder for the scaled pictures, which several runs may share; by default in the run.
        frame_step: train on every so many frames of a recording, instead of the preset's.
    """

    cameras: tuple[str, ...] = ()
    pictures: Path | None = None
    frame_step: int | None = None


@dataclass(frozen=True)
class EgoOptions(RunOptions):
    """How to train SVEgoNet.

    Attributes:
        preset: paper (ResNet-50, 256 px), for a GPU; or small, for 2 CPU cores.
        behaviour: of the paper, with crop cameras that take any lens, both hands of a crop, and augmentation; or of the
            released toolkit, on rectified pictures.
        cameras: whose pictures; by default all that move.
        crops: folder for the crops, which several runs may share; by default in the run.
        backbone_weights: ImageNet weights of the ResNet in torchvision's layout (.pth, .safetensors).
        frame_step: train on every so many frames of a recording, instead of the preset's.
    """

    behaviour: Literal["paper", "official"] = "paper"
    cameras: tuple[str, ...] = ()
    crops: Path | None = None
    backbone_weights: Path | None = None
    frame_step: int | None = None


@dataclass(frozen=True)
class MVExoNetOptions(RunOptions):
    """How to train MVExoNet.

    Attributes:
        cameras: names of those whose pictures are used; by default all.
        crops: folder for the hands that are cut once, which several runs may share; by default in the run.
        precision: of the network, instead of the preset's.
    """

    cameras: tuple[str, ...] = ()
    crops: Path | None = None
    precision: Literal["float32", "bfloat16"] | None = None
