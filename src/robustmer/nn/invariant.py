"""Features that are specific to a modality beside features that all modalities share, and a teacher of both."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch
from robustmer.nn.encoders import Encoders, mlp
from robustmer.nn.gaussians import central_moment_discrepancy
from robustmer.nn.task import task_loss


class SpecificInvariant(nn.Module):
    """h', one vector a modality from its own encoder, and H', the same in a space that the modalities share.

    The shared space is two linear layers, the same for all modalities. With `own_encoders` the shared branch has
    encoders of its own (NMER's released code; NMER 2.3 says only "linear structure"), else it reads h' (IF-MMIN).
    """

    def __init__(self, dims: Mapping[str, int], width: int, dropout: float, own_encoders: bool = True):
        super().__init__()
        self.specific = Encoders(dims, width, dropout)
        self.before_shared = Encoders(dims, width, dropout) if own_encoders else None
        self.shared = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU())

    def forward(
        self, seen: Batch
    ) -> tuple[Float[Tensor, "batch modality width"], Float[Tensor, "batch modality width"]]:
        here = rearrange(torch.stack(list(seen.present.values()), dim=1), "b m -> b m 1")
        specific = self.specific(seen)
        before = specific if self.before_shared is None else self.before_shared(seen)
        return specific, torch.where(here, self.shared(before), 0.0)


class Teacher(nn.Module):
    """The encoders with a classifier on both branches, for clean data (IF-MMIN, and NMER's first stage)."""

    def __init__(
        self, dims: Mapping[str, int], classes: int, width: int, dropout: float, own_encoders: bool = True
    ):
        super().__init__()
        self.encoders = SpecificInvariant(dims, width, dropout, own_encoders)
        self.classifier = mlp(2 * len(dims) * width, width, width, classes, dropout=dropout)

    def forward(self, clean: Batch) -> Tensor:
        return self.classify(*self.encoders(clean))

    def classify(self, specific: Tensor, invariant: Tensor) -> Tensor:
        return self.classifier(rearrange(torch.cat([specific, invariant], dim=-1), "b m d -> b (m d)"))

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        """Cross-entropy, and the invariant features' central moment discrepancy, mean over pairs of modalities."""
        specific, invariant = self.encoders(clean)
        pairs = torch.combinations(torch.arange(invariant.shape[1])).tolist()
        present = list(clean.present.values())
        both = [present[a] & present[b] for a, b in pairs]
        apart = [
            central_moment_discrepancy(invariant[rows, a], invariant[rows, b])
            for (a, b), rows in zip(pairs, both, strict=True)
            if rows.any()
        ]
        logits = self.classify(specific, invariant)
        return {"cls": task_loss(logits, clean.label)} | ({"cmd": torch.stack(apart).mean()} if apart else {})

    @torch.no_grad()
    def targets(self, clean: Batch) -> tuple[Float[Tensor, "batch wide"], Float[Tensor, "batch wide"]]:
        """Specific and invariant features of clean data, one row an utterance, without dropout and without gradient."""
        training = self.training
        self.eval()
        specific, invariant = self.encoders(clean)
        self.train(training)
        return rearrange(specific, "b m d -> b (m d)"), rearrange(invariant, "b m d -> b (m d)")
