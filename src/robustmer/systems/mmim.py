"""MMIM: mutual information between modalities, and between each of them and their fusion (Han, Chen and Poria 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, one_hot

from robustmer.batch import MODALITIES, Batch
from robustmer.nn.encoders import Encoders, mlp
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Objective, Stage, System

NOISE = 1e-3
"""Variance of the Gaussian noise through which a code is read when its mutual information is bounded. Without it a code
that is a function of the other has infinite information, and a covariance of few rows has no determinant."""


class MMIM(System):
    """A network fuses one code a modality, and the information that would be lost on the way is kept by two bounds.

    Between modalities: the bound of Barber and Agakov, I(X; Y) >= E log q(y|x) + H(Y), from the first of text, visual
    and audio that the corpus has to each of the others (the paper's pairs are text and visual, text and audio), with a
    Gaussian q and H(Y) from a Gaussian for each class. From the fusion back to each modality: contrastive predictive
    coding. In every step q first learns to predict (`likelihood`), then the rest learns L = task + `weight_cpc` CPC -
    `weight_mi` bounds and leaves q as it is (the authors' code takes turns by epochs).

    Sizes (16 for the codes of voice and video, 128 for the fusion), weights (0.1 each), dropout 0.1 and learning rate
    1e-3 are the defaults of the authors' code. Simplified: H(Y) is of the rows of one batch (theirs adds those of the
    batch before) and of the code itself, as in the paper (theirs: of four numbers made from it); the encoders are the
    library's, with a linear layer to the code (theirs: LSTMs of 16 units, and BERT's 768 for text); Xavier's first
    weights and the clipping of gradients at 1 are left out. Log q is a whole log density, as in the paper: the authors'
    code leaves out log sigma, so that it is highest where sigma is infinite.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 128,
        code: int = 16,
        fusion: int = 128,
        dropout: float = 0.1,
        weight_cpc: float = 0.1,
        weight_mi: float = 0.1,
        lr: float = 1e-3,
    ):
        super().__init__()
        self.weight_cpc, self.weight_mi, self.lr = weight_cpc, weight_mi, lr
        self.groups = len(classes) or 2
        self.source, *targets = [m for m in reversed(MODALITIES) if m in dims]
        self.encoders = Encoders(dims, width, dropout)
        self.narrow = nn.ModuleDict({m: nn.Sequential(nn.Dropout(dropout), nn.Linear(width, code)) for m in targets})
        self.guess = nn.ModuleDict({m: Guess(width, code) for m in targets})
        widths = {m: code if m in targets else width for m in dims}
        two_layers = mlp(sum(widths.values()), fusion, fusion, activation=nn.Tanh, kaiming=False)
        self.fuse = nn.Sequential(nn.Dropout(dropout), two_layers, nn.Tanh())
        self.classifier = nn.Linear(fusion, outputs(classes))
        self.back = nn.ModuleDict({m: nn.Linear(fusion, wide) for m, wide in widths.items()})

    def forward(self, seen: Batch) -> Tensor:
        return self.classifier(self.fused(self.codes(seen)))

    def codes(self, seen: Batch) -> dict[str, Float[Tensor, "batch _"]]:
        """One vector for each row and modality; 0 where it is absent."""
        encoded = dict(zip(self.encoders.each, self.encoders(seen).unbind(1), strict=True))
        narrow = {m: torch.where(seen.present[m][:, None], self.narrow[m](encoded[m]), 0.0) for m in self.narrow}
        return encoded | narrow

    def fused(self, codes: Mapping[str, Tensor]) -> Float[Tensor, "batch fusion"]:
        return self.fuse(torch.cat(list(codes.values()), dim=1))

    def stages(self) -> Iterator[Stage]:
        guessing = {id(p) for p in self.guess.parameters()}
        rest = [p for p in self.parameters() if id(p) not in guessing]
        objectives = {"main": Objective(self.loss, rest, lr=self.lr)}
        if self.guess:  # a single modality has nothing to predict
            objectives = {"guess": Objective(self.likelihood, self.guess.parameters(), lr=self.lr), **objectives}
        yield Stage("fuse", objectives)

    def likelihood(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        """Minus E log q(y|x), which teaches q alone."""
        with torch.no_grad():
            codes = self.codes(seen)
        return {"nll": -sum(self.log_likelihoods(codes, seen))}

    def log_likelihoods(self, codes: Mapping[str, Tensor], seen: Batch) -> list[Float[Tensor, ""]]:
        """E log q(y|x) of each pair in nats, mean over the rows that have both modalities."""
        return [
            mean_over_rows(log_density(codes[m], *guess(codes[self.source])), self.both(seen, m))
            for m, guess in self.guess.items()
        ]

    def both(self, seen: Batch, modality: str) -> Bool[Tensor, "batch"]:
        return seen.present[self.source] & seen.present[modality]

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        codes = self.codes(seen)
        fused = self.fused(codes)
        # The paper's two groups of a regression are the polarities; for classes they are the classes.
        group = (seen.label >= 0).long() if seen.label.is_floating_point() else seen.label
        terms = {
            "cls": task_loss(self.classifier(fused), seen.label),
            "cpc": self.weight_cpc * sum(cpc(back(fused), codes[m], seen.present[m]) for m, back in self.back.items()),
        }
        if self.guess:
            entropies = [mixture_entropy(codes[m], group, self.groups, self.both(seen, m)) for m in self.guess]
            terms["mi"] = -self.weight_mi * (sum(self.log_likelihoods(codes, seen)) + sum(entropies))
        return terms


class Guess(nn.Module):
    """q(y|x): mean and log variance of y, each by two layers."""

    def __init__(self, width: int, code: int):
        super().__init__()
        self.mu = mlp(width, code, code, kaiming=False)
        self.logvar = mlp(width, code, code, kaiming=False)

    def forward(
        self, x: Float[Tensor, "batch width"]
    ) -> tuple[Float[Tensor, "batch code"], Float[Tensor, "batch code"]]:
        return self.mu(x), self.logvar(x)


def log_density(
    y: Float[Tensor, "batch dim"],
    mu: Float[Tensor, "batch dim"],
    logvar: Float[Tensor, "batch dim"],
    noise: float = NOISE,
) -> Float[Tensor, "batch"]:
    """Log density of N(mu, exp logvar) in nats, expected over y + N(0, noise)."""
    return -0.5 * (math.log(2 * math.pi) + logvar + ((y - mu).square() + noise) * (-logvar).exp()).sum(1)


def mixture_entropy(
    y: Float[Tensor, "batch dim"],
    group: Int[Tensor, "batch"],
    groups: int,
    here: Bool[Tensor, "batch"],
    noise: float = NOISE,
) -> Float[Tensor, ""]:
    """Entropy in nats of y + N(0, noise), from below: sum_c w_c 1/2 log det(2 pi e Sigma_c), a Gaussian for each group.

    The mixture's entropy is at least that of its parts (Huber et al. 2008). w_c is the share of the group among the
    rows that are `here`; the paper takes 1/2 for each polarity.
    """
    member = one_hot(group, groups) * here[:, None].to(y)
    count = member.sum(0)
    mean = member.T @ y / count.clamp(min=1)[:, None]
    apart = y - mean[group]
    covariance = torch.einsum("bg,bd,be->gde", member, apart, apart) / count.clamp(min=1)[:, None, None]
    spread = covariance + noise * torch.eye(y.shape[1]).to(y)
    entropy = 0.5 * (y.shape[1] * math.log(2 * math.pi * math.e) + torch.linalg.slogdet(spread).logabsdet)
    return (count * entropy).sum() / count.sum().clamp(min=1)


def cpc(
    guess: Float[Tensor, "batch dim"],
    code: Float[Tensor, "batch dim"],
    here: Bool[Tensor, "batch"],
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Contrastive predictive coding: minus log softmax of a row's own score among all rows that are `here`, mean over
    them. The score is the cosine of what the fusion predicts and a row's code, divided by the temperature. log N minus
    this is a lower bound of the mutual information of guess and code, and at most log N."""
    scores = normalize(guess, dim=1) @ normalize(code, dim=1).T / temperature
    own = torch.eye(len(code), dtype=torch.bool, device=code.device)  # keeps a row that is not here finite
    scores = scores.masked_fill(~here[None, :] & ~own, -torch.inf)
    each = cross_entropy(scores, torch.arange(len(code), device=code.device), reduction="none")
    return mean_over_rows(each, here)


def mean_over_rows(value: Float[Tensor, "batch"], here: Bool[Tensor, "batch"]) -> Float[Tensor, ""]:
    """Mean over the rows that are `here`; 0 where there are none."""
    return (value * here).sum() / here.sum().clamp(min=1)
