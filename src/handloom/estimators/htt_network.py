"""A trained HTT, whatever computes it: its layout, and its three steps on NumPy arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from handloom.errors import InputError, MissingDependencyError
from handloom.skeleton import HANDS

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class HTTLayout:
    """What one must know of an HTT to use it; a part of `models.htt.HTTConfig`, which explains the fields."""

    actions: tuple[str, ...]
    objects: tuple[str, ...]
    hands: tuple[str, ...]
    image_size: tuple[int, int]
    pose_window: int
    clip_frames: int
    spacing: int

    @classmethod
    def of(cls, config: Any) -> "HTTLayout":
        """The layout of an `HTTConfig`, or of the same as a dictionary. Raises KeyError, TypeError, ValueError."""
        get = config.__getitem__ if isinstance(config, dict) else lambda name: getattr(config, name)
        layout = cls(
            actions=tuple(get("actions")),
            objects=tuple(get("objects")),
            hands=tuple(get("hands")),
            image_size=tuple(get("image_size")),
            pose_window=int(get("pose_window")),
            clip_frames=int(get("clip_frames")),
            spacing=int(get("spacing")),
        )
        if not set(layout.hands) <= set(HANDS) or len(layout.image_size) != 2 or not layout.actions:
            raise ValueError("it is no layout of an HTT")
        return layout


class HTTPoses(NamedTuple):
    """What block P says of B sequences of T frames; `tokens` is what block A reads."""

    keypoints_px: Float[np.ndarray, "B T hands 21 2"]
    joints_m: Float[np.ndarray, "B T hands 21 3"]
    object_probabilities: Float[np.ndarray, "B T objects"]
    tokens: Float[np.ndarray, "B T dim"]


@runtime_checkable
class HTTNetwork(Protocol):
    """The three steps. What follows the features costs little."""

    @property
    def layout(self) -> HTTLayout:
        """What one must know to use it."""

    @property
    def name(self) -> str:
        """The network and what computes it, for records."""

    def features(self, pictures: UInt8[np.ndarray, "N H W 3"]) -> Float[np.ndarray, "N width"]:
        """Of RGB pictures of the layout's size."""

    def poses(
        self,
        features: Float[np.ndarray, "B T width"],
        valid: Bool[np.ndarray, "B T"],
        intrinsics: Float[np.ndarray, "3 3"],
    ) -> HTTPoses:
        """Windows of `pose_window` frames are cut from the start of each sequence, which may have any length."""

    def action(
        self, tokens: Float[np.ndarray, "B T dim"], valid: Bool[np.ndarray, "B T"]
    ) -> Float[np.ndarray, "B actions"]:
        """Probabilities of the action of clips of at most `clip_frames` frames."""


def load_network(weights: Path, device: Device = "auto", precision: Precision = "auto") -> HTTNetwork:
    """A trained HTT from a folder of weights (needs torch) or an exported ONNX file (needs onnxruntime).

    Raises:
        InputError: missing, damaged, or not HTT's; a device that is not there.
        MissingDependencyError: the package that computes it is not installed.
    """
    if not weights.exists():
        raise InputError(f"{weights} does not exist; give a folder with weights, or an exported .onnx file")
    if weights.suffix == ".onnx":
        try:
            from handloom.estimators.htt_onnx import OnnxHTT
        except ImportError as failure:
            raise MissingDependencyError(
                f"{weights.name} needs onnxruntime, which cannot be imported ({failure}); "
                "install it with: pip install '.[onnx]' in a clone of Handloom"
            ) from failure
        if device not in ("auto", "cpu") or precision == "bfloat16":
            raise InputError("an exported .onnx file runs on the CPU in its own precision; leave out device, precision")
        return OnnxHTT(weights)
    if weights.is_file():
        raise InputError(
            f"{weights} is a file; give a folder with weights or an exported .onnx file. The authors' checkpoints "
            "become a folder with: handloom import-weights htt CKPT.pth --out DIR"
        )
    try:
        from handloom.estimators.htt_torch import TorchHTT
    except ImportError as failure:
        raise MissingDependencyError(
            f"the estimator htt needs torch, which cannot be imported ({failure}); "
            "install it with: pip install '.[torch]' in a clone of Handloom"
        ) from failure
    return TorchHTT.load(weights, device, precision)
