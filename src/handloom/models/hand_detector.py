"""A detector of hands in whole pictures: where the middles of left and right hands are, and how far their boxes reach.

One stage without anchors (Zhou et al., "Objects as points", 2019): a map, a quarter of the picture each way, says of
every cell how likely the middle of a left and of a right hand lies there, and how far it is from there to the four
sides of the hand's box. The encoder is EfficientNet's; the network is convolutional, so a picture may have any shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, softplus

from handloom.models.efficientnet import B0, STRIDE, EfficientNet, Stage

_MEAN, _SPREAD = 0.45, 0.25
_RARE = 0.01
"""How likely a middle is in a cell before anything is learned: the many empty cells then weigh little at the start."""
_REACH_CELLS = 3.0
"""How far boxes reach before anything is learned."""
_SIDES, _REACHES = 2, 4


@dataclass(frozen=True)
class HandDetectorConfig:
    """Sizes of the network; by default for a GPU.

    Attributes:
        long_side_px: to which pictures are scaled.
        features: channels of the map.
        stem, stages: of the encoder.
    """

    long_side_px: int = 512
    features: int = 64
    stem: int = 32
    stages: Sequence[Stage] = field(default=B0)

    @property
    def multiple_px(self) -> int:
        """Sides of pictures are multiples of this: the stride of the encoder's coarsest level."""
        stride = 2
        for _, _, step, _, _ in self.stages:
            stride *= step
        return stride


class HandMaps(NamedTuple):
    """What the network says of every cell.

    Attributes:
        scores: of a left and a right hand, before the sigmoid.
        boxes_px: x0, y0, x1, y1 of the hand, in pixels of the picture, should its middle be here.
    """

    scores: Float[Tensor, "N 2 h w"]
    boxes_px: Float[Tensor, "N 4 h w"]


class FoundHands(NamedTuple):
    """The likeliest hands of N pictures, the surest first.

    Attributes:
        boxes_px: x0, y0, x1, y1 in pixels of the picture.
        scores: 0 ... 1, that the middle of a left and of a right hand is there; the larger one is the hand's.
    """

    boxes_px: Float[Tensor, "N most 4"]
    scores: Float[Tensor, "N most 2"]


class HandDetector(nn.Module):
    """See the module's text."""

    def __init__(self, config: HandDetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = EfficientNet(config.features, config.stem, config.stages)
        # A matrix and not a convolution: six channels are fewer than PyTorch's convolutions are safe with on AVX-512.
        self.head = nn.Linear(config.features, _SIDES + _REACHES)
        with torch.no_grad():
            self.head.bias[:_SIDES] = -log(1 / _RARE - 1)
            self.head.bias[_SIDES:] = _REACH_CELLS

    def forward(self, pictures: Float[Tensor, "N 3 H W"]) -> HandMaps:
        """Maps of pictures of 0 ... 255; both sides are multiples of `config.multiple_px`."""
        features = self.encoder((pictures / 255 - _MEAN) / _SPREAD)
        out = self.head(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).float()
        x, y = cell_centres(out)
        left, top, right, bottom = (STRIDE * softplus(out[:, _SIDES:])).unbind(1)
        return HandMaps(out[:, :_SIDES], torch.stack([x - left, y - top, x + right, y + bottom], 1))


def cell_centres(maps: Float[Tensor, "N C h w"]) -> tuple[Float[Tensor, "1 w"], Float[Tensor, "h 1"]]:
    """x and y of the cells' middles in pixels of the picture."""
    h, w = maps.shape[-2:]
    x, y = (torch.arange(n, device=maps.device) * STRIDE + (STRIDE - 1) / 2 for n in (w, h))
    return x[None], y[:, None]


def decode(maps: HandMaps, most: int) -> FoundHands:
    """The cells that are likelier than all eight about them, for the likelier side; at most `most` of a picture.

    A cell counts once, for a left or for a right hand; where there are fewer such cells, scores of 0 follow.
    """
    scores = torch.sigmoid(maps.scores)
    best = scores.amax(1, keepdim=True)
    peaks = torch.where(best == max_pool2d(best, 3, 1, 1), best, 0).flatten(1)
    height, place = peaks.topk(min(most, peaks.shape[1]), dim=1)

    def at(values: Tensor) -> Tensor:
        return values.flatten(2).gather(2, place[:, None].expand(-1, values.shape[1], -1)).transpose(1, 2)

    return FoundHands(at(maps.boxes_px), at(scores) * (height > 0)[..., None])
