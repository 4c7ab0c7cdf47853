"""Features chunk by chunk are those of the whole clip, and so are their gradients."""

import pytest

from test_htt_model import clips, small_model
from with_torch import needs_torch, torch

pytestmark = needs_torch


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_features_and_gradients_are_those_of_the_whole_clip(chunk, recompute):
    from handloom.models.clip_features import clip_features

    whole, chunked = small_model(), small_model()
    images, _valid, _K = clips()
    expected = whole.features(images.flatten(0, 1)).unflatten(0, (2, 16))
    found = clip_features(chunked, images, chunk, recompute)
    assert torch.allclose(found, expected, atol=1e-5)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    for (name, one), two in zip(whole.backbone.named_parameters(), chunked.backbone.parameters()):
        assert torch.allclose(one.grad, two.grad, rtol=1e-3, atol=1e-3 * float(one.grad.abs().max())), name


def test_fixed_batch_norms_folded_into_convolutions_give_the_same_gradients():
    """The statistics stay; weight and bias learn, as if norm and convolution were two steps."""
    from handloom.models.resnet import _convolved

    torch.manual_seed(0)
    convolution, norm = torch.nn.Conv2d(3, 5, 3, 2, 1, bias=False).double(), torch.nn.BatchNorm2d(5).double().eval()
    with torch.no_grad():
        for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            values.uniform_(0.5, 2)
    x = torch.randn(2, 3, 9, 11, dtype=torch.float64, requires_grad=True)
    tensors = (x, convolution.weight, norm.weight, norm.bias)
    plain, folded = norm(convolution(x)), _convolved(x, convolution, norm)
    assert torch.allclose(plain, folded, rtol=1e-12)
    for one, two in zip(
        torch.autograd.grad((plain**2).sum(), tensors), torch.autograd.grad((folded**2).sum(), tensors)
    ):
        assert torch.allclose(one, two, rtol=1e-9)
