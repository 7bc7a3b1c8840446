"""Transformer encoder over the tokens of one sample. Samples of a batch never attend to each other."""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017). Over a single token the softmax is 1 for any scores, so
    attention is the linear map W_o W_v; queries and keys are then not computed."""

    def __init__(self, width: int, heads: int, dropout: float = 0.1):
        super().__init__()
        check_heads(width, heads)
        self.heads, self.dropout = heads, dropout
        self.query_key = nn.Linear(width, 2 * width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "batch token width"], mask: Bool[Tensor, "batch token"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        """Tokens outside the mask are not attended to."""
        value = self.value(x)
        if x.shape[1] == 1:
            return self.out(value)
        parts = (*self.query_key(x).chunk(2, dim=-1), value)
        parts = (rearrange(part, "b t (h d) -> b h t d", h=self.heads) for part in parts)
        mask = None if mask is None else rearrange(mask, "b t -> b 1 1 t")
        dropout = self.dropout if self.training else 0.0
        mixed = nn.functional.scaled_dot_product_attention(*parts, attn_mask=mask, dropout_p=dropout)
        return self.out(rearrange(mixed, "b h t d -> b t (h d)"))


def check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise ValueError(
            f"{heads} heads were given for a width of {width}; give a width that is a multiple of the heads"
        )


class TransformerEncoder(nn.Module):
    """Post-norm encoder layers with ReLU: the function of torch's `nn.TransformerEncoder` (a test compares them)."""

    def __init__(self, width: int, heads: int, layers: int, hidden: int, dropout: float = 0.1):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(layers):
            attention = SelfAttention(width, heads, dropout)
            between = nn.ReLU(), nn.Dropout(dropout)
            feedforward = nn.Sequential(nn.Linear(width, hidden), *between, nn.Linear(hidden, width))
            layer = {"attention": attention, "norm1": nn.LayerNorm(width), "feedforward": feedforward,
                     "norm2": nn.LayerNorm(width)}  # fmt: skip
            self.layers.append(nn.ModuleDict(layer))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "batch token width"], mask: Bool[Tensor, "batch token"] | None = None
    ) -> Float[Tensor, "batch token width"]:
        for layer in self.layers:
            x = layer["norm1"](x + self.dropout(layer["attention"](x, mask)))
            x = layer["norm2"](x + self.dropout(layer["feedforward"](x)))
        return x
