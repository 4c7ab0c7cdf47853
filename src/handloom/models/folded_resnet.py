"""A trained ResNet for use alone, faster: norms are folded into the convolutions once, and on CPUs the convolutions
themselves (oneDNN) apply the ReLU and add the shortcut, which otherwise are passes of their own over the memory.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from handloom.models.resnet import BasicBlock, Bottleneck, ResNet, folded


class FoldedResNet:
    """The features of a ResNet in evaluation mode, as its weights are now; for inference mode only.

    Args:
        net: the network, on the device where it shall run.
        dtype: of weights and maps; features are float32 in any case.
    """

    def __init__(self, net: ResNet, dtype: torch.dtype = torch.float32) -> None:
        self._net = net
        self._stem = _Convolution(net.conv1, net.bn1, dtype)
        stages = (net.layer1, net.layer2, net.layer3, net.layer4)
        self._blocks = [_Block(block, dtype) for stage in stages for block in stage]  # type: ignore[arg-type]

    def __call__(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N features"]:
        """Feature vectors of pictures whose channels are already normalised, channels last in memory."""
        x = self._net.maxpool(self._stem(images.to(self._stem.dtype)))
        for block in self._blocks:
            x = block(x)
        return self._net.read(x.float())


class _Convolution:
    """A convolution with its batch norm inside, then a shortcut's addition, then a ReLU, if they are asked for."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        self.dtype = dtype
        assert not isinstance(convolution.padding, str)
        self._stride, self._padding = list(convolution.stride), list(convolution.padding)
        with torch.inference_mode():
            weight, bias = folded(convolution, norm)
            self._weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)
            self._bias = bias.to(dtype)
        self._fuses = _fuses(self._weight)
        self._packed = False

    def __call__(self, x: Tensor, shortcut: Tensor | None = None, relu: bool = True) -> Tensor:
        """The sum may be put into the memory of the shortcut."""
        if not self._fuses:
            y = conv2d(x, self._weight, self._bias, self._stride, self._padding)
            y = y if shortcut is None else y.add_(shortcut)
            return y.relu_() if relu else y
        if not self._packed:
            # Into the order in which oneDNN reads it; that depends on the size of the maps, though any order is right.
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, self._padding, self._stride, [1, 1], 1, list(x.shape)
            )
            self._packed = True
        given = (x, self._weight, self._bias, self._padding, self._stride, [1, 1], 1)
        last = "relu" if relu else "none"
        fused: Tensor
        if shortcut is None:
            fused = torch.ops.mkldnn._convolution_pointwise(*given, last, [], "")
        else:
            fused = torch.ops.mkldnn._convolution_pointwise_.binary(shortcut, *given, "add", 1.0, last, [], "")
        return fused


class _Block:
    """A residual block of either kind."""

    def __init__(self, block: BasicBlock | Bottleneck, dtype: torch.dtype) -> None:
        pairs = [(block.conv1, block.bn1), (block.conv2, block.bn2)]
        if isinstance(block, Bottleneck):
            pairs.append((block.conv3, block.bn3))
        *self._first, self._last = [_Convolution(*pair, dtype) for pair in pairs]
        self._shortcut = None if block.downsample is None else _Convolution(*block.projection, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """x is not kept."""
        y = x
        for convolution in self._first:
            y = convolution(y)
        return self._last(y, x if self._shortcut is None else self._shortcut(x, relu=False))


def _fuses(weight: Tensor) -> bool:
    """Whether PyTorch's oneDNN does convolution, sum and ReLU in one here."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    there = all(
        hasattr(torch.ops.mkldnn, name)
        for name in ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
    )
    return there and (weight.dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported())
