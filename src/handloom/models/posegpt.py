"""PoseGPT (Lucas et al., ECCV 2022) on hands: motion as words of a codebook, and a language model over them.

features -> causal encoder, half the rate -> nearest codes -> causal decoder -> features
            action, length, codes so far -> transformer -> the next code

The baseline that G-HTT is compared with (as its authors ran it), told the true action. Unlike there, the rotations of
the wrists' motion stay among the features: without them a forecast has no orientation.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy, mse_loss, one_hot, scaled_dot_product_attention

from handloom.errors import InputError
from handloom.geometry.motion_features import FEATURES
from handloom.models.motion_vae import PoseEmbedding, PoseHead
from handloom.models.transformer import EncoderLayer, sine_positions

HALVING = 2
"""Frames that one step of the code stands for."""
COMMITMENT = 0.25
MEMORY, UNUSED = 0.95, 0.05
"""Of how often entries were used in training: what a step keeps of it, and the share of the average that is too little.
"""

KeysValues = tuple[Tensor, Tensor]
"""Of tokens that a layer has seen: (B, heads, L, dim / heads) each."""


@dataclass(frozen=True)
class CodecConfig:
    """The shape of the autoencoder; the defaults are those of the authors' adaptation.

    Attributes:
        dim, heads, feedforward, layers: of encoder and decoder, each at half the rate.
        books, entries: a step is one entry of each codebook.
        code_dim: of a step's code, the entries of all books one behind the other.
        frames: the most frames.
    """

    dim: int = 384
    heads: int = 4
    feedforward: int = 1536
    layers: int = 6
    books: int = 2
    entries: int = 256
    code_dim: int = 256
    frames: int = 256

    def __post_init__(self) -> None:
        if self.code_dim % self.books or self.frames % HALVING or self.dim % self.heads or self.dim % 4:
            raise InputError(f"books must divide code_dim, 2 frames, and 4 and heads dim; found {self}")


class CausalLayer(EncoderLayer):
    """A layer whose tokens see themselves and those before them."""

    def __init__(self, dim: int, heads: int, feedforward: int) -> None:
        super().__init__(dim, heads, feedforward, "gelu")

    def causal(
        self, x: Float[Tensor, "B L dim"], before: KeysValues | None = None
    ) -> tuple[Float[Tensor, "B L dim"], KeysValues]:
        """One layer, and the keys and values of all tokens so far; behind those of `before`, x is one token."""
        y = self.norm1(x)
        queries, keys = self._queries_and_keys(y, None)
        values = self._by_head(self.values(y))
        if before is not None:
            keys, values = torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)
        attended = scaled_dot_product_attention(queries, keys, values, is_causal=before is None)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.linear2(self.activation(self.linear1(self.norm2(x)))), (keys, values)


class CausalStack(nn.Module):
    """Layers behind a table of positions, and a final norm."""

    table: Tensor

    def __init__(self, dim: int, heads: int, feedforward: int, layers: int, longest: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CausalLayer(dim, heads, feedforward) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("table", sine_positions(longest, dim), persistent=False)

    def forward(self, x: Float[Tensor, "B L dim"]) -> Float[Tensor, "B L dim"]:
        """Tokens in, tokens out."""
        return self.continued(x, None)[0]

    def continued(
        self, x: Float[Tensor, "B L dim"], before: list[KeysValues] | None
    ) -> tuple[Float[Tensor, "B L dim"], list[KeysValues]]:
        """The first tokens (`before` is None), or one more token behind those of `before`; and what the next needs."""
        first = 0 if before is None else before[0][0].shape[2]
        x = x + self.table[first : first + x.shape[1]]
        seen = []
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, CausalLayer)
            x, here = layer.causal(x, None if before is None else before[k])
            seen.append(here)
        return self.norm(x), seen


class Coded(NamedTuple):
    """Codes of B sequences, the same as vectors with the encoder's gradient, and the loss that ties both."""

    indices: Int[Tensor, "B steps books"]
    vectors: Float[Tensor, "B steps code_dim"]
    loss: Float[Tensor, ""]


