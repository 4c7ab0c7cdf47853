"""EfficientNet (Tan and Le, ICML 2019) as an encoder of pictures, its levels brought together on one map.

The levels meet as in a feature pyramid (Lin et al., CVPR 2017): each is brought to the same number of channels, the
coarser one is doubled in size and added, and the finest sum, a quarter of the picture each way, is the result.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

STRIDE = 4
"""Pixels of the picture for one of the map, each way."""

Stage = Sequence[int]
"""Expansion, kernel, stride, channels, blocks."""
B0: tuple[Stage, ...] = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Table 1 of the paper."""
_SQUEEZE = 4
"""Channels of a block's input for one of its squeeze-and-excitation."""


class EfficientNet(nn.Module):
    """Pictures to maps of features, a quarter of the picture each way.

    Args:
        channels: of the map.
        stem: channels of the first convolution, which halves the picture.
        stages: blocks after it; one of them must end at a quarter of the picture.
    """

    def __init__(self, channels: int, stem: int = 32, stages: Sequence[Stage] = B0) -> None:
        super().__init__()
        self.stem = _Convolution(3, stem, 3, 2)
        width, stride = stem, 2
        self.stages = nn.ModuleList()
        ends: dict[int, tuple[int, int]] = {}
        for number, (expansion, kernel, step, out, blocks) in enumerate(stages):
            parts = [
                MBConv(width if k == 0 else out, out, expansion, kernel, step if k == 0 else 1) for k in range(blocks)
            ]
            self.stages.append(nn.Sequential(*parts))
            width, stride = out, stride * step
            ends[stride] = number, out
        self.taps = [number for reached, (number, _) in sorted(ends.items()) if reached >= STRIDE]
        widths = [out for reached, (_, out) in sorted(ends.items()) if reached >= STRIDE]
        self.lateral = nn.ModuleList(nn.Conv2d(out, channels, 1) for out in widths)
        self.smooth = _Convolution(channels, channels, 3, 1)

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N channels h w"]:
        """Maps of pictures in 0 ... 1 or normalised; H and W are multiples of the coarsest level's stride."""
        x, levels = self.stem(images), []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self.taps:
                levels.append(x)
        out: Tensor | None = None
        for level, lateral in zip(reversed(levels), reversed(self.lateral)):
            here = lateral(level)
            out = here if out is None else here + interpolate(out, here.shape[2:])
        return self.smooth(out)


class MBConv(nn.Module):
    """Inverted residual: channels expanded, a convolution in each, squeezed and excited, brought down again."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _Convolution(inputs, wide, 1, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _Convolution(wide, wide, kernel, stride, groups=wide)
        self.excite = _SqueezeExcite(wide, max(1, inputs // _SQUEEZE))
        self.project = nn.Sequential(nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """A map of `outputs` channels, smaller by the stride."""
        out = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + out if self.shortcut else out


class _Convolution(nn.Sequential):
    """Convolution without bias, norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), nn.SiLU())


class _SqueezeExcite(nn.Module):
    """Every channel weighed by what the means of all say (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, squeezed), nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.sigmoid(self.excite(nn.functional.silu(self.squeeze(x.mean((2, 3))))))
        return x * weight[..., None, None]
