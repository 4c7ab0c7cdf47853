"""What HTT and G-HTT's image estimator share: from a picture to a feature, and from a feature to both hands in 2.5D."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from handloom.models.folded_resnet import FoldedResNet
from handloom.models.resnet import Depth, Grid, ResNet
from handloom.skeleton import JOINT_COUNT

GRID_CHANNELS = 64
"""Channels of a place that the pooling "grid" reads."""


@runtime_checkable
class HandDecoding(Protocol):
    """What the numbers of a hand head mean; see `HTTConfig`."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the pictures."""

    @property
    def one_focal_length(self) -> bool:
        """X and Y are found with fx; else with fx and fy."""

    @property
    def pixel_scale(self) -> float:
        """Pixels per unit."""

    @property
    def depth_scale(self) -> float:
        """Depth per focal length and unit."""

    @property
    def depth_offset_m(self) -> float:
        """Depth of 0."""


def picture_backbone(depth: Depth, width: int, pooling: str, image_size: tuple[int, int], features: int) -> ResNet:
    """The ResNet; with the pooling "grid" it gives so many features of pictures of this size."""
    columns, rows = (-(-side // 32) for side in image_size)
    return ResNet(depth, width, Grid(columns, rows, GRID_CHANNELS, features) if pooling == "grid" else None)


def picture_features(
    backbone: ResNet | FoldedResNet, images: UInt8[Tensor, "N 3 H W"] | Float[Tensor, "N 3 H W"]
) -> Float[Tensor, "N width"]:
    """Features of single RGB pictures, 0 ... 255 as bytes or 0 ... 1 as floats."""
    pictures = images.float() / 255 if images.dtype == torch.uint8 else images
    features: Tensor = backbone((pictures - 0.5).contiguous(memory_format=torch.channels_last))
    return features


def hand_head(dim: int, hands: int) -> nn.Sequential:
    """From a feature to (u, v, s) of every joint, joint-major."""
    return nn.Sequential(
        nn.Linear(dim, dim),
        nn.LeakyReLU(0.01),
        nn.Linear(dim, dim),
        nn.LeakyReLU(0.01),
        nn.Linear(dim, 3 * hands * JOINT_COUNT),
    )


def decode_hands(
    raw: Float[Tensor, "B *rest 21 3"], intrinsics: Float[Tensor, "B 3 3"], decoding: HandDecoding
) -> tuple[Float[Tensor, "B *rest 21 2"], Float[Tensor, "B *rest 21"], Float[Tensor, "B *rest 21 3"]]:
    """Image positions in px, absolute depths and camera-space joints in metres from a hand head's numbers."""
    c = decoding
    over = (slice(None), *(None,) * (raw.dim() - 2))
    fx, fy, cx, cy = (intrinsics[:, i, j][over] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    # Single precision whatever the heads were computed in: bfloat16 has whole pixels only from 256 on.
    raw = raw.float()
    x = raw[..., 0] * c.pixel_scale + c.image_size[0] / 2
    y = raw[..., 1] * c.pixel_scale + c.image_size[1] / 2
    depth = fx * c.depth_scale * raw[..., 2] + c.depth_offset_m
    joints = torch.stack([(x - cx) * depth / fx, (y - cy) * depth / (fx if c.one_focal_length else fy), depth], -1)
    return torch.stack([x, y], -1), depth, joints