class MotionCodec(nn.Module):
    """The vector-quantised autoencoder. Neither half looks ahead: a beginning has the code that it has in the whole.

    In training, entries that are hardly used (in the beginning: all) become codes of the batch, drawn by chance; else a
    few entries take everything and the others never learn (Dhariwal et al., Jukebox, 2020, section 3.1).
    """

    uses: Tensor
    """How often each entry was used of late; on average 1."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = c = config
        self.embedding = PoseEmbedding(c.dim)
        self.pairs_in = nn.Linear(HALVING * c.dim, c.dim)
        stack = (c.dim, c.heads, c.feedforward, c.layers, c.frames // HALVING)
        self.encoder, self.decoder = CausalStack(*stack), CausalStack(*stack)
        self.to_code, self.from_code = nn.Linear(c.dim, c.code_dim), nn.Linear(c.code_dim, c.dim)
        self.codes = nn.Parameter(torch.randn(c.books, c.entries, c.code_dim // c.books))
        self.register_buffer("uses", torch.zeros(c.books, c.entries))
        self.pairs_out = nn.Linear(c.dim, HALVING * c.dim)
        self.head = PoseHead(c.dim)

    def encode(self, features: Float[Tensor, "B T 153"], known: Bool[Tensor, "B T 42"], learns: bool = False) -> Coded:
        """Codes of sequences; T is even. With `learns`, which is for training, unused entries are replaced first."""
        tokens = self.embedding(self.embedding.fill(features, known))
        halved = self.pairs_in(tokens.unflatten(1, (-1, HALVING)).flatten(2))
        wanted = self.to_code(self.encoder(halved)).unflatten(-1, (self.config.books, -1))
        if learns:
            self._revive(wanted.detach().flatten(0, 1))
        distance = torch.stack([torch.cdist(wanted[:, :, b], self.codes[b]) for b in range(self.config.books)], 2)
        indices = distance.argmin(-1)
        if learns:
            self._count(indices.flatten(0, 1))
        found = self.look_up(indices).view_as(wanted)
        loss = mse_loss(found, wanted.detach()) + COMMITMENT * mse_loss(wanted, found.detach())
        return Coded(indices, (wanted + (found - wanted).detach()).flatten(2), loss)

    @torch.no_grad()
    def _revive(self, wanted: Float[Tensor, "n books dim"]) -> None:
        drawn = torch.randint(len(wanted), (self.config.entries,), device=wanted.device)
        instead = wanted[drawn].transpose(0, 1).contiguous()
        if distributed.is_initialized():
            distributed.broadcast(instead, 0)  # the same in all processes
        unused = self.uses < UNUSED
        self.codes.copy_(torch.where(unused[..., None], instead, self.codes))
        self.uses.masked_fill_(unused, 1)

    @torch.no_grad()
    def _count(self, indices: Int[Tensor, "n books"]) -> None:
        uses = one_hot(indices, self.config.entries).float().mean(0) * self.config.entries
        if distributed.is_initialized():
            distributed.all_reduce(uses)
            uses /= distributed.get_world_size()
        self.uses.lerp_(uses, 1 - MEMORY)

    def look_up(self, indices: Int[Tensor, "B steps books"]) -> Float[Tensor, "B steps code_dim"]:
        """The vectors of codes."""
        return torch.cat([self.codes[b][indices[..., b]] for b in range(self.config.books)], -1)

    def decode(self, vectors: Float[Tensor, "B steps code_dim"]) -> Float[Tensor, "B T 153"]:
        """Features of codes, two frames of each step."""
        tokens = self.pairs_out(self.decoder(self.from_code(vectors)))
        return self.head(tokens.unflatten(-1, (HALVING, -1)).flatten(1, 2)).view(len(vectors), -1, FEATURES)


@dataclass(frozen=True)
class PoseGPTConfig:
    """The shape of the language model, and of the codec whose words it speaks.

    Attributes:
        actions: names whose text embeddings the weights carry.
        label_dim: of those embeddings.
        dim, heads, layers: of the transformer.
        longest: the most frames that a sequence is told to have.
        codec_dim, codec_heads, codec_feedforward, codec_layers, books, entries, code_dim, frames: see `CodecConfig`.
    """

    actions: tuple[str, ...] = ()
    label_dim: int = 512
    dim: int = 256
    heads: int = 4
    layers: int = 8
    longest: int = 512
    codec_dim: int = 384
    codec_heads: int = 4
    codec_feedforward: int = 1536
    codec_layers: int = 6
    books: int = 2
    entries: int = 256
    code_dim: int = 256
    frames: int = 256

    @property
    def codec(self) -> CodecConfig:
        """The codec's own config."""
        return CodecConfig(
            self.codec_dim,
            self.codec_heads,
            self.codec_feedforward,
            self.codec_layers,
            self.books,
            self.entries,
            self.code_dim,
            self.frames,
        )


