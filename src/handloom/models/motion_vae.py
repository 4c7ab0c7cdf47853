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
    """The 153 features of a frame as a token; joints that are not known get a learned place.

    `offset` and `scale`, the training data's mean and spread, are 0 and 1 unless `set_statistics` was told them.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
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
        features = (features - self.offset) / self.scale
        parts = (self.joints, LOCAL_JOINTS), (self.motion, MOTION), (self.pair, LEFT_TO_RIGHT)
        return torch.cat([layer(features[..., part]) for layer, part in parts], -1)


class PoseHead(nn.Sequential):
    """Tokens to the 153 features of a frame; `offset` and `scale` as in `PoseEmbedding`."""

    offset: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        hidden = nn.Linear(dim, dim), nn.LeakyReLU(0.01), nn.Linear(dim, dim), nn.LeakyReLU(0.01)
        super().__init__(*hidden, nn.Linear(dim, FEATURES))
        self.register_buffer("offset", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))

    def forward(self, tokens: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch 153"]:
        """Features in their own units."""
        return super().forward(tokens) * self.scale + self.offset


def set_statistics(model: nn.Module, mean: Float[Tensor, "153"], spread: Float[Tensor, "153"]) -> None:
    """Let a network's embeddings and heads count from the mean of its data, in units of their spread.

    A step of the optimiser then means the same for a joint, which moves by tenths, and for a velocity, which moves by
    hundredths and is summed up over a clip.
    """
    for part in model.modules():
        if isinstance(part, PoseEmbedding | PoseHead):
            part.offset.copy_(mean)
            part.scale.copy_(spread)
