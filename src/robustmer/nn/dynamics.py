"""Chains of latents: a Gaussian for each frame, given the latents before it (VQ-MDVAE 2.2 and 2.3, Table A.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence

from robustmer.nn.gaussians import kl_between

LIMIT = 10.0
"""The largest log-variance, and minus the smallest. Table A.7 calls it sigma, and gives it no activation."""

Heads = Float[Tensor, "... two_sizes"]
Frames = Float[Tensor, "batch time _"]


def gaussian(heads: Heads) -> tuple[Tensor, Tensor]:
    """Mean and log-variance from the two last layers side by side."""
    mean, logvar = heads.chunk(2, dim=-1)
    return mean, logvar.clamp(-LIMIT, LIMIT)


class Path(NamedTuple):
    """The latents z (batch, time, size) of a chain, with the posterior that they come from and the prior along them."""

    z: Frames
    mean: Frames
    logvar: Frames
    prior_mean: Frames
    prior_logvar: Frames

    @property
    def kl(self) -> Frames:
        """KL of posterior and prior in nats, for each frame and dimension."""
        return kl_between(self.mean, self.logvar, self.prior_mean, self.prior_logvar)


class Chain(nn.Module):
    """The prior p(z_t | z_1:t-1) and the posterior q(z_t | z_1:t-1, context of frame t), eqs. 4-6 and 8-10 (B4 to B9).

    Both read the state of one GRU, which the posterior's latents drive; at the first frame it is zero. The context is
    `frame` values of the frame itself and `static` values of the sequence: the posterior is causal (2.3).
    """

    def __init__(
        self, size: int, frame: int, static: int, prior: int = 64, posterior: tuple[int, int] = (256, 128),
        state: int = 128, activation: type[nn.Module] = nn.ReLU,
    ):  # fmt: skip
        super().__init__()
        self.size, self.parts, wide, narrow = size, (frame, static, state), *posterior
        self.gru = nn.GRUCell(size, state)
        self.prior = nn.Sequential(nn.Linear(state, prior), nn.ReLU(), nn.Linear(prior, 2 * size))
        self.first = nn.Linear(frame + static + state, wide)
        self.rest = nn.Sequential(activation(), nn.Linear(wide, narrow), activation(), nn.Linear(narrow, 2 * size))

    def context(
        self, frames: Frames, static: Float[Tensor, "batch static"]
    ) -> tuple[Float[Tensor, "batch time wide"], Float[Tensor, "state wide"]]:
        """What the posterior's first layer makes of frames and static values, and its weights of the state."""
        of_frame, of_static, of_state = self.first.weight.split(self.parts, dim=1)
        return linear(frames, of_frame, self.first.bias) + linear(static, of_static)[:, None], of_state.mT


def unroll(
    chains: Sequence[Chain],
    frames: Sequence[Frames],
    static: Float[Tensor, "batch static"],
    observed: Sequence[Bool[Tensor, "batch time"]],
    sample: bool,
) -> list[Path]:
    """The latents of chains of one size, computed side by side: one product steps the GRUs of all.

    Only what depends on the latent before is in the loop over frames. A frame that is not `observed` has the prior as
    its posterior. Latents are drawn from torch's global stream, or posterior means without `sample`.
    """
    gru = [chain.gru for chain in chains]
    into, back = (torch.stack([getattr(cell, name).mT for cell in gru]) for name in ("weight_ih", "weight_hh"))
    into_bias, back_bias = (
        torch.stack([getattr(cell, name) for cell in gru])[:, None] for name in ("bias_ih", "bias_hh")
    )
    contexts, of_state = zip(*(chain.context(x, static) for chain, x in zip(chains, frames, strict=True)), strict=True)
    contexts = [context.unbind(1) for context in contexts]
    recorded = None if all(bool(mask.all()) for mask in observed) else torch.stack(list(observed))[..., None].unbind(2)
    (batch, time, _), size, wide = frames[0].shape, chains[0].size, gru[0].hidden_size
    noise = static.new_empty(len(chains), batch, time, size).normal_().unbind(2) if sample else None
    state, states, posteriors, latents = static.new_zeros(len(chains), batch, wide), [], [], []
    for t in range(time):
        heads = torch.stack([
            chain.rest(torch.addmm(context[t], h, weight))
            for chain, context, h, weight in zip(chains, contexts, state, of_state, strict=True)
        ])  # fmt: skip
        if recorded is not None:
            prior = torch.stack([chain.prior(h) for chain, h in zip(chains, state, strict=True)])
            heads = torch.where(recorded[t], heads, prior)
        mean, logvar = gaussian(heads)
        z = mean if noise is None else torch.addcmul(mean, (0.5 * logvar).exp(), noise[t])
        states.append(state)
        posteriors.append(heads)
        latents.append(z)
        if t + 1 < time:
            new, old = torch.baddbmm(into_bias, z, into), torch.baddbmm(back_bias, state, back)
            reset, keep = (new[..., : 2 * wide] + old[..., : 2 * wide]).sigmoid().chunk(2, dim=-1)
            proposal = torch.addcmul(new[..., 2 * wide :], reset, old[..., 2 * wide :]).tanh()
            state = torch.lerp(proposal, state, keep)
    z, heads, before = (torch.stack(values, dim=2) for values in (latents, posteriors, states))
    return [Path(z[k], *gaussian(heads[k]), *gaussian(chain.prior(before[k]))) for k, chain in enumerate(chains)]


class StaticEncoder(nn.Module):
    """q(w | x_1:T), B3: the last states of a bidirectional GRU, a layer of tanh, mean and log-variance of w."""

    def __init__(self, frame: int, size: int, hidden: int = 256):
        super().__init__()
        self.gru = nn.GRU(frame, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.Tanh(), nn.Linear(hidden, 2 * size))

    def forward(self, frames: Frames, mask: Bool[Tensor, "batch time"]) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, (batch, size), from the first frames, which `mask` marks."""
        lengths = mask.sum(1).clamp(min=1).cpu()
        if (lengths < frames.shape[1]).any():
            frames = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        return gaussian(self.out(torch.cat([*self.gru(frames)[1]], dim=-1)))
