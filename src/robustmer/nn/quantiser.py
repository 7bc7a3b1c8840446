"""Quantiser: vectors replaced by the nearest code of a codebook, which follows them as a moving average."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Vectors = Float[Tensor, "vector width"]
CHUNK = 2048
"""Vectors whose distances are computed at a time: those of 128 codes fit a processor's cache."""


class Quantised(NamedTuple):
    """The nearest code of each vector and its number, the commitment loss, and the perplexity of the numbers."""

    code: Vectors
    index: Int[Tensor, "vector"]
    commitment: Float[Tensor, ""]
    perplexity: Float[Tensor, ""]


class Quantiser(nn.Module):
    r"""A codebook e_1 .. e_K (van den Oord et al. 2017, section 3 and appendix A.1; VQ-MDVAE 2.5).

    The gradient of a code goes straight through to its vector; the codebook gets none. Instead `update`, once after
    each step, moves it towards the n_k vectors of the step whose nearest code is e_k:

        N_k <- decay N_k + (1 - decay) n_k,    m_k <- decay m_k + (1 - decay) sum of the vectors,    e_k = m_k / N_k

    with Laplace smoothing of N_k. Codes begin at random vectors of the first training batch, with N_k = 1. The
    commitment loss is `commitment` times the mean squared distance of the vectors from their codes. The paper states
    none of the numbers; 0.99, 1e-5 and 0.25 are those of its released code. With `restart`, a code whose N_k falls
    below it begins again at a random vector of the step, with N_k = 1; the paper has no restart (0, the default).
    """

    def __init__(
        self, codes: int, width: int, decay: float = 0.99, smoothing: float = 1e-5, commitment: float = 0.25,
        restart: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        if codes < 1 or not 0 <= decay < 1:
            raise ValueError(f"codes={codes}, decay={decay}: give one code or more, and a decay from 0 to below 1")
        self.decay, self.smoothing, self.commitment, self.restart = decay, smoothing, commitment, restart
        self.register_buffer("codebook", torch.randn(codes, width))
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", self.codebook.clone())
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))
        self.step: tuple[Tensor, Tensor] | None = None
        self.drawn = self.codebook  # vectors of the step at which codes may begin again

    def forward(self, x: Vectors) -> Quantised:
        """In training mode the vectors also count for the next `update`; in evaluation mode nothing is kept."""
        if self.training and len(x):
            self.begin(x.detach())
        index = self.nearest(x.detach())
        used = torch.zeros_like(self.count).index_add_(0, index, torch.ones_like(x[:, 0]))
        if self.training:
            total = torch.zeros_like(self.total).index_add_(0, index, x.detach())
            if self.restart and len(x):
                self.drawn = self.draw(x.detach())
            self.step = (used, total) if self.step is None else (self.step[0] + used, self.step[1] + total)
        code = self.codebook[index]
        distance = (x - code).square().sum() / max(1, x.numel())
        return Quantised(code + (x - x.detach()), index, self.commitment * distance, perplexity(used))

    def nearest(self, x: Vectors) -> Int[Tensor, "vector"]:
        """The number of the code with the smallest Euclidean distance, the first of equals."""
        half, codes = 0.5 * self.codebook.square().sum(1), self.codebook.T  # |x - e|^2 / 2 without |x|^2
        parts = [torch.addmm(half, part, codes, alpha=-1).argmin(1) for part in x.split(CHUNK)]
        return torch.cat(parts)

    @torch.no_grad()
    def begin(self, x: Vectors) -> None:
        """Codes at random vectors, once. Vectors are drawn again where they are fewer than the codes."""
        if self.begun:
            return
        self.codebook.copy_(self.draw(x))
        self.total.copy_(self.codebook)
        self.begun.fill_(True)

    def draw(self, x: Vectors) -> Float[Tensor, "code width"]:
        """A random vector for each code."""
        order = torch.randperm(len(x), device=x.device)
        return x[order.repeat(-(-len(self.count) // len(x)))[: len(self.count)]]

    @torch.no_grad()
    def update(self) -> None:
        """Move the codebook towards the vectors of the step. Without any since the last update nothing changes."""
        if self.step is None or not self.begun:
            return
        (used, total), self.step = self.step, None
        self.count.lerp_(used, 1 - self.decay)
        self.total.lerp_(total, 1 - self.decay)
        if self.restart:
            dead = self.count < self.restart
            self.count[dead], self.total[dead] = 1.0, self.drawn[dead]
        whole = self.count.sum()
        smooth = (self.count + self.smoothing) / (whole + len(self.count) * self.smoothing) * whole
        self.codebook.copy_(self.total / smooth[:, None])


def perplexity(used: Float[Tensor, "code"]) -> Float[Tensor, ""]:
    """exp of the entropy of how often each code is used: between 1 and the number of codes that are used at all.

    >>> perplexity(torch.tensor([5.0, 5.0, 0.0]))
    tensor(2.)
    """
    share = used / used.sum().clamp(min=1)
    return torch.exp(torch.special.entr(share).sum())
