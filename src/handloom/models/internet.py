"""InterNet (Moon et al., ECCV 2020), as AssemblyHands' toolkit trains it for single egocentric views (SVEgoNet).

2.5D heatmaps of both hands, which hands there are, and the depth between the wrists. Keys of the state dictionary are
those of the released code (without "module."), so released weights load. Right hand first, joints in its own order.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, pad

from handloom.models.resnet import Depth, ResNet

JOINTS = 21
PEAK = 255.0
CELL_PX = 4
"""Pixels of the crop to a cell of a heatmap: the deconvolutions make up for three of the backbone's five halvings."""
SIGMA = 2.5 / 64
"""Of the Gaussian that a joint is drawn as in a volume, over its depth."""
SIGMA_CELLS = 1.0
"""Of the Gaussian over a map of scores."""


@dataclass(frozen=True)
class InterNetConfig:
    """The released network by default, on crops as the paper describes them.

    Attributes:
        voxels: along the depth of a heatmap; also the bins of the depth between the wrists.
        range_mm: half the depth range around the wrist.
        image_px: side of a crop; its heatmaps have a quarter of it.
        backbone, width: of the ResNet.
        features: channels of the deconvolutions.
        lateral: the deconvolutions also read the backbone's finer maps.
        heatmaps: "volume": a score for every voxel, of which the largest counts, as released. "map": scores over the
            picture and a depth at every place, whose expectations count (latent 2.5D heatmaps: Iqbal et al., ECCV
            2018): far fewer channels.
        crops: "turned": virtual cameras turned to the hand; "square": the toolkit's squares of whole pixels.
        margin: side of a turned crop over that of the box.
        other_hand: a hand that appears in the crop of the other one is learned and named, too; the toolkit knows one
            hand alone.
        bones_m: lengths of the hands that were trained on, in the order of `skeleton.BONES`, which give the depth of a
            hand; empty for average adults.
    """

    voxels: int = 64
    range_mm: float = 200.0
    image_px: int = 256
    backbone: Depth = "resnet50"
    width: int = 64
    features: int = 256
    lateral: bool = False
    heatmaps: Literal["volume", "map"] = "volume"
    crops: Literal["turned", "square"] = "turned"
    margin: float = 1.5
    other_hand: bool = True
    bones_m: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        """Along each side of a heatmap."""
        return self.image_px // CELL_PX


@dataclass(frozen=True, eq=False)
class InterNetOutput:
    """What the network says of N crops: heatmaps (z, y, x) of 42 joints, or scores (y, x) with a depth at each place;
    scores of the relative depth's bins, and their expectation; probabilities of a right and of a left hand."""

    heatmaps: Float[Tensor, "N 42 Z Y X"] | Float[Tensor, "N 42 Y X"]
    depths: Float[Tensor, "N 42 Y X"] | None
    root_scores: Float[Tensor, "N Z"]
    root_bin: Float[Tensor, "N"]
    hand_scores: Float[Tensor, "N 2"]

    @property
    def hand_probability(self) -> Float[Tensor, "N 2"]:
        """That there is a right, a left hand."""
        return self.hand_scores.sigmoid()


class InterNet(nn.Module):
    """Square crops, RGB in 0 ... 1, to 2.5D hands."""

    def __init__(self, config: InterNetConfig = InterNetConfig()) -> None:
        super().__init__()
        self.config = config
        resnet = ResNet(config.backbone, config.width)
        self.backbone_net = nn.ModuleDict({"resnet": resnet})
        self.pose_net = _Heads(config, resnet.features)

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> InterNetOutput:
        """See `InterNetOutput`."""
        resnet = self.backbone_net["resnet"]
        assert isinstance(resnet, ResNet)
        return self.pose_net(list(resnet.maps(images)))


