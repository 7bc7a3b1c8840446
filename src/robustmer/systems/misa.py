"""MISA: features that the modalities share, and those of each modality (Hazarika, Zimmermann and Poria 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from robustmer.batch import Batch, Shape
from robustmer.nn.attention import TransformerEncoder
from robustmer.nn.encoders import Encoders, mlp
from robustmer.nn.gaussians import central_moment_discrepancy
from robustmer.systems.system import AdamW, System, widths
from robustmer.tasks import Task

Vectors = Float[Tensor, "batch modality width"]


@dataclass(frozen=True)
class Subspaces:
    """MISA's representation of a batch: the features u of each modality, h^c in the space that they share, h^p in the
    space of their own, u rebuilt from both, and which modalities are present. Absent ones are never read."""

    features: Vectors
    shared: Vectors
    private: Vectors
    rebuilt: Vectors
    present: Bool[Tensor, "batch modality"]


class MISA(System):
    """Each modality's features are mapped into a space that all share and into one of its own. The 2 M vectors of a
    sample are the tokens of a transformer layer, and a classifier reads them side by side.

    L = task + `weight_sim` sim + `weight_diff` diff + `weight_recon` recon (section 3.5). `sim` is the central moment
    discrepancy up to order 5 between the shared vectors of two modalities, mean over the pairs; the sigmoid keeps them
    in (0, 1), so the factors 1/|b - a|^k of the paper are 1. `diff` is `overlap`, summed over each modality's two
    vectors and over all pairs of own vectors. `recon` is the mean squared error of u, mean over the modalities.

    Sizes, weights, dropout and learning rate are the defaults of the authors' code. Encoders (theirs: bidirectional
    LSTMs and BERT) and the loss of a regression (theirs: squared error) are the library's, and gradients are not
    clipped.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, width: int = 128, heads: int = 2, dropout: float = 0.5,
        transformer_dropout: float = 0.1, weight_sim: float = 1.0, weight_diff: float = 0.3, weight_recon: float = 1.0,
        lr: float = 1e-4,
    ):  # fmt: skip
        super().__init__()
        self.weights, self.optimizer = (weight_sim, weight_diff, weight_recon), AdamW(lr)
        line = lambda: nn.Linear(width, width)  # noqa: E731
        self.encoders = Encoders(widths(shapes), width, dropout)
        self.project = nn.ModuleList(nn.Sequential(line(), nn.ReLU(), nn.LayerNorm(width)) for _ in shapes)
        self.shared = nn.Sequential(line(), nn.Sigmoid())
        self.private = nn.ModuleList(nn.Sequential(line(), nn.Sigmoid()) for _ in shapes)
        self.rebuild = nn.ModuleList(line() for _ in shapes)
        self.transformer = TransformerEncoder(width, heads, layers=1, hidden=2048, dropout=transformer_dropout)
        wide = len(shapes) * width
        self.classifier = mlp(2 * wide, wide, task.outputs, dropout=dropout, kaiming=False)

    def forward(self, observed: Batch) -> Tensor:
        return self.classify(self.subspaces(observed))

    def subspaces(self, observed: Batch) -> Subspaces:
        encoded = self.encoders(observed).unbind(1)
        features = [project(x) for project, x in zip(self.project, encoded, strict=True)]
        shared = [self.shared(u) for u in features]
        private = [own(u) for own, u in zip(self.private, features, strict=True)]
        rebuilt = [rebuild(c + p) for rebuild, c, p in zip(self.rebuild, shared, private, strict=True)]
        stacked = (torch.stack(part, dim=1) for part in (features, shared, private, rebuilt))
        return Subspaces(*stacked, self.encoders.present(observed))

    def classify(self, parts: Subspaces) -> Tensor:
        mask = torch.cat([parts.present, parts.present], dim=1)
        only = rearrange(mask, "b token -> b token 1")
        tokens = torch.where(only, torch.cat([parts.private, parts.shared], dim=1), 0.0)
        mixed = torch.where(only, self.transformer(tokens, mask), 0.0)
        return self.classifier(rearrange(mixed, "b token width -> b (token width)"))

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        """Each term is over the samples that have the modality, or both modalities of a pair; without such samples it
        is left out."""
        parts = self.subspaces(observed)
        sim, diff, recon = [], [], []
        for m, rows in enumerate(parts.present.unbind(1)):
            if rows.any():
                diff.append(overlap(parts.shared[rows, m], parts.private[rows, m]))
                recon.append(mse_loss(parts.rebuilt[rows, m], parts.features[rows, m]))
        for a, b in combinations(range(parts.present.shape[1]), 2):
            rows = parts.present[:, a] & parts.present[:, b]
            if rows.any():
                sim.append(central_moment_discrepancy(parts.shared[rows, a], parts.shared[rows, b]))
                diff.append(overlap(parts.private[rows, a], parts.private[rows, b]))
        weight_sim, weight_diff, weight_recon = self.weights
        terms = {"task": self.task.loss(self.classify(parts), observed)}
        if diff:
            terms |= {"diff": weight_diff * torch.stack(diff).sum(), "recon": weight_recon * torch.stack(recon).mean()}
        return terms | ({"sim": weight_sim * torch.stack(sim).mean()} if sim else {})


def overlap(x: Float[Tensor, "sample dim"], y: Float[Tensor, "sample other"]) -> Float[Tensor, ""]:
    """The soft orthogonality constraint: ||X' Y||^2 of the features, centred over the samples, each sample then of
    length 1.

    The paper writes the sum over the entries of X' Y; the authors' code takes their mean, and their weight belongs to
    it, so the mean is taken here.

    >>> x = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    >>> overlap(x, x), overlap(x, torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]))
    (tensor(16.), tensor(0.))
    """
    x, y = (normalize(part - part.mean(0), dim=1) for part in (x, y))
    return (x.T @ y).square().mean()
