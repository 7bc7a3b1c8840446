"""NMER, the noise-robust joint representation (NMER 2.3, 2.4, 3.3).

A teacher learns clean data: encoders with a specific and an invariant branch, and a classifier. Then the network itself
sees noisy data. Its encoders start from the teacher's; a VAE turns their features into a joint representation that
should equal the teacher's specific features of the clean data; a classifier reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from robustmer.batch import Batch, mean_over_time
from robustmer.nn.attention import TransformerEncoder
from robustmer.nn.encoders import mlp
from robustmer.nn.gaussians import kl_to_standard, sample
from robustmer.nn.invariant import SpecificInvariant, Teacher
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Stage, System, taught


@dataclass(frozen=True)
class Joint:
    """Everything NMER computes of a batch: class logits, the posterior's mu and logvar, the latent z that was used,
    the joint representation C (as wide as the specific features) and the invariant features H'."""

    logits: Float[Tensor, "batch class"]
    mu: Float[Tensor, "batch latent"]
    logvar: Float[Tensor, "batch latent"]
    z: Float[Tensor, "batch latent"]
    c: Float[Tensor, "batch wide"]
    invariant: Float[Tensor, "batch wide"]


class NMER(System):
    """NMER 2.3. `tokens="one"` is the literal reading: an utterance is one token as wide as all features together
    (768 for three modalities), so attention is a linear map. `tokens="modality"` gives each modality a token.

    At test the latent is its mean. Sizes that the paper does not state are options; latent 64, feed-forward 128 and
    `transformer_dropout` 0.1 are the released code's (0.5 in five post-norm layers would drown the signal).
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 128,
        latent: int = 64,
        layers: int = 5,
        heads: int = 16,
        feedforward: int = 128,
        dropout: float = 0.5,
        transformer_dropout: float = 0.1,
        tokens: str = "one",
        weight_gen: float = 1.0,
        weight_inv: float = 10.0,
        weight_cls: float = 1.0,
    ):
        super().__init__()
        if tokens not in ("one", "modality"):
            raise ValueError(f'tokens={tokens!r}: give "one" (an utterance is a token) or "modality" (a token each)')
        self.tokens, self.weights = tokens, (weight_gen, weight_inv, weight_cls)
        modalities = len(dims)
        wide = 2 * modalities * width
        self.teacher = Teacher(dims, outputs(classes), width, dropout)
        self.encoders = SpecificInvariant(dims, width, dropout)
        if tokens == "modality":
            self.lift = nn.Linear(2 * width, wide)
            self.which = nn.Parameter(0.02 * torch.randn(modalities, wide))
        self.transformer = TransformerEncoder(wide, heads, layers, feedforward, transformer_dropout)
        self.to_mu = nn.Linear(wide, latent)
        self.to_logvar = nn.Linear(wide, latent)
        # NMER 3.3: linear layers {128, 256, 384}; the last is as wide as the target and has no activation, because the
        # target (LSTM states in (-1, 1), ReLU outputs) is neither in (0, 1) nor bounded.
        self.decoder = mlp(latent + modalities * width, width, 2 * width, modalities * width, activation=nn.LeakyReLU)
        # NMER 3.3: "three linear layers of size {384, 128, 4}", read as 384-384-128-4.
        self.classifier = mlp(modalities * width, modalities * width, width, outputs(classes), dropout=dropout)

    def forward(self, seen: Batch) -> Tensor:
        return self.joint(seen).logits

    def joint(self, seen: Batch) -> Joint:
        specific, invariant = self.encoders(seen)
        if self.tokens == "one":
            x = rearrange(torch.stack([specific, invariant]), "branch b m d -> b 1 (branch m d)")
        else:
            x = self.lift(torch.cat([specific, invariant], dim=-1)) + repeat(self.which, "m w -> b m w", b=len(seen))
        if self.tokens == "one":
            encoded = self.transformer(x)[:, 0]
        else:
            here = torch.stack(list(seen.present.values()), dim=1)
            encoded = mean_over_time(self.transformer(x, here), here)
        mu, logvar = self.to_mu(encoded), self.to_logvar(encoded)
        z = sample(mu, logvar) if self.training else mu
        guide = rearrange(invariant, "b m d -> b (m d)")
        c = self.decode(z, guide)
        return Joint(self.classifier(c), mu, logvar, z, c, guide)

    def decode(
        self, z: Float[Tensor, "batch latent"], invariant: Float[Tensor, "batch wide"]
    ) -> Float[Tensor, "batch wide"]:
        """The joint representation C from the latent, guided by H' (NMER 2.3)."""
        return self.decoder(torch.cat([z, invariant], dim=-1))

    def stages(self) -> Iterator[Stage]:
        yield from taught(self, "joint", self.joint_loss)

    def joint_loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        """NMER 2.4. The squared error and the KL are reduced alike: summed over a row's elements and divided by the
        same N, the width of C (eq. 7), so that their sum is a negative ELBO up to that factor."""
        target_c, target_invariant = self.teacher.targets(clean)
        out = self.joint(seen)
        gen, inv, cls = self.weights
        return {
            "kl": gen * kl_to_standard(out.mu, out.logvar).sum(1).mean() / target_c.shape[1],
            "mse": gen * mse_loss(out.c, target_c),
            "inv": inv * mse_loss(out.invariant, target_invariant),
            "cls": cls * task_loss(out.logits, seen.label),
        }
