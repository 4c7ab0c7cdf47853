"""One way to compute HTT, in a process of its own: warmed up, timed once, with its peak memory.

`python -m handloom.benchmarks.htt_ways WAY FOLDER` reads FOLDER/weights and FOLDER/clip.npy, writes FOLDER/WAY.npz with
the outputs and prints {"seconds", "peak_mb"}.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from handloom.estimators.htt_network import HTTNetwork
from handloom.estimators.htt_onnx import OnnxHTT
from handloom.estimators.htt_torch import TorchHTT
from handloom.formats.weights import load_pretrained
from handloom.geometry import Pinhole
from handloom.models.clip_features import clip_features
from handloom.models.htt import HTT, HTTConfig
from handloom.models.resnet import BasicBlock, ResNet

Outputs = dict[str, np.ndarray]


def plain_features(model: HTT, images: UInt8[Tensor, "N 3 H W"]) -> Float[Tensor, "N width"]:
    """The backbone (ResNet-18 or 34) as everyone writes it first: all pictures at once, norms by themselves."""
    net = model.backbone
    assert isinstance(net, ResNet)
    x = net.maxpool(torch.relu(net.bn1(net.conv1(images.float() / 255 - 0.5))))
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        for block in stage:
            assert isinstance(block, BasicBlock)
            y = torch.relu(block.bn1(block.conv1(x)))
            y = block.bn2(block.conv2(y))
            x = torch.relu(y + (x if block.downsample is None else block.downsample(x)))
    features: Tensor = x.mean(3).mean(2)
    return features


def _plain_forward(folder: Path, clip: np.ndarray) -> Callable[[], Outputs]:
    model, images, valid, K = _loaded(folder, clip)

    @torch.inference_mode()
    def run() -> Outputs:
        output = model.from_features(plain_features(model, images)[None], valid, K)
        return {
            "joints_m": output.joints_m.numpy(),
            "objects": output.object_logits.softmax(-1).numpy(),
            "action": output.action_logits.softmax(-1).numpy(),
        }

    return run


def _network(network: HTTNetwork, clip: np.ndarray) -> Callable[[], Outputs]:
    valid, K = np.ones((1, len(clip)), np.bool_), _intrinsics(network.layout.image_size)

    def run() -> Outputs:
        poses = network.poses(network.features(clip)[None], valid, K)
        action = network.action(poses.tokens, valid)
        return {"joints_m": poses.joints_m, "objects": poses.object_probabilities, "action": action}

    return run


def _step(folder: Path, clip: np.ndarray, features: Callable[[HTT, Tensor], Tensor]) -> Callable[[], Outputs]:
    """Forward, backward and Adam on one clip; labels are made up."""
    model, images, valid, K = _loaded(folder, clip)
    adam = torch.optim.Adam(model.parameters(), lr=3e-5)

    def run() -> Outputs:
        output = model.from_features(features(model, images)[None], valid, K)
        objects = torch.zeros(len(images), dtype=torch.long)
        loss = output.keypoints_px.abs().mean() + 100 * output.depth_m.mean()
        loss = loss + torch.nn.functional.cross_entropy(output.object_logits[0], objects)
        loss = loss + torch.nn.functional.cross_entropy(output.action_logits, objects[:1])
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        return {"loss": loss.detach().numpy()}

    return run


def _half_features(recompute: bool) -> Callable[[HTT, Tensor], Tensor]:
    def features(model: HTT, images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return clip_features(model, images, recompute=recompute).float()

    return features


WAYS: dict[str, Callable[[Path, np.ndarray], Callable[[], Outputs]]] = {
    "plain": _plain_forward,
    "float32": lambda folder, clip: _network(TorchHTT.load(folder / "weights", "cpu", "float32"), clip),
    "bfloat16": lambda folder, clip: _network(TorchHTT.load(folder / "weights", "cpu", "bfloat16"), clip),
    "int8": lambda folder, clip: _network(OnnxHTT(folder / "int8.onnx"), clip),
    "plain_step": lambda folder, clip: _step(folder, clip, plain_features),
    "step": lambda folder, clip: _step(folder, clip, _half_features(recompute=False)),
    "recomputing_step": lambda folder, clip: _step(folder, clip, _half_features(recompute=True)),
}


def _loaded(folder: Path, clip: np.ndarray) -> tuple[HTT, Tensor, Tensor, Tensor]:
    model = load_pretrained(HTT, HTTConfig, folder / "weights")
    images = torch.from_numpy(clip).permute(0, 3, 1, 2).contiguous()
    K = torch.tensor(_intrinsics(model.config.image_size), dtype=torch.float32)[None]
    return model, images, torch.ones(1, len(clip), dtype=torch.bool), K


def _intrinsics(size: tuple[int, int]) -> np.ndarray:
    return Pinhole.from_fov(*size, 90).matrix


def main(way: str, folder: Path) -> None:
    """Time one way."""
    torch.manual_seed(0)
    run = WAYS[way](folder, np.load(folder / "clip.npy"))
    run()
    start = time.perf_counter()
    outputs = run()
    seconds = time.perf_counter() - start
    np.savez(folder / f"{way}.npz", allow_pickle=False, **outputs)
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Most memory that this process has held, in MB.

    Linux counts the parent's in `getrusage` where a process was started by vfork, so it is asked elsewhere.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