class PoseGPT(nn.Module):
    """The language model, with its codec inside. Words stand step by step, within a step book by book."""

    action_vectors: Tensor

    def __init__(self, config: PoseGPTConfig) -> None:
        super().__init__()
        self.config = c = config
        self.codec = MotionCodec(c.codec)
        words = c.codec.frames // HALVING * c.codec.books
        self.stack = CausalStack(c.dim, c.heads, 4 * c.dim, c.layers, words + 2)
        self.register_buffer("action_vectors", torch.zeros(len(c.actions), c.label_dim))
        self.action_in, self.length_in = nn.Linear(c.label_dim, c.dim), nn.Embedding(c.longest + 1, c.dim)
        self.word_in = nn.Embedding(c.codec.books * c.codec.entries, c.dim)
        self.word_out = nn.ModuleList(nn.Linear(c.dim, c.codec.entries) for _ in range(c.codec.books))

    def logits(
        self,
        action: Float[Tensor, "B label_dim"],
        length: Int[Tensor, "B"],
        indices: Int[Tensor, "B steps books"],
    ) -> Float[Tensor, "B words_and_next entries"]:
        """For every word of `indices`, and the one behind them, what it could be, given those before it.

        Args:
            action: its text embedding.
            length: frames of the whole sequence.
            indices: the codes so far.
        """
        out = self.stack(self._tokens(action, length, indices.flatten(1)))[:, 1:]
        each = torch.stack([head(out) for head in self.word_out], 2)
        place = torch.arange(out.shape[1], device=out.device)
        return each[:, place, place % self.config.codec.books]

    def loss(
        self, action: Tensor, length: Tensor, indices: Int[Tensor, "B steps books"], counted: Bool[Tensor, "B steps"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy per word of the steps that count."""
        logits = self.logits(action, length, indices)[:, :-1].flatten(0, 1)
        each = cross_entropy(logits, indices.flatten(), reduction="none").view(len(indices), -1)
        words = counted.repeat_interleave(self.config.codec.books, 1)
        return (each * words).sum() / words.sum().clamp(min=1)

    @torch.inference_mode()
    def continue_codes(
        self,
        action: Float[Tensor, "B label_dim"],
        length: Int[Tensor, "B"],
        indices: Int[Tensor, "B steps books"],
        steps: int,
        top: int = 20,
        generator: torch.Generator | None = None,
    ) -> Int[Tensor, "B more books"]:
        """Draw `steps` more steps, each word from the `top` likeliest (section 3.3 there); 0 adds none."""
        books, most = self.config.codec.books, min(top, self.config.codec.entries)
        words = indices.flatten(1)
        out, seen = self.stack.continued(self._tokens(action, length, words), None)
        drawn: list[Tensor] = []
        for place in range(words.shape[1], words.shape[1] + steps * books):
            if drawn:
                out, seen = self.stack.continued(self._words(drawn[-1], place - 1), seen)
            likely, rows = self.word_out[place % books](out[:, -1]).topk(most)
            drawn.append(rows.gather(1, torch.multinomial(likely.softmax(-1), 1, generator=generator)))
        return torch.cat([words, *drawn], 1).unflatten(1, (-1, books))

    def _tokens(self, action: Tensor, length: Tensor, words: Tensor) -> Tensor:
        told = torch.stack([self.action_in(action), self.length_in(length.clamp(0, self.config.longest))], 1)
        return torch.cat([told, self._words(words, 0)], 1)

    def _words(self, words: Int[Tensor, "B n"], first: int) -> Float[Tensor, "B n dim"]:
        """Tokens of words, the first of which is the `first` of the sequence."""
        places = torch.arange(first, first + words.shape[1], device=words.device)
        embedded: Tensor = self.word_in(words + places % self.config.codec.books * self.config.codec.entries)
        return embedded
