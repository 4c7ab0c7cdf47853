"""HTT computed by PyTorch."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from handloom.errors import InputError
from handloom.estimators.htt_network import Device, HTTLayout, HTTPoses, Precision
from handloom.formats.weights import load_pretrained
from handloom.models.folded_resnet import FoldedResNet
from handloom.models.htt import HTT, HTTConfig
from handloom.models.picture_hands import picture_features

ON_CPU, ELSEWHERE = 3, 64
"""Pictures that go through the backbone together: on a CPU so few that their maps stay in its cache."""


class TorchHTT:
    """A network on a device. bfloat16 is used for the backbone alone, where the time goes.

    Args:
        model: the network; it is put on the device and into evaluation mode.
        device: where to compute.
        precision: of the backbone; "auto" is bfloat16 where the processor has it.

    Raises:
        InputError: there is no such device.
    """

    def __init__(self, model: HTT, device: Device = "auto", precision: Precision = "auto") -> None:
        self._device = choose_device(device)
        self._half = precision == "bfloat16" or (precision == "auto" and has_bfloat16(self._device))
        self._model = model.to(self._device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self._backbone = FoldedResNet(self._model.backbone, torch.bfloat16 if self._half else torch.float32)
        if self._device.type == "cpu":
            _keep_freed_memory()
        self.layout = HTTLayout.of(model.config)
        self.name = f"htt (torch {torch.__version__}, {self._device.type}, {'bfloat16' if self._half else 'float32'})"

    @classmethod
    def load(cls, folder: Path, device: Device = "auto", precision: Precision = "auto") -> "TorchHTT":
        """The network of a folder of weights. Raises InputError."""
        return cls(load_pretrained(HTT, HTTConfig, folder), device, precision)

    @torch.inference_mode()
    def features(self, pictures: UInt8[np.ndarray, "N H W 3"]) -> Float[np.ndarray, "N width"]:
        """See `HTTNetwork`."""
        parts, chunk = [], ON_CPU if self._device.type == "cpu" else ELSEWHERE
        for start in range(0, len(pictures), chunk):
            part = torch.from_numpy(pictures[start : start + chunk]).to(self._device).permute(0, 3, 1, 2)
            parts.append(picture_features(self._backbone, part).cpu().numpy())
        return np.concatenate(parts)

    @torch.inference_mode()
    def poses(
        self,
        features: Float[np.ndarray, "B T width"],
        valid: Bool[np.ndarray, "B T"],
        intrinsics: Float[np.ndarray, "3 3"],
    ) -> HTTPoses:
        """See `HTTNetwork`."""
        model = self._model
        K = torch.tensor(intrinsics, dtype=torch.float32, device=self._device).expand(len(features), 3, 3)
        reduced = model.reduce(self._tensor(features))
        pose = model.estimate_poses(reduced, self._tensor(valid))
        keypoints, _, joints = model.decode(pose.raw, K)
        found = (keypoints, joints, pose.object_logits.softmax(-1), model.action_input(reduced, pose))
        return HTTPoses(*(tensor.cpu().numpy() for tensor in found))

    @torch.inference_mode()
    def action(
        self, tokens: Float[np.ndarray, "B T dim"], valid: Bool[np.ndarray, "B T"]
    ) -> Float[np.ndarray, "B actions"]:
        """See `HTTNetwork`."""
        logits = self._model.recognise(self._tensor(tokens), self._tensor(valid))
        return np.asarray(logits.softmax(-1).cpu().numpy())

    @torch.inference_mode()
    def attention(
        self, features: Float[np.ndarray, "B T width"], valid: Bool[np.ndarray, "B T"]
    ) -> tuple[Float[np.ndarray, "layers B windows t t"], Float[np.ndarray, "layers B T"]]:
        """See `HTT.attention`."""
        windows, of_token = self._model.attention(self._tensor(features), self._tensor(valid))
        return windows.cpu().numpy(), of_token.cpu().numpy()

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _keep_freed_memory() -> None:
    """Have glibc keep the memory of freed maps for the next ones, which saves a tenth of the time.

    It gives blocks back to the system, to be zeroed page by page when they are needed again, if they are larger than
    the largest that it has seen freed; of those that count for that, none is larger than 32 MB.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def choose_device(device: Device) -> torch.device:
    """CUDA, else MPS, else CPU, unless the user names one. Raises InputError: there is none such."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device != "auto" and not there[device]:
        raise InputError(
            f"there is no device {device!r} here; use one of: auto, {', '.join(k for k in there if there[k])}"
        )
    return torch.device(next(name for name in there if there[name]) if device == "auto" else device)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 itself; where it only imitates that, float32 is faster."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        asked = (getattr(torch.cpu, f"_is_{kind}_supported", None) for kind in ("avx512_bf16", "amx_tile"))
        return any(bool(ask()) for ask in asked if ask is not None)
    return False
