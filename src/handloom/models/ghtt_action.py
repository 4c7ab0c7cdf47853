"""Block A of G-HTT (Wen et al., ECCV 2024): the action of a sequence of clips, and the clips that follow.

(mid-level, object) of up to 16 clips -> encoder -> action latent -> nearest label
                                                       `-> decoder -> mid-levels of up to 16 more clips

At level "pose" the same network reads and writes the features of single frames: the flattened model that the paper
compares with, without a mid-level (section 4.4).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from handloom.errors import InputError
from handloom.models.label_space import label_logits
from handloom.models.motion_vae import Encoded, MotionVAE, PoseEmbedding, PoseHead
from handloom.models.transformer import sine_positions

PHASES = 2048


@dataclass(frozen=True)
class ActionBlockConfig:
    """The shape of an A block; the defaults are the paper's.

    Attributes:
        actions, objects: names whose text embeddings the weights carry; either can be replaced without training.
        label_dim: of those embeddings.
        dim, heads, feedforward, layers: of encoder and decoder; `dim` is that of P, too.
        steps: the most clips (or frames, at level "pose") observed, and predicted.
        level: see above.
    """

    actions: tuple[str, ...]
    objects: tuple[str, ...]
    label_dim: int = 512
    dim: int = 512
    heads: int = 8
    feedforward: int = 2048
    layers: int = 9
    steps: int = 16
    level: Literal["mid", "pose"] = "mid"

    def __post_init__(self) -> None:
        for name in ("actions", "objects"):
            names = tuple(getattr(self, name))
            object.__setattr__(self, name, names)
            if not names or len(set(names)) != len(names):
                raise InputError(f"block A needs different names of {name}, at least one; found {list(names)}")


class ActionBlock(nn.Module):
    """The network, with the text embeddings of its labels."""

    action_vectors: Tensor
    object_vectors: Tensor
    phases: Tensor

    def __init__(self, config: ActionBlockConfig) -> None:
        super().__init__()
        self.config = c = config
        poses = c.level == "pose"
        self.embedding = PoseEmbedding(c.dim) if poses else None
        self.head = PoseHead(c.dim) if poses else nn.Identity()
        self.vae = MotionVAE(c.dim, c.heads, c.feedforward, c.layers, 2 * c.steps)
        self.label_in = nn.Linear(c.label_dim, c.dim)
        self.object_in = nn.Identity() if c.label_dim == c.dim else nn.Linear(c.label_dim, c.dim)
        self.register_buffer("action_vectors", torch.zeros(len(c.actions), c.label_dim))
        self.register_buffer("object_vectors", torch.zeros(len(c.objects), c.label_dim))
        self.register_buffer("phases", sine_positions(PHASES, c.dim), persistent=False)

    def encode(
        self,
        inputs: Float[Tensor, "B n width"],
        objects: Float[Tensor, "B n label_dim"],
        phase: Int[Tensor, "B n"],
        seen: Bool[Tensor, "B n"],
        known: Bool[Tensor, "B n 42"] | None = None,
    ) -> Encoded:
        """The distribution of the action latent, and a token per step.

        Args:
            inputs: mid-levels of clips; at level "pose", features of frames.
            objects: text embedding of the object in hand, or what comes near to it.
            phase: steps since the action began.
            seen: False for padding.
            known: at level "pose", joints to be used.
        """
        if self.embedding is not None:
            inputs = self.embedding(inputs if known is None else self.embedding.fill(inputs, known))
        phases = self.phases[phase.clamp(0, PHASES - 1)]
        pairs = torch.stack([inputs + phases, self.object_in(objects) + phases], 2).flatten(1, 2)
        encoded = self.vae.encode(pairs, seen.repeat_interleave(2, 1))
        return encoded._replace(tokens=encoded.tokens[:, ::2], seen=seen)

    def decode(
        self,
        latent: Float[Tensor, "B dim"],
        phase: Int[Tensor, "B n"],
        seen: Bool[Tensor, "B n"],
        skip: Encoded | None = None,
    ) -> Float[Tensor, "B n width"]:
        """Mid-levels (or features) of the steps that follow; the first one is always taken for real."""
        first = torch.arange(seen.shape[1], device=seen.device) == 0
        return self.head(self.vae.decode(latent, self.phases[phase.clamp(0, PHASES - 1)], seen | first, skip))

    def labels(self, vectors: Float[Tensor, "labels label_dim"] | None = None) -> Float[Tensor, "labels dim"]:
        """Where labels lie in the space of the action latent (FC1); by default those of the block's own actions."""
        return self.label_in(self.action_vectors if vectors is None else vectors)

    def logits(self, latent: Float[Tensor, "B dim"], labels: Float[Tensor, "labels dim"]) -> Float[Tensor, "B labels"]:
        """Cosine to every label over the temperature (eq. 4)."""
        return label_logits(latent, labels)
