"""MVExoNet (Ohkawa et al., AssemblyHands, CVPR 2023, section 3.1): crops of one hand in several views to its joints.

Every crop is encoded by itself; the features of all views are un-projected into one volume around the hand and weighed
by their softmax over the views; convolutions in 3D make a heatmap of every joint of it, whose expected place is the
joint. Beside it, on the same features, heads of the baselines: heatmaps of every view by itself (2D keypoints), and
the algebraic triangulation of these with learnt confidences (Iskakov et al., ICCV 2019).

The paper leaves sizes, losses and how hands are told apart open; see docs/annotation.md for what is chosen here. The
network knows right hands only: a left hand is shown to it in the mirror.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from handloom.geometry.dlt import triangulate_dlt
from handloom.models.efficientnet import B0, STRIDE, EfficientNet, Stage
from handloom.models.unprojection import heatmap_keypoints, unproject
from handloom.models.v2v import V2V, V2VShape, cube, soft_argmax
from handloom.skeleton import JOINT_COUNT

_MEAN, _SPREAD = 0.45, 0.25


@dataclass(frozen=True)
class MVExoNetConfig:
    """Sizes of the network; by default for a GPU.

    Attributes:
        crop_size: side of a crop in pixels, a multiple of the encoder's coarsest stride.
        crop_margin: side of a crop over that of the square that just holds the hand's joints.
        side_m: side of the volume.
        voxels: along each side.
        features: channels of the maps and of the volume.
        stem, stages: of the encoder.
        front, kernel, widths, residuals: of the volume's network, see `V2VShape`.
    """

    crop_size: int = 256
    crop_margin: float = 1.25
    side_m: float = 0.3
    voxels: int = 64
    features: int = 32
    stem: int = 32
    stages: Sequence[Stage] = field(default=B0)
    front: int = 16
    kernel: int = 7
    widths: Sequence[int] = (32, 64, 128, 128, 128, 128)
    residuals: int = 3

    def __post_init__(self) -> None:
        halvings = 2 ** (len(self.widths) - 1)
        if self.voxels % halvings or self.crop_size % STRIDE:
            raise ValueError(
                f"{self.voxels} voxels are no multiple of {halvings}, or {self.crop_size} pixels none of {STRIDE}"
            )


class Views(NamedTuple):
    """Crops of N hands in V views each, all right hands or in the mirror.

    Attributes:
        images: 0 ... 255.
        projections: from metres about `root` to pixels of the crop, centres at integers.
        seen: which views there are; what stands in the others does not matter.
    """

    images: Tensor
    projections: Float[Tensor, "N views 3 4"]
    seen: Bool[Tensor, "N views"]


class ViewJoints(NamedTuple):
    """What each view says by itself.

    Attributes:
        keypoints_px: in pixels of the crop.
        heatmaps: scores before the softmax.
        confidence: 0 ... 1, learnt for the triangulation.
    """

    keypoints_px: Float[Tensor, "N views 21 2"]
    heatmaps: Float[Tensor, "N views 21 h w"]
    confidence: Float[Tensor, "N views 21"]


class Joints(NamedTuple):
    """What all views say together, about the middle of the volume, in metres.

    Attributes:
        joints_m: the expected places.
        probability: of every voxel.
    """

    joints_m: Float[Tensor, "N 21 3"]
    probability: Float[Tensor, "N 21 X Y Z"]


class MVExoNet(nn.Module):
    """See the module's text."""

    def __init__(self, config: MVExoNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = EfficientNet(config.features, config.stem, config.stages)
        self.heatmaps = nn.Conv2d(config.features, JOINT_COUNT, 1)
        self.confidence = nn.Linear(config.features, JOINT_COUNT)
        shape = V2VShape(config.front, config.kernel, tuple(config.widths), config.residuals)
        self.volume = V2V(config.features, JOINT_COUNT, shape)

    def forward(
        self, views: Views, turn: Float[Tensor, "N 3 3"] | None = None
    ) -> tuple[Joints, ViewJoints, Float[Tensor, "N 21 3"]]:
        """Joints by the volume, what each view says, and joints by the triangulation of that.

        Args:
            views: the crops.
            turn: the volume is turned by it about its middle.
        """
        features = self.features(views)
        alone = self.alone(features)
        return self.together(features, views, turn), alone, triangulated(alone, views)

    def features(self, views: Views) -> Float[Tensor, "N views C h w"]:
        """Maps of the crops that there are; 0 for the others."""
        N, V = views.seen.shape
        images = views.images[views.seen].to(self.heatmaps.weight.dtype) / 255
        maps = self.encoder((images - _MEAN) / _SPREAD)
        out = maps.new_zeros(N * V, *maps.shape[1:])
        out = out.index_copy(0, views.seen.flatten().nonzero()[:, 0], maps)
        return out.unflatten(0, (N, V))

    def alone(self, features: Float[Tensor, "N views C h w"]) -> ViewJoints:
        """Every view by itself."""
        N, V = features.shape[:2]
        scores = self.heatmaps(features.flatten(0, 1)).float()
        size = features.shape[-1]
        # Expected places of the map's cells; the middle of a cell is between pixels.
        pixels = heatmap_keypoints(scores, (size, size), multiplier=1.0) * STRIDE + (STRIDE - 1) / 2
        confidence = torch.sigmoid(self.confidence(features.flatten(0, 1).mean((2, 3)))).float()
        parts = (pixels, scores, confidence)
        return ViewJoints(*(part.unflatten(0, (N, V)) for part in parts))

    def together(
        self, features: Float[Tensor, "N views C h w"], views: Views, turn: Float[Tensor, "N 3 3"] | None = None
    ) -> Joints:
        """All views in one volume."""
        config, device = self.config, features.device.type
        with torch.autocast(device, enabled=False):  # places need all their digits, features do not
            centre = views.projections.new_zeros(len(features), 3)
            grid = cube(centre, config.side_m, config.voxels, turn)
            # A view that is not there projects everything behind its camera.
            projections = to_map(views.projections) * views.seen[..., None, None]
            volume = unproject(features.float(), projections, grid)
        scores = self.volume(volume)
        with torch.autocast(device, enabled=False):
            return Joints(*soft_argmax(scores.float(), grid))


def to_map(projections: Float[Tensor, "N views 3 4"]) -> Float[Tensor, "N views 3 4"]:
    """Projections to pixels of a crop as projections to those of its map."""
    shift = (STRIDE - 1) / 2
    rows = [(projections[..., k, :] - shift * projections[..., 2, :]) / STRIDE for k in (0, 1)]
    return torch.stack([*rows, projections[..., 2, :]], -2)


def triangulated(alone: ViewJoints, views: Views) -> Float[Tensor, "N 21 3"]:
    """The algebraic variant: 2D keypoints triangulated with the learnt confidences; NaN where two views do not see."""
    N, V = views.seen.shape
    confidence = alone.confidence * views.seen[..., None]
    weight = confidence / confidence.sum(1, keepdim=True).clamp(min=1e-6) + 1e-5 * views.seen[..., None]
    # Pixels in units of half a crop: the equations of all views are then of one size.
    half = alone.heatmaps.shape[-1] * STRIDE / 2
    middle = half - 0.5
    rows = [(views.projections[..., k, :] - middle * views.projections[..., 2, :]) / half for k in (0, 1)]
    projections = torch.stack([*rows, views.projections[..., 2, :]], -2)
    projections = torch.where(views.seen[..., None, None], projections, torch.eye(3, 4, device=views.seen.device))
    shape = (V, N * JOINT_COUNT)
    points, _ = triangulate_dlt(
        projections[:, :, None].expand(N, V, JOINT_COUNT, 3, 4).transpose(0, 1).reshape(*shape, 3, 4),
        ((alone.keypoints_px - middle) / half).transpose(0, 1).reshape(*shape, 2),
        weight.transpose(0, 1).reshape(shape),
    )
    return points.reshape(N, JOINT_COUNT, 3)
