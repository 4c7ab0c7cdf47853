"""Where labels lie: latents are compared with text embeddings by their direction (G-HTT, eq. 4)."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

TEMPERATURE = 0.07


def label_logits(latent: Float[Tensor, "*B dim"], labels: Float[Tensor, "labels dim"]) -> Float[Tensor, "*B labels"]:
    """Cosine to every label over the temperature."""
    return normalize(latent, dim=-1) @ normalize(labels, dim=-1).T / TEMPERATURE
