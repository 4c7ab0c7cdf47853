"""The folded ResNet gives the features of the ResNet, whoever adds and rectifies."""

import pytest
import torch

from handloom.models import folded_resnet
from handloom.models.folded_resnet import FoldedResNet
from handloom.models.resnet import Grid, ResNet


def network(depth: str = "resnet18", grid: Grid | None = None) -> ResNet:
    """Random weights, and norms that have seen something."""
    torch.manual_seed(0)
    net = ResNet(depth, 16, grid)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    return net.eval()


def pictures(count: int, height: int = 70, width: int = 96) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(count)).contiguous(
        memory_format=torch.channels_last
    )


@pytest.mark.parametrize("fuses", [True, False])
@pytest.mark.parametrize("depth", ["resnet18", "resnet34", "resnet50"])
@torch.inference_mode()
def test_features_are_those_of_the_network(depth, fuses, monkeypatch):
    if not fuses:
        monkeypatch.setattr(folded_resnet, "_fuses", lambda weight: False)
    net = network(depth)
    folded = FoldedResNet(net)
    for given in (pictures(3), pictures(1), pictures(2, 64, 50)):  # weights are packed for the first alone
        before = given.clone()
        torch.testing.assert_close(folded(given), net(given), rtol=1e-4, atol=1e-4)
        assert torch.equal(given, before)


@torch.inference_mode()
def test_a_grid_is_read_in_float32():
    net = network(grid=Grid(3, 3, 4, 20))
    torch.testing.assert_close(FoldedResNet(net)(pictures(2)), net(pictures(2)), rtol=1e-4, atol=1e-4)
    assert FoldedResNet(net, torch.bfloat16)(pictures(2)).dtype == torch.float32


@torch.inference_mode()
def test_bfloat16_is_near():
    net, given = network(), pictures(4)
    exact, found = net(given), FoldedResNet(net, torch.bfloat16)(given)
    assert found.dtype == torch.float32
    assert 0 < (found - exact).abs().max() < 0.05 * exact.abs().max()


@torch.inference_mode()
def test_later_weights_are_not_seen():
    net, given = network(), pictures(1)
    folded = FoldedResNet(net)
    first = folded(given)
    net.conv1.weight.data.zero_()
    assert torch.equal(folded(given), first)
    assert not torch.allclose(net(given), first)
