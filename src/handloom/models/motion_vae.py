"""What both blocks of G-HTT are: a transformer VAE whose encoder recognises and decoder predicts (section 3.1)."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from handloom.errors import InputError
from handloom.geometry.motion_features import FEATURES, LEFT_TO_RIGHT, LOCAL_JOINTS, MOTION
from handloom.models.transformer import Decoder, Encoder
from handloom.skeleton import JOINT_COUNT

JOINTS = 2 * JOINT_COUNT


class Encoded(NamedTuple):
    """What an encoder says: the latent's distribution, its tokens, and which of them are real."""

    mean: Float[Tensor, "B dim"]
    log_variance: Float[Tensor, "B dim"]
    tokens: Float[Tensor, "B L dim"]
    seen: Bool[Tensor, "B L"]

    def sample(self, noise: Float[Tensor, "B dim"], spread: float = 1.0) -> Float[Tensor, "B dim"]:
        """The mean plus `spread` standard deviations times standard normal numbers."""
        return self.mean + spread * torch.exp(0.5 * self.log_variance) * noise


class MotionVAE(nn.Module):
    """Encoder and decoder around a latent.

    Args:
        dim, heads, feedforward, layers: of either transformer.
        longest: the most tokens that go in or come out.
    """

    def __init__(self, dim: int, heads: int, feedforward: int, layers: int, longest: int) -> None:
        super().__init__()
        if dim % heads or dim % 4 or min(dim, heads, feedforward, layers, longest) < 1:
            raise InputError(f"dim must be a multiple of 4 and of heads; found {dim} and {heads}, {layers} layers")
        self.mean_token = nn.Parameter(torch.randn(1, 1, dim))
        self.log_variance_token = nn.Parameter(torch.randn(1, 1, dim))
        size = (dim, heads, feedforward, layers, longest + 2)
        self.encoder = Encoder(*size, positions="queries and keys", activation="gelu")
        self.decoder = Decoder(*size, activation="gelu")

    def encode(self, tokens: Float[Tensor, "B L dim"], seen: Bool[Tensor, "B L"]) -> Encoded:
        """The latent of a sequence; tokens that are not `seen` have no influence."""
        first = torch.cat([self.mean_token, self.log_variance_token], 1).expand(len(tokens), -1, -1)
        out = self.encoder(torch.cat([first, tokens], 1), torch.cat([seen.new_ones(len(seen), 2), seen], 1))
        return Encoded(out[:, 0], out[:, 1], out[:, 2:], seen)

    def decode(
        self,
        latent: Float[Tensor, "B dim"],
        queries: Float[Tensor, "B n dim"],
        seen: Bool[Tensor, "B n"],
        skip: Encoded | None,
    ) -> Float[Tensor, "B n dim"]:
        """Answers to queries from the latent, and from the encoder's tokens if they are given."""
        memory, memory_seen = latent[:, None], seen.new_ones(len(seen), 1)
        if skip is not None:
            memory = torch.cat([memory, skip.tokens], 1)
            memory_seen = torch.cat([memory_seen, skip.seen], 1)
        return self.decoder(queries, seen, memory, memory_seen)


class PoseEmbedding(nn.Module):
    """The 153 features of a frame as a token; joints that are not known get a learned place."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.placeholder = nn.Parameter(torch.zeros(1, JOINTS, 3))
        self.joints = nn.Linear(126, dim // 2)
        self.motion = nn.Linear(18, dim // 4)
        self.pair = nn.Linear(9, dim // 4)

    def fill(
        self, features: Float[Tensor, "*batch 153"], known: Bool[Tensor, "*batch 42"]
    ) -> Float[Tensor, "*batch 153"]:
        """The features with the learned place for every joint that is not known."""
        joints = features[..., LOCAL_JOINTS].unflatten(-1, (JOINTS, 3))
        filled = torch.where(known[..., None], joints, self.placeholder[0].to(joints.dtype))
        return torch.cat([filled.flatten(-2), features[..., MOTION.start :]], -1)

    def forward(self, features: Float[Tensor, "*batch 153"]) -> Float[Tensor, "*batch dim"]:
        """Tokens of features without holes."""
        parts = (self.joints, LOCAL_JOINTS), (self.motion, MOTION), (self.pair, LEFT_TO_RIGHT)
        return torch.cat([layer(features[..., part]) for layer, part in parts], -1)


def pose_head(dim: int) -> nn.Sequential:
    """Tokens to the 153 features of a frame."""
    return nn.Sequential(
        nn.Linear(dim, dim), nn.LeakyReLU(0.01), nn.Linear(dim, dim), nn.LeakyReLU(0.01), nn.Linear(dim, FEATURES)
    )
