"""V2V (Moon et al., CVPR 2018) in the shape of Learnable Triangulation (Iskakov et al., ICCV 2019): volumes to volumes.

Keys of the state dictionary are those of the released code, so released weights load.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool3d


@dataclass(frozen=True)
class V2VShape:
    """How large the network is; by default as released.

    Attributes:
        front: channels after the first convolution.
        kernel: of the first convolution.
        widths: channels at full resolution, and after each halving of the volume.
        residuals: blocks at full resolution before the encoder.
    """

    front: int = 16
    kernel: int = 7
    widths: tuple[int, ...] = (32, 64, 128, 128, 128, 128)
    residuals: int = 3

    @property
    def divisor(self) -> int:
        """Sides of volumes are multiples of it."""
        return int(2 ** (len(self.widths) - 1))


RELEASED = V2VShape()


class V2V(nn.Module):
    """A volume whose sides are multiples of `shape.divisor` to one of the same size, one channel per joint."""

    def __init__(self, inputs: int, outputs: int, shape: V2VShape = RELEASED) -> None:
        super().__init__()
        width = shape.widths[0]
        residual = [Residual3D(shape.front if k == 0 else width, width) for k in range(shape.residuals)]
        self.front_layers = nn.Sequential(Block3D(inputs, shape.front, shape.kernel), *residual)
        self.encoder_decoder = _EncoderDecoder(shape.widths)
        self.back_layers = nn.Sequential(Residual3D(width, width), Block3D(width, width, 1), Block3D(width, width, 1))
        self.output_layer = nn.Conv3d(width, outputs, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, volumes: Float[Tensor, "N C X Y Z"]) -> Float[Tensor, "N joints X Y Z"]:
        """Scores before the softmax."""
        return self.output_layer(self.back_layers(self.encoder_decoder(self.front_layers(volumes))))


class Block3D(nn.Module):
    """Convolution, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        convolution = nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2)
        self.block = nn.Sequential(convolution, nn.BatchNorm3d(outputs), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """The same size, other channels."""
        return self.block(x)


class Residual3D(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        first, second = nn.Conv3d(inputs, outputs, 3, padding=1), nn.Conv3d(outputs, outputs, 3, padding=1)
        self.res_branch = nn.Sequential(first, nn.BatchNorm3d(outputs), nn.ReLU(), second, nn.BatchNorm3d(outputs))
        self.skip_con = nn.Sequential()
        if inputs != outputs:
            self.skip_con = nn.Sequential(nn.Conv3d(inputs, outputs, 1), nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The same size, other channels."""
        return (self.res_branch(x) + self.skip_con(x)).relu()


class _Upsample3D(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        doubled = nn.ConvTranspose3d(inputs, outputs, 2, 2)
        self.block = nn.Sequential(doubled, nn.BatchNorm3d(outputs), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class _EncoderDecoder(nn.Module):
    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = len(widths) - 1
        for level, (finer, coarser) in enumerate(pairwise(widths), 1):
            setattr(self, f"skip_res{level}", Residual3D(finer, finer))
            setattr(self, f"encoder_res{level}", Residual3D(finer, coarser))
            setattr(self, f"decoder_res{level}", Residual3D(coarser, coarser))
            setattr(self, f"decoder_upsample{level}", _Upsample3D(coarser, finer))
        self.mid_res = Residual3D(widths[-1], widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level in range(1, self.levels + 1):
            skips.append(getattr(self, f"skip_res{level}")(x))
            x = getattr(self, f"encoder_res{level}")(max_pool3d(x, 2))
        x = self.mid_res(x)
        for level in range(self.levels, 0, -1):
            x = getattr(self, f"decoder_res{level}")(x)
            x = getattr(self, f"decoder_upsample{level}")(x) + skips[level - 1]
        return x


def soft_argmax(
    scores: Float[Tensor, "N joints X Y Z"], grid: Float[Tensor, "N X Y Z 3"]
) -> tuple[Float[Tensor, "N joints 3"], Float[Tensor, "N joints X Y Z"]]:
    """Expected place of every joint in the unit of the grid, and the probabilities."""
    probability = scores.flatten(2).softmax(2)
    return probability @ grid.flatten(1, 3), probability.reshape(scores.shape)


def cube(
    centre: Float[Tensor, "N 3"], side: float, voxels: int, rotation: Float[Tensor, "N 3 3"] | None = None
) -> Float[Tensor, "N X Y Z 3"]:
    """Points of a cube about a centre, the outermost on its faces; turned about the centre where asked."""
    steps = torch.linspace(-side / 2, side / 2, voxels, dtype=centre.dtype, device=centre.device)
    points = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1)
    if rotation is not None:
        points = torch.einsum("nij,xyzj->nxyzi", rotation, points)
    return points + centre[:, None, None, None]
