"""Block P of G-HTT (Wen et al., ECCV 2024): 16 frames refined, summed up in a mid-level feature, 16 more predicted.

features of 16 frames -> encoder -> refined features
                            `-> mid-level m -> decoder -> features of the next 16 frames
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from handloom.models.motion_vae import Encoded, MotionVAE, PoseEmbedding, PoseHead


@dataclass(frozen=True)
class PoseBlockConfig:
    """The shape of a P block; the defaults are the paper's.

    Attributes:
        dim, heads, feedforward, layers: of encoder and decoder.
        clip_frames: t, frames that are observed, and frames that are predicted.
        frame_rate: at which it was trained.
    """

    dim: int = 512
    heads: int = 8
    feedforward: int = 2048
    layers: int = 9
    clip_frames: int = 16
    frame_rate: float = 30.0


class PoseBlock(nn.Module):
    """The network. It reads and writes the features of `geometry.motion_features`."""

    def __init__(self, config: PoseBlockConfig) -> None:
        super().__init__()
        self.config = c = config
        self.embedding = PoseEmbedding(c.dim)
        self.vae = MotionVAE(c.dim, c.heads, c.feedforward, c.layers, c.clip_frames)
        self.head = PoseHead(c.dim)

    def encode(
        self,
        features: Float[Tensor, "B t 153"],
        known: Bool[Tensor, "B t 42"],
        seen: Bool[Tensor, "B t"],
    ) -> Encoded:
        """The distribution of the mid-level, and one token per frame.

        Args:
            features: of a sequence whose first frame has no motion.
            known: joints to be used; the others may hold anything.
            seen: frames to be used; the others are padding.
        """
        return self.vae.encode(self.embedding(self.embedding.fill(features, known)), seen)

    def refined(self, encoded: Encoded) -> Float[Tensor, "B t 153"]:
        """The observed frames as the encoder sees them (path 1)."""
        return self.head(encoded.tokens)

    def decode(self, mid: Float[Tensor, "B dim"], skip: Encoded | None = None) -> Float[Tensor, "B t 153"]:
        """The clip that follows one with mid-level `mid` (path 4); smoother at the seam with the encoder's tokens."""
        t = self.config.clip_frames
        queries = self.vae.decoder.table[:t].expand(len(mid), -1, -1)
        seen = torch.ones(len(mid), t, dtype=torch.bool, device=mid.device)
        return self.head(self.vae.decode(mid, queries, seen, skip))