class _Heads(nn.Module):
    def __init__(self, config: InterNetConfig, inputs: int) -> None:
        super().__init__()
        self.config, width = config, config.features
        # A score for every voxel of the depth, or one and a depth.
        channels = config.voxels if config.heatmaps == "volume" else 2
        for branch in (1, 2):
            layers: list[nn.Module] = []
            for before in (inputs, width, width):
                layers += [nn.ConvTranspose2d(before, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            setattr(self, f"joint_deconv_{branch}", nn.Sequential(*layers))
            setattr(self, f"joint_conv_{branch}", nn.Sequential(nn.Conv2d(width, JOINTS * channels, 1)))
            if config.lateral:
                sides = [nn.Conv2d(inputs // 2**k, width, 1) for k in (1, 2, 3)]
                setattr(self, f"joint_lateral_{branch}", nn.ModuleList(sides))
        self.root_fc = nn.Sequential(nn.Linear(inputs, 512), nn.ReLU(), nn.Linear(512, config.voxels))
        self.hand_fc = nn.Sequential(nn.Linear(inputs, 512), nn.ReLU(), nn.Linear(512, 2))
        # What trains from nothing on small batches wants larger numbers than what ImageNet's features come in with.
        released = config.heatmaps == "volume"
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and released:
                nn.init.normal_(module.weight, std=0.001)
            elif isinstance(module, nn.Linear) and released:
                nn.init.normal_(module.weight, std=0.01)

    def forward(self, maps: list[Tensor]) -> InterNetOutput:
        found = []
        for branch in (1, 2):
            y = getattr(self, f"joint_conv_{branch}")(self._upwards(branch, maps))
            found.append(y.reshape(len(y), JOINTS, -1, *y.shape[2:]).float())
        heatmaps = torch.cat(found, 1)
        pooled = maps[-1].mean((2, 3))
        root = self.root_fc(pooled).float()
        bins = torch.arange(self.config.voxels, dtype=root.dtype, device=root.device)
        rest = root, (root.softmax(1) * bins).sum(1), self.hand_fc(pooled).float()
        if self.config.heatmaps == "volume":
            return InterNetOutput(heatmaps, None, *rest)
        # Depths begin at that of the wrist, in the middle of the range.
        return InterNetOutput(heatmaps[:, :, 0], heatmaps[:, :, 1] + self.config.voxels / 2, *rest)

    def _upwards(self, branch: int, maps: list[Tensor]) -> Tensor:
        layers, y = getattr(self, f"joint_deconv_{branch}"), maps[-1]
        if not self.config.lateral:
            up: Tensor = layers(y)
            return up
        for k, side in enumerate(getattr(self, f"joint_lateral_{branch}")):
            y = layers[3 * k + 2](layers[3 * k + 1](layers[3 * k](y)) + side(maps[-2 - k]))
        return y


def decode(heatmaps: Float[Tensor, "N joints Z Y X"]) -> Float[Tensor, "N joints 3"]:
    """x, y, z of each joint's largest voxel."""
    Y, X = heatmaps.shape[3:]
    place = heatmaps.reshape(*heatmaps.shape[:2], -1).argmax(-1)
    return torch.stack([place % X, place // X % Y, place // (X * Y)], -1).to(heatmaps.dtype)


def expected(
    scores: Float[Tensor, "N joints Y X"], depths: Float[Tensor, "N joints Y X"]
) -> tuple[Float[Tensor, "N joints 3"], Float[Tensor, "N joints Y X"]]:
    """Means of x, y and z over the distribution that the scores say, and the distribution."""
    share = scores.flatten(2).softmax(-1).view_as(scores)
    x, y = (torch.arange(n, dtype=share.dtype, device=share.device) for n in (share.shape[3], share.shape[2]))
    means = [(share.sum(2) * x).sum(-1), (share.sum(3) * y).sum(-1), (share * depths).sum((2, 3))]
    return torch.stack(means, -1), share


def joints_of(output: InterNetOutput) -> tuple[Float[Tensor, "N 42 3"], Float[Tensor, "N 42"]]:
    """x, y, z in voxels and how sure the network is of each joint, 0 ... 1.

    Of a volume that is the height of its peak over that of a joint that is drawn; of a map, the share of its
    distribution in the three by three cells around the most likely one.
    """
    if output.depths is None:
        peak = output.heatmaps.flatten(2).max(-1).values
        return decode(output.heatmaps), (peak / PEAK).clamp(0, 1)
    joints, share = expected(output.heatmaps, output.depths)
    near = nn.functional.avg_pool2d(pad(share, (1, 1, 1, 1)), 3, 1) * 9
    return joints, near.flatten(2).max(-1).values.clamp(0, 1)


def target_heatmaps(joints: Float[Tensor, "N joints 3"], voxels: int, cells: int) -> Float[Tensor, "N joints Z Y X"]:
    """Gaussians of height 255 at x, y, z in voxels, which may lie outside."""
    x, y, z = (_bell(joints[..., axis], n, SIGMA * voxels) for axis, n in enumerate((cells, cells, voxels)))
    return PEAK * z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]


def internet_loss(
    output: InterNetOutput,
    joints: Float[Tensor, "N 42 3"],
    joint_valid: Float[Tensor, "N 42"],
    root_bin: Float[Tensor, "N"],
    root_valid: Float[Tensor, "N"],
    hands: Float[Tensor, "N 2"],
) -> dict[str, Tensor]:
    """Means of errors of heatmaps, absolute errors of the relative depth, cross-entropy of the hands.

    Of volumes the error of a heatmap is the mean square over its voxels. Of maps it is the distance of the joint along
    x, y and z in voxels, and the cross-entropy of the distribution over the picture with a Gaussian around the joint.
    Joints that are not valid have no error, but count in the mean, as in the released code.
    """
    if output.depths is None:
        target = target_heatmaps(joints, output.heatmaps.shape[2], output.heatmaps.shape[-1])
        heatmap = ((output.heatmaps - target) ** 2 * joint_valid[..., None, None, None]).mean()
    else:
        found, _ = expected(output.heatmaps, output.depths)
        logs = output.heatmaps.flatten(2).log_softmax(-1).view_as(output.heatmaps)
        x, y = (_bell(joints[..., axis], output.heatmaps.shape[-1], SIGMA_CELLS) for axis in (0, 1))
        drawn = y[..., :, None] * x[..., None, :]
        drawn = drawn / drawn.sum((2, 3), keepdim=True).clamp(min=1e-6)
        off = (found - joints).abs().sum(-1) - (drawn * logs).sum((2, 3)) / 4
        heatmap = (off * joint_valid).mean()
    root = ((output.root_bin - root_bin).abs() * root_valid).mean()
    return {
        "joint_heatmap": heatmap,
        "rel_root_depth": root,
        "hand_type": binary_cross_entropy(output.hand_probability, hands),
    }


def _bell(centre: Float[Tensor, "N joints"], count: int, sigma: float) -> Float[Tensor, "N joints count"]:
    grid = torch.arange(count, dtype=centre.dtype, device=centre.device)
    return torch.exp(-((grid - centre[..., None]) ** 2) / (2 * sigma**2))
