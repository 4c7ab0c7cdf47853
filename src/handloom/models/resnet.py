"""ResNet (He et al., CVPR 2016) as a feature extractor, with torchvision's state-dict keys: published weights load."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

Depth = Literal["resnet18", "resnet34", "resnet50"]
_BLOCKS: dict[Depth, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
}


class Grid(NamedTuple):
    """Reads every place of the last map with weights of its own, in place of the mean.

    Attributes:
        columns, rows: of the last map, a 32nd of the picture each way, rounded up.
        channels: each place is reduced to so many.
        features: that come out.
    """

    columns: int
    rows: int
    channels: int
    features: int


class _Block(nn.Module):
    """What both blocks share: a shortcut, with a projection where the shape changes."""

    downsample: nn.Sequential | None

    def shortcut(self, x: Tensor) -> Tensor:
        """The input, in the shape of the output."""
        return x if self.downsample is None else _convolved(x, *self.projection)

    @property
    def projection(self) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
        """Convolution and norm of a shortcut that has them."""
        assert self.downsample is not None
        convolution, norm = self.downsample
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        return convolution, norm


class BasicBlock(_Block):
    """Two 3 x 3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H / stride, W / stride)."""
        y = _convolved(x, self.conv1, self.bn1).relu_()
        y = _convolved(y, self.conv2, self.bn2)
        return (y + self.shortcut(x)).relu_()


class Bottleneck(_Block):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut; the stride is in the middle one, as in torchvision."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 4 * width, H / stride, W / stride)."""
        y = _convolved(x, self.conv1, self.bn1).relu_()
        y = _convolved(y, self.conv2, self.bn2).relu_()
        y = _convolved(y, self.conv3, self.bn3)
        return (y + self.shortcut(x)).relu_()


class ResNet(nn.Module):
    """Pictures to one feature vector each: the mean over the last map, as published, or what a grid reads of it.

    Args:
        depth: which of the published networks.
        width: channels of the first stage; 64 in the published ones.
        grid: instead of the mean; the pictures then have one size.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, depth: Depth = "resnet18", width: int = 64, grid: Grid | None = None) -> None:
        super().__init__()
        block = Bottleneck if depth == "resnet50" else BasicBlock
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for stage, blocks in enumerate(_BLOCKS[depth], start=1):
            stage_width = width * 2 ** (stage - 1)
            layers = []
            for k in range(blocks):
                layers.append(block(inputs, stage_width, 2 if stage > 1 and k == 0 else 1))
                inputs = stage_width * block.expansion
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.features = grid.features if grid else inputs
        self.grid = _grid(inputs, grid) if grid else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N features"]:
        """Feature vectors of pictures whose channels are already normalised."""
        for x in self.maps(images):  # noqa: B007 - the last one counts
            pass
        return self.read(x)

    def read(self, last: Float[Tensor, "N channels h w"]) -> Float[Tensor, "N features"]:
        """The feature vectors of the last maps."""
        if self.grid is not None:
            features: Tensor = self.grid(last)
            return features
        # First over columns, then over rows: the order of the released HTT, for equal rounding.
        return last.mean(3).mean(2)

    def maps(self, images: Float[Tensor, "N 3 H W"]) -> Iterator[Tensor]:
        """The maps after each of the four stages; the last is a 32nd of the picture's size."""
        x = self.maxpool(_convolved(images, self.conv1, self.bn1).relu_())
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            yield x


def _grid(inputs: int, grid: Grid) -> nn.Sequential:
    places = grid.channels * grid.columns * grid.rows
    return nn.Sequential(nn.Conv2d(inputs, grid.channels, 1), nn.Flatten(), nn.Linear(places, grid.features))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def _convolved(x: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """Convolution and batch norm. With fixed statistics both are one affine map: one pass instead of two.

    Gradients reach the parameters of both as before, and nothing in between is kept for them.
    """
    if norm.training:
        return norm(convolution(x))
    weight, bias = folded(convolution, norm)
    return conv2d(x, weight, bias, convolution.stride, convolution.padding)  # type: ignore[arg-type]


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that does both, with the norm's fixed statistics."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return convolution.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
