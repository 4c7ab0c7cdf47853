"""Features of several views in one volume, as in Learnable Triangulation (Iskakov et al., ICCV 2019)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

Fusion = Literal["softmax", "sum", "max", "conf", "conf_norm"]


def unproject(
    features: Float[Tensor, "N views C h w"],
    projections: Float[Tensor, "N views 3 4"],
    grid: Float[Tensor, "N X Y Z 3"],
    fusion: Fusion = "softmax",
    confidence: Float[Tensor, "N views C"] | None = None,
    released: bool = False,
) -> Float[Tensor, "N C X Y Z"]:
    """The features that every point of a grid projects to, of all views in one.

    Args:
        features: maps of every view.
        projections: from the grid's world to pixels of the maps (their centres at integers).
        grid: points.
        fusion: "softmax" weighs each feature by the softmax of itself over the views.
        confidence: of each view and channel, for "conf" and "conf_norm".
        released: sample as the released code does: x is divided by the height and y by the width, both by the size
            and not by the size less one; points behind a camera are 0 and take part.
    """
    N, views, C, h, w = features.shape
    points = torch.cat([grid.flatten(1, 3), grid.new_ones(N, grid[0, ..., 0].numel(), 1)], -1)
    seen = torch.einsum("nvij,npj->nvpi", projections, points)
    depth = seen[..., 2]
    ahead = depth > 0
    pixels = seen[..., :2] / torch.where(depth == 0, torch.ones_like(depth), depth)[..., None]
    size = pixels.new_tensor([h, w] if released else [max(w - 1, 1), max(h - 1, 1)])
    places = (2 * pixels / size - 1).flatten(0, 1)[:, None]
    sampled = grid_sample(features.flatten(0, 1), places, align_corners=True)
    volume = sampled.reshape(N, views, C, -1) * ahead[:, :, None]
    if fusion == "softmax":
        scores = volume if released else volume.masked_fill(~ahead[:, :, None], float("-inf"))
        fused = (volume * torch.nan_to_num(scores.softmax(1))).sum(1)
    elif fusion == "sum":
        fused = volume.sum(1)
    elif fusion == "max":
        fused = volume.max(1).values
    else:
        assert confidence is not None
        weight = confidence / confidence.sum(1, keepdim=True) if fusion == "conf_norm" else confidence
        fused = (volume * weight[..., None]).sum(1)
    return fused.reshape(N, C, *grid.shape[1:4])


def heatmap_keypoints(
    heatmaps: Float[Tensor, "N joints h w"], size: tuple[int, int], multiplier: float = 100.0
) -> Float[Tensor, "N joints 2"]:
    """Expected place of the softmax of heatmaps, scaled from their size to that of the picture (width, height)."""
    h, w = heatmaps.shape[2:]
    probability = (multiplier * heatmaps).flatten(2).softmax(2).reshape(heatmaps.shape)
    x = (probability.sum(2) * torch.arange(w, dtype=heatmaps.dtype, device=heatmaps.device)).sum(2)
    y = (probability.sum(3) * torch.arange(h, dtype=heatmaps.dtype, device=heatmaps.device)).sum(2)
    return torch.stack([x * size[0] / w, y * size[1] / h], -1)


def volumetric_cross_entropy(
    probability: Float[Tensor, "joints X Y Z"],
    grid: Float[Tensor, "X Y Z 3"],
    truth: Float[Tensor, "joints 3"],
    valid: Float[Tensor, "joints"],
) -> Float[Tensor, ""]:
    """Mean over all joints of -log of the probability at the voxel nearest to the truth; 0 for those not valid."""
    nearest = torch.cdist(truth, grid.flatten(0, 2)).argmin(1)
    at_truth = probability.flatten(1).gather(1, nearest[:, None])[:, 0]
    return (-(at_truth + 1e-6).log() * valid).mean()


def smooth_squares(
    prediction: Float[Tensor, "N joints 3"],
    truth: Float[Tensor, "N joints 3"],
    valid: Float[Tensor, "N joints 1"],
    threshold: float,
) -> Float[Tensor, ""]:
    """Mean squared error, with squares d above the threshold s counted as d^0.1 s^0.9."""
    squares = (prediction - truth) ** 2 * valid
    squares = torch.where(squares > threshold, squares.clamp(min=1e-12) ** 0.1 * threshold**0.9, squares)
    return squares.sum() / (prediction.shape[-1] * valid.sum().clamp(min=1))
