"""MS-G3D (Liu et al., CVPR 2020), as Assembly101 and AssemblyHands classify actions with it: two hands as two bodies.

Keys of the state dictionary are those of the released code, so released weights load.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import unfold

from handloom.skeleton import BONES, JOINT_COUNT

PALM_ARCH = ((2, 5), (5, 9), (9, 13), (13, 17))
"""What the released graph has besides the bones: from the thumb along the knuckles."""
_BRANCHES, _DILATIONS = 6, (1, 2, 3, 4)


@dataclass(frozen=True)
class MSG3DConfig:
    """Attributes: number of classes; edges of the graph; scales of the graph in a frame and in a window of frames."""

    classes: int
    edges: tuple[tuple[int, int], ...] = BONES + PALM_ARCH
    scales: int = 13
    window_scales: int = 6
    windows: tuple[int, ...] = (3, 5)
    widths: tuple[int, int, int] = (96, 192, 384)


class MSG3D(nn.Module):
    """Sequences of two hands to scores of classes."""

    def __init__(self, config: MSG3DConfig) -> None:
        super().__init__()
        self.config = config
        binary = np.zeros((JOINT_COUNT, JOINT_COUNT))
        for a, b in config.edges:
            binary[a, b] = binary[b, a] = 1
        self.data_bn = nn.BatchNorm1d(2 * JOINT_COUNT * 3)
        inputs = 3
        for stage, width in enumerate(config.widths, 1):
            stride, inner = (1, width) if stage == 1 else (2, inputs)
            windows = [_WindowGraph(inputs, inner, width, binary, config, w, stride) for w in config.windows]
            setattr(self, f"gcn3d{stage}", _Windows(windows))
            graph = _Graph(inputs, inner, _adjacency(binary, config.scales))
            last = _Temporal(width, width, act=False)
            setattr(self, f"sgcn{stage}", nn.Sequential(graph, _Temporal(inner, width, stride), last))
            setattr(self, f"tcn{stage}", _Temporal(width, width))
            inputs = width
        self.fc = nn.Linear(inputs, config.classes)

    def features(self, hands: Float[Tensor, "N 3 T 21 2"]) -> Float[Tensor, "N features"]:
        """Mean over frames, joints and hands of the last stage."""
        N, C, T, V, M = hands.shape
        x = self.data_bn(hands.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T))
        x = x.reshape(N * M, V, C, T).permute(0, 2, 3, 1)
        for stage in range(1, len(self.config.widths) + 1):
            x = getattr(self, f"sgcn{stage}")(x) + getattr(self, f"gcn3d{stage}")(x)
            x = getattr(self, f"tcn{stage}")(x.relu())
        return x.mean((2, 3)).reshape(N, M, -1).mean(1)

    def forward(self, hands: Float[Tensor, "N 3 T 21 2"]) -> Float[Tensor, "N classes"]:
        """Scores before the softmax."""
        return self.fc(self.features(hands))


def _adjacency(binary: np.ndarray, scales: int) -> Float[Tensor, "rows nodes"]:
    """Matrices of the nodes exactly k steps away, plus the identity, normalised; one above the other."""
    nodes, reach = len(binary), [np.eye(len(binary))]
    for _ in range(1, scales):
        reach.append((reach[-1] @ (binary + np.eye(nodes)) > 0).astype(float))
    matrices = [np.eye(nodes)]
    for before, after in pairwise(reach):
        exact = after - before + np.eye(nodes)
        root = 1 / np.sqrt(exact.sum(1))
        matrices.append(root[:, None] * exact * root)
    return torch.tensor(np.concatenate(matrices), dtype=torch.float32)


class _Mlp(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x.relu()


class _Graph(nn.Module):
    """Neighbours at every distance, each with weights of its own."""

    adjacency: Tensor

    def __init__(self, inputs: int, outputs: int, adjacency: Tensor) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.A_res = nn.Parameter(torch.empty_like(adjacency).uniform_(-1e-6, 1e-6))
        self.scales = len(adjacency) // adjacency.shape[1]
        self.mlp = _Mlp(inputs * self.scales, outputs)

    def forward(self, x: Float[Tensor, "N C T V"]) -> Float[Tensor, "N D T V"]:
        N, C, T, V = x.shape
        gathered = torch.einsum("vu,nctu->nctv", self.adjacency + self.A_res, x)
        return self.mlp(gathered.reshape(N, C, T, self.scales, V).permute(0, 3, 1, 2, 4).reshape(N, -1, T, V))


class _Unfold(nn.Module):
    """Every frame with those beside it, as one graph of W * V nodes."""

    def __init__(self, window: int, stride: int) -> None:
        super().__init__()
        self.window, self.stride = window, stride

    def forward(self, x: Float[Tensor, "N C T V"]) -> Float[Tensor, "N C windows nodes"]:
        N, C, _, V = x.shape
        parts = unfold(x, (self.window, 1), padding=(self.window // 2, 0), stride=(self.stride, 1))
        return parts.reshape(N, C, self.window, -1, V).transpose(2, 3).reshape(N, C, -1, self.window * V)


class _WindowGraph(nn.Module):
    """The graph of a window of frames, collapsed to its middle frame."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, binary: np.ndarray, config: MSG3DConfig, window: int, stride: int
    ) -> None:
        super().__init__()
        tiled = np.tile(binary + np.eye(len(binary)), (window, window))
        graph = _Graph(inputs, inner, _adjacency(tiled, config.window_scales))
        self.gcn3d = nn.Sequential(_Unfold(window, stride), graph)
        self.out_conv = nn.Conv3d(inner, outputs, (1, window, 1))
        self.out_bn = nn.BatchNorm2d(outputs)
        self.window = window

    def forward(self, x: Float[Tensor, "N C T V"]) -> Float[Tensor, "N D S V"]:
        N, _, _, V = x.shape
        y = self.gcn3d(x)
        return self.out_bn(self.out_conv(y.reshape(N, y.shape[1], -1, self.window, V)).squeeze(3))


class _Windows(nn.Module):
    def __init__(self, windows: Sequence[nn.Module]) -> None:
        super().__init__()
        self.gcn3d = nn.ModuleList(windows)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([window(x) for window in self.gcn3d]).sum(0)


class _Convolution(nn.Module):
    """Over frames, with norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class _Temporal(nn.Module):
    """Six branches over frames: four dilations, a pool, and a plain one; beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, act: bool = True) -> None:
        super().__init__()
        width = outputs // _BRANCHES
        squeeze = [[nn.Conv2d(inputs, width, 1), nn.BatchNorm2d(width), nn.ReLU()] for _ in range(_BRANCHES - 1)]
        convolutions = [_Convolution(width, width, 3, stride, dilation) for dilation in _DILATIONS]
        pool = [nn.MaxPool2d((3, 1), (stride, 1), (1, 0)), nn.BatchNorm2d(width)]
        self.branches = nn.ModuleList(nn.Sequential(*head, last) for head, last in zip(squeeze, convolutions))
        self.branches.append(nn.Sequential(*squeeze[-1], *pool))
        self.branches.append(nn.Sequential(nn.Conv2d(inputs, width, 1, (stride, 1)), nn.BatchNorm2d(width)))
        same = inputs == outputs and stride == 1
        self.residual = nn.Identity() if same else _Convolution(inputs, outputs, 1, stride)
        self.act = act

    def forward(self, x: Float[Tensor, "N C T V"]) -> Float[Tensor, "N D S V"]:
        y = torch.cat([branch(x) for branch in self.branches], 1) + self.residual(x)
        return y.relu() if self.act else y
