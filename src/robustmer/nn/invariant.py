"""Features that are specific to a modality, and features that all modalities share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch
from robustmer.nn.encoders import Encoders


class SpecificInvariant(nn.Module):
    """h', one vector a modality from its own encoder, and H', the same in a space that the modalities share.

    Two linear layers, the same for all modalities, lead into the shared space. With `own_encoders` the shared branch
    has encoders of its own (NMER's released code; NMER 2.3 says only "linear structure"), else it reads h' (IF-MMIN).
    """

    def __init__(self, dims: Mapping[str, int], width: int, dropout: float, own_encoders: bool = True):
        super().__init__()
        self.specific = Encoders(dims, width, dropout)
        self.before_shared = Encoders(dims, width, dropout) if own_encoders else None
        self.shared = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU())

    def forward(
        self, batch: Batch
    ) -> tuple[Float[Tensor, "batch modality width"], Float[Tensor, "batch modality width"]]:
        present = rearrange(self.specific.present(batch), "b m -> b m 1")
        specific = self.specific(batch)
        before = specific if self.before_shared is None else self.before_shared(batch)
        return specific, torch.where(present, self.shared(before), 0.0)

    def flat(self, batch: Batch) -> tuple[Float[Tensor, "batch wide"], Float[Tensor, "batch wide"]]:
        """h' and H', the vectors of all modalities side by side."""
        specific, invariant = self(batch)
        return rearrange(specific, "b m d -> b (m d)"), rearrange(invariant, "b m d -> b (m d)")
