"""InterNet (Moon et al., ECCV 2020), as AssemblyHands' toolkit trains it for single egocentric views (SVEgoNet).

2.5D heatmaps of both hands, which hands there are, and the depth between the wrists. Keys of the state dictionary are
those of the released code (without "module."), so released weights load. Right hand first, joints in its own order.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from handloom.models.resnet import ResNet

JOINTS = 21
SIGMA = 2.5
"""Of the Gaussian that a joint is drawn as, in voxels."""
PEAK = 255.0


@dataclass(frozen=True)
class InterNetConfig:
    """Attributes: voxels along each side of a heatmap; half the depth range around the wrist, in millimetres."""

    voxels: int = 64
    range_mm: float = 200.0


@dataclass(frozen=True, eq=False)
class InterNetOutput:
    """What the network says of N crops: heatmaps (z, y, x) of 42 joints; scores of the relative depth's bins, and their
    expectation; probabilities of a right and of a left hand."""

    heatmaps: Float[Tensor, "N 42 Z Y X"]
    root_scores: Float[Tensor, "N Z"]
    root_bin: Float[Tensor, "N"]
    hand_scores: Float[Tensor, "N 2"]

    @property
    def hand_probability(self) -> Float[Tensor, "N 2"]:
        """That there is a right, a left hand."""
        return self.hand_scores.sigmoid()


class InterNet(nn.Module):
    """Crops of 256 x 256, RGB in 0 ... 1, to 2.5D hands."""

    def __init__(self, config: InterNetConfig = InterNetConfig()) -> None:
        super().__init__()
        self.config = config
        self.backbone_net = nn.ModuleDict({"resnet": ResNet("resnet50")})
        self.pose_net = _Heads(config)

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> InterNetOutput:
        """See `InterNetOutput`."""
        resnet = self.backbone_net["resnet"]
        assert isinstance(resnet, ResNet)
        *_, features = resnet.maps(images)
        return self.pose_net(features)


class _Heads(nn.Module):
    def __init__(self, config: InterNetConfig) -> None:
        super().__init__()
        self.voxels = config.voxels
        for branch in (1, 2):
            layers: list[nn.Module] = []
            for inputs in (2048, 256, 256):
                layers += [nn.ConvTranspose2d(inputs, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
            setattr(self, f"joint_deconv_{branch}", nn.Sequential(*layers))
            setattr(self, f"joint_conv_{branch}", nn.Sequential(nn.Conv2d(256, JOINTS * config.voxels, 1)))
        self.root_fc = nn.Sequential(nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, config.voxels))
        self.hand_fc = nn.Sequential(nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, 2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, std=0.001)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)

    def forward(self, features: Float[Tensor, "N 2048 h w"]) -> InterNetOutput:
        heatmaps = []
        for branch in (1, 2):
            y = getattr(self, f"joint_conv_{branch}")(getattr(self, f"joint_deconv_{branch}")(features))
            heatmaps.append(y.reshape(len(y), JOINTS, self.voxels, *y.shape[2:]))
        pooled = features.mean((2, 3))
        root = self.root_fc(pooled)
        bins = torch.arange(self.voxels, dtype=root.dtype, device=root.device)
        return InterNetOutput(torch.cat(heatmaps, 1), root, (root.softmax(1) * bins).sum(1), self.hand_fc(pooled))


def decode(heatmaps: Float[Tensor, "N joints Z Y X"]) -> Float[Tensor, "N joints 3"]:
    """x, y, z of each joint's largest voxel."""
    Y, X = heatmaps.shape[3:]
    place = heatmaps.reshape(*heatmaps.shape[:2], -1).argmax(-1)
    return torch.stack([place % X, place // X % Y, place // (X * Y)], -1).to(heatmaps.dtype)


def target_heatmaps(joints: Float[Tensor, "N joints 3"], voxels: int) -> Float[Tensor, "N joints Z Y X"]:
    """Gaussians of height 255 at x, y, z in voxels, which may lie outside."""
    grid = torch.arange(voxels, dtype=joints.dtype, device=joints.device)
    x, y, z = (torch.exp(-((grid - joints[..., axis, None]) ** 2) / (2 * SIGMA**2)) for axis in range(3))
    return PEAK * z[..., :, None, None] * y[..., None, :, None] * x[..., None, None, :]


def internet_loss(
    output: InterNetOutput,
    joints: Float[Tensor, "N 42 3"],
    joint_valid: Float[Tensor, "N 42"],
    root_bin: Float[Tensor, "N"],
    root_valid: Float[Tensor, "N"],
    hands: Float[Tensor, "N 2"],
) -> dict[str, Tensor]:
    """Means of squared errors of heatmaps, absolute errors of the relative depth, cross-entropy of the hands.

    Joints that are not valid have no error, but count in the mean, as in the released code.
    """
    target = target_heatmaps(joints, output.heatmaps.shape[-1])
    heatmap = ((output.heatmaps - target) ** 2 * joint_valid[..., None, None, None]).mean()
    root = ((output.root_bin - root_bin).abs() * root_valid).mean()
    return {
        "joint_heatmap": heatmap,
        "rel_root_depth": root,
        "hand_type": binary_cross_entropy(output.hand_probability, hands),
    }
