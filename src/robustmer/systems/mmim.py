"""MMIM: mutual information between modalities, and between each of them and their fusion (Han, Chen and Poria 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from robustmer.batch import MODALITIES, Batch, Shape
from robustmer.nn.contrast import cpc, masked_mean
from robustmer.nn.encoders import Encoders, mlp
from robustmer.systems.system import AdamW, Objective, System, widths
from robustmer.tasks import Classify, Task

Codes = Float[Tensor, "batch dim"]
Mask = Bool[Tensor, "batch"]
NOISE = 1e-3
"""Variance of the Gaussian noise through which a code is read when its mutual information is bounded. Without it a code
that is a function of the other has infinite information, and a covariance of few samples has no determinant."""


class MMIM(System):
    """A network fuses one code a modality, and two bounds keep the information that would be lost in the fusion.

    Between modalities: the bound of Barber and Agakov, I(X; Y) >= E log q(y|x) + H(Y), from the first of text, visual
    and audio that the corpus has to each of the others (the paper's pairs are text and visual, text and audio), with a
    Gaussian q and H(Y) from a Gaussian for each class. From the fusion back to each modality: contrastive predictive
    coding. In every step q first learns to predict (`likelihood`), then the rest learns L = task + `weight_cpc` CPC -
    `weight_mi` bounds and leaves q as it is (the authors' code takes turns by epochs).

    Sizes (16 for the codes of voice and video, 128 for the fusion), weights (0.1 each), dropout 0.1 and learning rate
    1e-3 are the defaults of the authors' code. Simplified: H(Y) is of the samples of one batch (theirs adds those of
    the batch before) and of the code itself, as in the paper (theirs: of four numbers made from it); the encoders are
    the library's, with a linear layer to the code (theirs: LSTMs of 16 units, and BERT's 768 for text); Xavier's first
    weights and the clipping of gradients at 1 are left out. Log q is a complete log density, as in the paper: the
    authors' code leaves out log sigma, so that it is highest where sigma is infinite.
    """

    phase = "fuse"

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, width: int = 128, code: int = 16, fusion: int = 128,
        dropout: float = 0.1, weight_cpc: float = 0.1, weight_mi: float = 0.1, lr: float = 1e-3,
    ):  # fmt: skip
        super().__init__()
        self.weight_cpc, self.weight_mi, self.optimizer = weight_cpc, weight_mi, AdamW(lr)
        # The paper's two groups of a regression are the polarities; for classes they are the classes.
        self.groups = task.outputs if isinstance(task, Classify) else 2
        self.source, *targets = text_first(shapes)
        self.encoders = Encoders(widths(shapes), width, dropout)
        self.narrow = nn.ModuleDict({m: nn.Sequential(nn.Dropout(dropout), nn.Linear(width, code)) for m in targets})
        self.guess = nn.ModuleDict({m: Guess(width, code) for m in targets})
        sizes = {m: code if m in targets else width for m in shapes}
        two_layers = mlp(sum(sizes.values()), fusion, fusion, activation=nn.Tanh, kaiming=False)
        self.fuse = nn.Sequential(nn.Dropout(dropout), two_layers, nn.Tanh())
        self.classifier = nn.Linear(fusion, task.outputs)
        self.back = nn.ModuleDict({m: nn.Linear(fusion, size) for m, size in sizes.items()})

    def forward(self, observed: Batch) -> Tensor:
        return self.classifier(self.fused(self.codes(observed)))

    def codes(self, observed: Batch) -> dict[str, Float[Tensor, "batch _"]]:
        """One vector for each sample and modality; 0 where it is absent."""
        codes = dict(zip(self.shapes, self.encoders(observed).unbind(1), strict=True))
        for m, narrow in self.narrow.items():
            codes[m] = torch.where(rearrange(observed.present[m], "b -> b 1"), narrow(codes[m]), 0.0)
        return codes

    def fused(self, codes: Mapping[str, Tensor]) -> Float[Tensor, "batch fusion"]:
        return self.fuse(torch.cat(list(codes.values()), dim=1))

    def objectives(self) -> dict[str, Objective]:
        guessing = {id(p) for p in self.guess.parameters()}
        main = Objective(self.loss, [p for p in self.parameters() if id(p) not in guessing], self.optimizer)
        guess = Objective(self.likelihood, list(self.guess.parameters()), self.optimizer)
        return {"guess": guess, "main": main} if self.guess else {"main": main}  # a single modality has no pair

    def likelihood(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        """Minus E log q(y|x), which trains q alone."""
        with torch.no_grad():
            codes = self.codes(observed)
        return {"nll": -sum(self.log_likelihoods(codes, observed))}

    def log_likelihoods(self, codes: Mapping[str, Tensor], observed: Batch) -> list[Float[Tensor, ""]]:
        """E log q(y|x) of each pair in nats, mean over the samples that have both modalities."""
        return [
            masked_mean(log_density(codes[m], *guess(codes[self.source])), self.both(observed, m))
            for m, guess in self.guess.items()
        ]

    def both(self, observed: Batch, modality: str) -> Mask:
        return observed.present[self.source] & observed.present[modality]

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        codes, present, label = self.codes(observed), observed.present, self.task.labels(observed)
        fused = self.fused(codes)
        group = (label >= 0).long() if label.is_floating_point() else label
        terms = {
            "task": self.task.loss(self.classifier(fused), observed),
            "cpc": self.weight_cpc * sum(cpc(back(fused), codes[m], present[m]) for m, back in self.back.items()),
        }
        if self.guess:
            entropies = [mixture_entropy(codes[m], group, self.groups, self.both(observed, m)) for m in self.guess]
            terms["mi"] = -self.weight_mi * (sum(self.log_likelihoods(codes, observed)) + sum(entropies))
        return terms


def text_first(modalities: Mapping[str, Shape]) -> list[str]:
    """Text, visual, audio, then modalities of other names.

    >>> text_first({"audio": (2,), "text": (3,), "pulse": (1,)})
    ['text', 'audio', 'pulse']
    """
    return [m for m in reversed(MODALITIES) if m in modalities] + [m for m in modalities if m not in MODALITIES]


class Guess(nn.Module):
    """q(y|x): mean and log variance of y, two layers for either."""

    def __init__(self, width: int, code: int):
        super().__init__()
        self.mu = mlp(width, code, code, kaiming=False)
        self.logvar = mlp(width, code, code, kaiming=False)

    def forward(self, x: Codes) -> tuple[Float[Tensor, "batch code"], Float[Tensor, "batch code"]]:
        return self.mu(x), self.logvar(x)


def log_density(y: Codes, mu: Codes, logvar: Codes, noise: float = NOISE) -> Float[Tensor, "batch"]:
    """Log density of N(mu, exp logvar) in nats, expected over y + N(0, noise)."""
    return -0.5 * (math.log(2 * math.pi) + logvar + ((y - mu).square() + noise) * (-logvar).exp()).sum(1)


def mixture_entropy(
    y: Codes, group: Int[Tensor, "batch"], groups: int, mask: Mask, noise: float = NOISE
) -> Float[Tensor, ""]:
    """Entropy in nats of y + N(0, noise), from below: sum_c w_c 1/2 log det(2 pi e Sigma_c), a Gaussian for each group.

    The mixture's entropy is at least that of its parts (Huber et al. 2008). w_c is the share of the group among the
    samples in the mask; the paper takes 1/2 for each polarity.
    """
    member = one_hot(group, groups) * mask[:, None].to(y)
    count = member.sum(0)
    mean = member.T @ y / count.clamp(min=1)[:, None]
    apart = y - mean[group]
    covariance = torch.einsum("bg,bd,be->gde", member, apart, apart) / count.clamp(min=1)[:, None, None]
    spread = covariance + noise * torch.eye(y.shape[1]).to(y)
    entropy = 0.5 * (y.shape[1] * math.log(2 * math.pi * math.e) + torch.linalg.slogdet(spread).logabsdet)
    return (count * entropy).sum() / count.sum().clamp(min=1)
