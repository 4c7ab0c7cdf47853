"""Pre-norm transformer encoder and decoder (Vaswani et al., 2017) over short sequences."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import gelu, relu, scaled_dot_product_attention

Positions = Literal["queries and keys", "tokens"]
"""Where positions enter: into queries and keys of every layer (Carion et al., 2020), or once into the tokens."""

Activation = Literal["relu", "gelu"]
_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": relu, "gelu": gelu}


def sine_positions(length: int, dim: int) -> Float[Tensor, "length dim"]:
    """The sine/cosine table: even columns sine, odd columns cosine, wavelengths up to 10000 (Vaswani et al., 3.5)."""
    position = torch.arange(length, dtype=torch.float64)[:, None]
    rate = 10000 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    return torch.stack([torch.sin(position * rate), torch.cos(position * rate)], -1).flatten(1).float()


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward block, each behind a layer norm and beside a shortcut."""

    def __init__(self, dim: int, heads: int, feedforward: int, activation: Activation = "relu") -> None:
        super().__init__()
        self.heads, self.activation = heads, _ACTIVATIONS[activation]
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.queries_keys = nn.Linear(dim, 2 * dim)
        self.values = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.linear1, self.linear2 = nn.Linear(dim, feedforward), nn.Linear(feedforward, dim)

    def forward(
        self, x: Float[Tensor, "B L dim"], positions: Float[Tensor, "L dim"] | None, seen: Bool[Tensor, "B L"]
    ) -> Float[Tensor, "B L dim"]:
        """One layer; tokens that are not `seen` are attended to by none."""
        y = self.norm1(x)
        queries, keys = self._queries_and_keys(y, positions)
        attended = scaled_dot_product_attention(
            queries, keys, self._by_head(self.values(y)), attn_mask=seen[:, None, None, :]
        )
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.linear2(self.activation(self.linear1(self.norm2(x))))

    def attention(
        self, x: Float[Tensor, "B L dim"], positions: Float[Tensor, "L dim"] | None, seen: Bool[Tensor, "B L"]
    ) -> Float[Tensor, "B L L"]:
        """Attention weights of the layer on the same input, averaged over heads; rows are queries and sum to 1."""
        queries, keys = self._queries_and_keys(self.norm1(x), positions)
        logits = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
        return logits.masked_fill(~seen[:, None, None, :], -torch.inf).softmax(-1).mean(1)

    def _queries_and_keys(self, y: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        placed = y if positions is None else y + positions
        queries, keys = self.queries_keys(placed).chunk(2, -1)
        return self._by_head(queries), self._by_head(keys)

    def _by_head(self, x: Tensor) -> Tensor:
        return _by_head(x, self.heads)


class Encoder(nn.Module):
    """A stack of layers and a final norm."""

    table: Tensor

    def __init__(
        self,
        dim: int,
        heads: int,
        feedforward: int,
        layers: int,
        longest: int,
        positions: Positions,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.positions = positions
        self.layers = nn.ModuleList(EncoderLayer(dim, heads, feedforward, activation) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("table", sine_positions(longest, dim), persistent=False)
        _initialise(self)

    def forward(self, x: Float[Tensor, "B L dim"], seen: Bool[Tensor, "B L"]) -> Float[Tensor, "B L dim"]:
        """Tokens in, tokens out."""
        x, positions = self._start(x)
        for layer in self.layers:
            assert isinstance(layer, EncoderLayer)
            x = layer(x, positions, seen)
        return self.norm(x)

    def attention(self, x: Float[Tensor, "B L dim"], seen: Bool[Tensor, "B L"]) -> Float[Tensor, "layers B L L"]:
        """Attention weights of every layer, averaged over heads."""
        x, positions = self._start(x)
        maps = []
        for layer in self.layers:
            assert isinstance(layer, EncoderLayer)
            maps.append(layer.attention(x, positions, seen))
            x = layer(x, positions, seen)
        return torch.stack(maps)

    def _start(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        table = self.table[: x.shape[1]]
        return (x, table) if self.positions == "queries and keys" else (x + table, None)


class CrossAttention(nn.Module):
    """Attention of queries to a memory."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries, self.keys, self.values = (nn.Linear(dim, dim) for _ in range(3))
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        queries: Float[Tensor, "B L dim"],
        keys: Float[Tensor, "B M dim"],
        values: Float[Tensor, "B M dim"],
        seen: Bool[Tensor, "B M"],
    ) -> Float[Tensor, "B L dim"]:
        """What each query reads of the part of the memory that is `seen`."""
        attended = scaled_dot_product_attention(
            _by_head(self.queries(queries), self.heads),
            _by_head(self.keys(keys), self.heads),
            _by_head(self.values(values), self.heads),
            attn_mask=seen[:, None, None, :],
        )
        return self.out(attended.transpose(1, 2).flatten(2))


class DecoderLayer(EncoderLayer):
    """An encoder layer with attention to a memory between its two blocks; the memory is not normalised again."""

    def __init__(self, dim: int, heads: int, feedforward: int, activation: Activation) -> None:
        super().__init__(dim, heads, feedforward, activation)
        self.cross, self.norm3 = CrossAttention(dim, heads), nn.LayerNorm(dim)

    def decode(
        self,
        x: Float[Tensor, "B L dim"],
        seen: Bool[Tensor, "B L"],
        memory: Float[Tensor, "B M dim"],
        memory_seen: Bool[Tensor, "B M"],
        table: Float[Tensor, "longest dim"],
    ) -> Float[Tensor, "B L dim"]:
        """One layer; positions of queries and of the memory are rows of the table from 0 on."""
        here, there = table[: x.shape[1]], table[: memory.shape[1]]
        y = self.norm1(x)
        queries, keys = self._queries_and_keys(y, here)
        attended = scaled_dot_product_attention(
            queries, keys, self._by_head(self.values(y)), attn_mask=seen[:, None, None, :]
        )
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        x = x + self.cross(self.norm2(x) + here, memory + there, memory, memory_seen)
        return x + self.linear2(self.activation(self.linear1(self.norm3(x))))


class Decoder(nn.Module):
    """A stack of decoder layers and a final norm. All queries are answered at once."""

    table: Tensor

    def __init__(
        self, dim: int, heads: int, feedforward: int, layers: int, longest: int, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(dim, heads, feedforward, activation) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.register_buffer("table", sine_positions(longest, dim), persistent=False)
        _initialise(self)

    def forward(
        self,
        queries: Float[Tensor, "B L dim"],
        seen: Bool[Tensor, "B L"],
        memory: Float[Tensor, "B M dim"],
        memory_seen: Bool[Tensor, "B M"],
    ) -> Float[Tensor, "B L dim"]:
        """Answers to queries; queries that are not `seen` are answered, but not heeded by the others."""
        x = queries
        for layer in self.layers:
            assert isinstance(layer, DecoderLayer)
            x = layer.decode(x, seen, memory, memory_seen, self.table)
        return self.norm(x)


def _by_head(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, heads, L, dim / heads)


def _initialise(module: nn.Module) -> None:
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
