"""HTT: hand poses, the object and the action from a clip (Wen et al., CVPR 2023).

pictures -> ResNet -> block P over windows of t frames -> poses, objects
                             `-> (feature, pose, object) of T frames -> block A -> action
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from handloom.errors import InputError
from handloom.models.picture_hands import decode_hands, hand_head, picture_backbone, picture_features
from handloom.models.resnet import Depth
from handloom.models.transformer import Encoder, Positions
from handloom.skeleton import HANDS, JOINT_COUNT


@dataclass(frozen=True)
class HTTConfig:
    """The shape and behaviour of an HTT. The defaults are those of the released code; `paper` follows the paper.

    Attributes:
        actions, objects: names of the classes.
        hands: which hands are estimated, in the order of the outputs.
        image_size: width and height of the pictures.
        backbone, backbone_width: the ResNet and the channels of its first stage.
        pooling: of the ResNet's last map: its mean, as published, or "grid", which reads every place with weights of
            its own: without pre-trained weights it finds hands and the thing they hold far sooner.
        dim, heads, feedforward, layers: of both transformer blocks.
        pose_window: t, frames that block P sees together.
        clip_frames: T, the most frames that block A sees together.
        spacing: step between frames of a clip, in frames of the video.
        cascaded: block A reads what block P found; else the ResNet's features (Table 5, "parallel").
        use_feature, use_pose, use_object: what block A reads of block P (eq. 5; Table 5).
        positions: where block P and A learn of the order of frames.
        first_token_seen: padding at the start of a window is seen like a frame.
        object_activation: MLP2 of eq. 3 has a nonlinearity; the released code has none.
        pose_input: block A reads pixels / `pixel_scale` from the middle ("raw"), or shares of the picture ("picture").
        one_focal_length: X and Y are found with fx, as in the released code; else with fx and fy.
        pixel_scale: pixels per unit of the pose head.
        depth_scale, depth_offset_m: depth = fx * depth_scale * output + depth_offset_m.
    """

    actions: tuple[str, ...]
    objects: tuple[str, ...]
    hands: tuple[str, ...] = HANDS
    image_size: tuple[int, int] = (480, 270)
    backbone: Depth = "resnet18"
    backbone_width: int = 64
    pooling: Literal["mean", "grid"] = "mean"
    dim: int = 512
    heads: int = 8
    feedforward: int = 2048
    layers: int = 2
    pose_window: int = 16
    clip_frames: int = 128
    spacing: int = 2
    cascaded: bool = True
    use_feature: bool = True
    use_pose: bool = True
    use_object: bool = True
    positions: Positions = "queries and keys"
    first_token_seen: bool = True
    object_activation: bool = False
    pose_input: Literal["raw", "picture"] = "raw"
    one_focal_length: bool = True
    pixel_scale: float = 100.0
    depth_scale: float = 1e-4
    depth_offset_m: float = 0.4

    def __post_init__(self) -> None:
        for name in ("actions", "objects", "hands", "image_size"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("actions", "objects"):
            names = getattr(self, name)
            if not names or len(set(names)) != len(names):
                raise InputError(f"HTT needs different names of {name}, at least one; found {list(names)}")
        if not self.hands or not set(self.hands) <= set(HANDS) or len(set(self.hands)) != len(self.hands):
            raise InputError(f"HTT's hands must be some of {', '.join(HANDS)}; found {list(self.hands)}")
        if self.dim % self.heads or self.dim % 2:
            raise InputError(f"dim must be even and a multiple of heads; found {self.dim} and {self.heads}")
        smallest = min(self.pose_window, self.clip_frames, self.spacing, self.layers, *self.image_size)
        if smallest < 1 or self.pose_window > self.clip_frames:
            raise InputError(
                "sizes of HTT must be 1 or more and pose_window at most clip_frames; found pose_window "
                f"{self.pose_window}, clip_frames {self.clip_frames}, spacing {self.spacing}, {self.image_size}"
            )
        if self.backbone_width % 16 or self.backbone_width < 16:
            # With fewer channels the backward convolutions of PyTorch 2.13 crash on processors with AVX-512 (oneDNN).
            raise InputError(f"backbone_width must be a multiple of 16, found {self.backbone_width}")
        if not (self.use_feature or self.use_pose or self.use_object):
            raise InputError("block A needs one of use_feature, use_pose, use_object")

    @property
    def as_paper(self) -> "HTTConfig":
        """The same network as the paper describes it, where the released code differs."""
        return replace(
            self,
            positions="tokens",
            first_token_seen=False,
            object_activation=True,
            pose_input="picture",
            one_focal_length=False,
        )


class HTTOutput(NamedTuple):
    """What HTT says of B clips of T frames; H hands, 21 joints."""

    keypoints_px: Float[Tensor, "B T H 21 2"]
    depth_m: Float[Tensor, "B T H 21"]
    joints_m: Float[Tensor, "B T H 21 3"]
    object_logits: Float[Tensor, "B T objects"]
    action_logits: Float[Tensor, "B actions"]


class PoseOutput(NamedTuple):
    """What block P says: its tokens, the raw (u, v, s) of the pose head, and the logits of objects."""

    tokens: Float[Tensor, "B T dim"]
    raw: Float[Tensor, "B T H 21 3"]
    object_logits: Float[Tensor, "B T objects"]


class HTT(nn.Module):
    """The network. Frames are valid or padding; padding is computed but seen by none but, if so set, its window."""

    def __init__(self, config: HTTConfig) -> None:
        super().__init__()
        self.config = c = config
        joints = len(c.hands) * JOINT_COUNT
        encoder = (c.dim, c.heads, c.feedforward, c.layers)
        self.backbone = picture_backbone(c.backbone, c.backbone_width, c.pooling, c.image_size, c.dim)
        width = self.backbone.features
        self.reduce = nn.Identity() if width == c.dim else nn.Linear(width, c.dim)
        self.pose_block = Encoder(*encoder, longest=c.pose_window, positions=c.positions)
        self.pose_head = hand_head(c.dim, len(c.hands))
        self.object_head = nn.Sequential(
            nn.Linear(c.dim, c.dim),
            nn.LeakyReLU(0.01) if c.object_activation else nn.Identity(),
            nn.Linear(c.dim, len(c.objects)),
        )
        self.pose_to_action = nn.Linear(2 * joints, c.dim) if c.cascaded and c.use_pose else None
        self.object_to_action = nn.Linear(len(c.objects), c.dim) if c.cascaded and c.use_object else None
        parts = sum((c.use_feature, c.use_pose, c.use_object))
        self.fuse = nn.Linear(parts * c.dim, c.dim) if c.cascaded else nn.Identity()
        self.action_token = nn.Parameter(torch.randn(1, 1, c.dim))
        self.action_block = Encoder(*encoder, longest=c.clip_frames + 1, positions=c.positions)
        self.action_head = nn.Linear(c.dim, len(c.actions))

    def forward(
        self,
        images: UInt8[Tensor, "B T 3 H W"] | Float[Tensor, "B T 3 H W"],
        valid: Bool[Tensor, "B T"],
        intrinsics: Float[Tensor, "B 3 3"],
    ) -> HTTOutput:
        """Poses, objects and actions of clips.

        Args:
            images: RGB, 0 ... 255 as bytes or 0 ... 1 as floats.
            valid: False for padding.
            intrinsics: of the pictures as they are given, in px.
        """
        return self.from_features(self.features(images.flatten(0, 1)).unflatten(0, valid.shape), valid, intrinsics)

    def features(self, images: UInt8[Tensor, "N 3 H W"] | Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N width"]:
        """The ResNet's features of single pictures; all that follows depends on pictures through them alone."""
        return picture_features(self.backbone, images)

    def from_features(
        self, features: Float[Tensor, "B T width"], valid: Bool[Tensor, "B T"], intrinsics: Float[Tensor, "B 3 3"]
    ) -> HTTOutput:
        """The same as `forward`, from the features of the pictures."""
        features = self.reduce(features)
        pose = self.estimate_poses(features, valid)
        keypoints, depth, joints = self.decode(pose.raw, intrinsics)
        action = self.recognise(self.action_input(features, pose), valid)
        return HTTOutput(keypoints, depth, joints, pose.object_logits, action)

    def estimate_poses(self, features: Float[Tensor, "B T dim"], valid: Bool[Tensor, "B T"]) -> PoseOutput:
        """Block P and its heads, on reduced features (sections 3.2, eqs. 1 and 3)."""
        windows, seen = self._windows(features, valid)
        tokens = self.pose_block(windows, seen).reshape(len(features), -1, self.config.dim)[:, : features.shape[1]]
        raw = self.pose_head(tokens).unflatten(-1, (len(self.config.hands), JOINT_COUNT, 3))
        return PoseOutput(tokens, raw, self.object_head(tokens))

    def decode(
        self, raw: Float[Tensor, "B T H 21 3"], intrinsics: Float[Tensor, "B 3 3"]
    ) -> tuple[Float[Tensor, "B T H 21 2"], Float[Tensor, "B T H 21"], Float[Tensor, "B T H 21 3"]]:
        """Image positions in px, absolute depths and camera-space joints in metres from the pose head's numbers."""
        return decode_hands(raw, intrinsics, self.config)

    def action_input(self, features: Float[Tensor, "B T dim"], pose: PoseOutput) -> Float[Tensor, "B T dim"]:
        """What block A reads of every frame (eq. 5)."""
        c = self.config
        if not c.cascaded:
            return features
        parts = [pose.tokens] if c.use_feature else []
        if self.pose_to_action is not None:
            flat = pose.raw[..., :2]
            if c.pose_input == "picture":
                flat = flat * (c.pixel_scale / flat.new_tensor(c.image_size)) + 0.5
            parts.append(self.pose_to_action(flat.flatten(2)))
        if self.object_to_action is not None:
            parts.append(self.object_to_action(pose.object_logits.softmax(-1)))
        return self.fuse(torch.cat(parts, -1))

    def recognise(self, tokens: Float[Tensor, "B T dim"], valid: Bool[Tensor, "B T"]) -> Float[Tensor, "B actions"]:
        """Block A: logits of the action of every clip (eq. 6)."""
        return self.action_head(self.action_block(*self._with_token(tokens, valid))[:, 0])

    def attention(
        self, features: Float[Tensor, "B T width"], valid: Bool[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "layers B windows t t"], Float[Tensor, "layers B T"]]:
        """Attention inside the windows of block P, and of the action token on the frames (Figs. 6 and 7)."""
        features = self.reduce(features)
        maps = self.pose_block.attention(*self._windows(features, valid))
        tokens = self.action_input(features, self.estimate_poses(features, valid))
        of_token = self.action_block.attention(*self._with_token(tokens, valid))[:, :, 0, 1:]
        return maps.unflatten(1, (len(features), -1)), of_token

    def _windows(self, features: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Clips cut into windows of t frames, the last one filled up: (B * windows, t, dim) and what is seen."""
        t = self.config.pose_window
        missing = -features.shape[1] % t
        if missing:
            features = torch.cat([features, features.new_zeros(len(features), missing, features.shape[-1])], 1)
            valid = torch.cat([valid, valid.new_zeros(len(valid), missing)], 1)
        windows, seen = features.reshape(-1, t, features.shape[-1]), valid.reshape(-1, t)
        first = torch.arange(t, device=seen.device) == 0
        # A window of nothing but padding must see something, or its softmax is 0 / 0.
        return windows, seen | (first if self.config.first_token_seen else first & ~seen.any(1, keepdim=True))

    def _with_token(self, tokens: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        token = self.action_token.to(tokens.dtype).expand(len(tokens), -1, -1)
        return torch.cat([token, tokens], 1), torch.cat([valid.new_ones(len(valid), 1), valid], 1)
