"""What stands in front of G-HTT on video (Wen et al., ECCV 2024, section 3.3): the image estimator F and the clip-wise
object aggregator E^PO.

picture -> ResNet -> hand poses in the virtual camera
               `-> object feature of 16 frames -> E^PO -> object feature of the clip -> nearest text embedding
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from handloom.errors import InputError
from handloom.geometry.reposing import virtual_camera
from handloom.models.label_space import label_logits
from handloom.models.picture_hands import decode_hands, hand_head, picture_backbone, picture_features
from handloom.models.resnet import Depth
from handloom.models.transformer import Encoder
from handloom.skeleton import HANDS, JOINT_COUNT


@dataclass(frozen=True)
class ImageEstimatorConfig:
    """The shape of F and E^PO; the defaults are the paper's, as far as it tells.

    Attributes:
        objects: names whose text embeddings the weights carry.
        label_dim: of those embeddings, of object features, and of E^PO.
        hands: which are estimated, in the order of the outputs.
        image_size: width and height of the pictures.
        backbone, backbone_width, pooling, dim: as in `HTTConfig`.
        pixel_scale, depth_scale, depth_offset_m: of the hand head, as in `HTTConfig`.
        clip_frames: of E^PO.
        heads, feedforward, layers: of E^PO.
    """

    objects: tuple[str, ...]
    label_dim: int = 512
    hands: tuple[str, ...] = HANDS
    image_size: tuple[int, int] = (480, 270)
    backbone: Depth = "resnet18"
    backbone_width: int = 64
    pooling: Literal["mean", "grid"] = "mean"
    dim: int = 512
    pixel_scale: float = 100.0
    depth_scale: float = 1e-4
    depth_offset_m: float = 0.4
    clip_frames: int = 16
    heads: int = 8
    feedforward: int = 2048
    layers: int = 2

    one_focal_length = False

    def __post_init__(self) -> None:
        for name in ("objects", "hands", "image_size"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.objects or len(set(self.objects)) != len(self.objects):
            raise InputError(f"F needs different names of objects, at least one; found {list(self.objects)}")
        if self.label_dim % self.heads or self.label_dim % 2 or self.label_dim < 2:
            raise InputError(
                f"vectors of labels must have a width that is even and a multiple of {self.heads} (heads of E^PO); "
                f"found {self.label_dim}"
            )


class ImageOutput(NamedTuple):
    """What F says of N pictures; H hands, 21 joints; image positions in px, metres in the virtual camera."""

    keypoints_px: Float[Tensor, "N H 21 2"]
    depth_m: Float[Tensor, "N H 21"]
    joints_m: Float[Tensor, "N H 21 3"]
    objects: Float[Tensor, "N label_dim"]


class ImageEstimator(nn.Module):
    """F, and E^PO on its object features, with the text embeddings of the objects."""

    object_vectors: Tensor
    intrinsics: Tensor

    def __init__(self, config: ImageEstimatorConfig) -> None:
        super().__init__()
        self.config = c = config
        self.backbone = picture_backbone(c.backbone, c.backbone_width, c.pooling, c.image_size, c.dim)
        width = self.backbone.features
        self.reduce = nn.Identity() if width == c.dim else nn.Linear(width, c.dim)
        self.pose_head = hand_head(c.dim, len(c.hands))
        self.object_head = nn.Linear(c.dim, c.label_dim)
        self.object_token = nn.Parameter(torch.randn(1, 1, c.label_dim))
        self.object_block = Encoder(
            c.label_dim, c.heads, c.feedforward, c.layers, longest=c.clip_frames + 1, positions="queries and keys"
        )
        self.register_buffer("object_vectors", torch.zeros(len(c.objects), c.label_dim))
        matrix = torch.from_numpy(virtual_camera(c.image_size).matrix).float()
        self.register_buffer("intrinsics", matrix, persistent=False)

    def forward(self, images: UInt8[Tensor, "N 3 H W"] | Float[Tensor, "N 3 H W"]) -> ImageOutput:
        """Hands and object of single pictures: RGB, 0 ... 255 as bytes or 0 ... 1 as floats."""
        return self.from_features(self.features(images))

    def features(self, images: UInt8[Tensor, "N 3 H W"] | Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N width"]:
        """The ResNet's features of single pictures; all that follows depends on pictures through them alone."""
        return picture_features(self.backbone, images)

    def from_features(self, features: Float[Tensor, "N width"]) -> ImageOutput:
        """The same as `forward`, from the features of the pictures."""
        reduced = self.reduce(features)
        raw = self.pose_head(reduced).unflatten(-1, (len(self.config.hands), JOINT_COUNT, 3))
        return ImageOutput(
            *decode_hands(raw, self.intrinsics.expand(len(raw), 3, 3), self.config), self.object_head(reduced)
        )

    def clip_objects(
        self, objects: Float[Tensor, "B t label_dim"], seen: Bool[Tensor, "B t"]
    ) -> Float[Tensor, "B label_dim"]:
        """E^PO: the object feature of clips from those of their frames; frames that are not `seen` are padding."""
        token = self.object_token.to(objects.dtype).expand(len(objects), -1, -1)
        tokens = torch.cat([token, objects], 1)
        return self.object_block(tokens, torch.cat([seen.new_ones(len(seen), 1), seen], 1))[:, 0]

    def object_logits(self, features: Float[Tensor, "*B label_dim"]) -> Float[Tensor, "*B objects"]:
        """Cosine of features to every object's text embedding, over the temperature."""
        return label_logits(features, self.object_vectors)

    def parts(self, aggregator: bool) -> list[nn.Parameter]:
        """The parameters of E^PO, or those of F."""
        of_clips = ("object_token", "object_block")
        return [p for name, p in self.named_parameters() if name.startswith(of_clips) == aggregator]
