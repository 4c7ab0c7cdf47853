"""The network whose features FID compares: a transformer that names the action of up to 256 frames of motion.

FIDs of different networks cannot be compared, so every table says which one it was.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from handloom.models.motion_vae import PoseEmbedding
from handloom.models.transformer import Encoder


@dataclass(frozen=True)
class MotionRecogniserConfig:
    """The shape; the defaults are those of G-HTT's authors (section 4.2, and the released code).

    Attributes:
        actions: names whose text embeddings the weights carry.
        label_dim: of those embeddings.
        dim, heads, feedforward, layers: of the encoder.
        frames: the most.
    """

    actions: tuple[str, ...]
    label_dim: int = 512
    dim: int = 512
    heads: int = 8
    feedforward: int = 2048
    layers: int = 9
    frames: int = 256


class MotionRecogniser(nn.Module):
    """The network; what a learned first token has become is the feature."""

    action_vectors: Tensor

    def __init__(self, config: MotionRecogniserConfig) -> None:
        super().__init__()
        self.config = c = config
        self.embedding = PoseEmbedding(c.dim)
        self.token = nn.Parameter(torch.randn(1, 1, c.dim))
        self.encoder = Encoder(c.dim, c.heads, c.feedforward, c.layers, c.frames + 1, "queries and keys", "gelu")
        self.label_in = nn.Linear(c.label_dim, c.dim)
        self.register_buffer("action_vectors", torch.zeros(len(c.actions), c.label_dim))

    def forward(
        self, features: Float[Tensor, "B T 153"], known: Bool[Tensor, "B T 42"], seen: Bool[Tensor, "B T"]
    ) -> Float[Tensor, "B dim"]:
        """The feature of each motion; frames that are not `seen` are padding."""
        tokens = self.embedding(self.embedding.fill(features, known))
        first = self.token.expand(len(tokens), -1, -1)
        out = self.encoder(torch.cat([first, tokens], 1), torch.cat([seen.new_ones(len(seen), 1), seen], 1))
        return out[:, 0]

    def labels(self) -> Float[Tensor, "labels dim"]:
        """Where the actions lie among the features."""
        return self.label_in(self.action_vectors)
