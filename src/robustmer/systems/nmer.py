"""NMER, the noise-robust joint representation (NMER 2.3, 2.4, 3.3), and its ablation without the VAE.

A teacher learns clean data: encoders with a specific and an invariant branch, and a classifier. Then the network learns
noisy data. Its encoders start from the teacher's; a VAE turns their features into a joint representation that should
equal the teacher's specific features of the clean data; a classifier reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from robustmer.batch import Batch, Shape, mean_over_time
from robustmer.nn.attention import TransformerEncoder
from robustmer.nn.encoders import mlp
from robustmer.nn.gaussians import kl_to_standard, sample
from robustmer.nn.invariant import SpecificInvariant
from robustmer.systems.system import System, start_from, widths
from robustmer.systems.teacher import InvariantTeacher, teacher_of
from robustmer.tasks import Task


@dataclass(frozen=True)
class Joint:
    """All that NMER computes for a batch: the outputs, the posterior's mu and logvar, the latent z that was used, the
    joint representation C (as wide as the specific features) and the invariant features H'."""

    logits: Float[Tensor, "batch class"]
    mu: Float[Tensor, "batch latent"]
    logvar: Float[Tensor, "batch latent"]
    z: Float[Tensor, "batch latent"]
    c: Float[Tensor, "batch wide"]
    invariant: Float[Tensor, "batch wide"]


class NMER(System):
    """NMER 2.3. With `tokens="one"`, the literal reading, a sample is one token as wide as all features together (768
    for three modalities); with "modality" each modality is a token. In evaluation the latent is its mean. Sizes that
    the paper does not state (latent, feed-forward, `transformer_dropout`) are those of the released code.
    """

    phase = "joint"
    upstream = {"teacher": teacher_of("NMER")}

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, teacher: InvariantTeacher, width: int = 128, latent: int = 64,
        layers: int = 5, heads: int = 16, feedforward: int = 128, dropout: float = 0.5,
        transformer_dropout: float = 0.1, tokens: str = "one",
        weight_gen: float = 1.0, weight_inv: float = 10.0, weight_cls: float = 1.0,
    ):  # fmt: skip
        super().__init__()
        if tokens not in ("one", "modality"):
            raise ValueError(f'tokens={tokens!r}: give "one" (a sample is a token) or "modality" (a token a modality)')
        self.tokens, self.weights = tokens, (weight_gen, weight_inv, weight_cls)
        wide = len(shapes) * width
        self.teacher = teacher
        self.encoders = SpecificInvariant(widths(shapes), width, dropout)
        if tokens == "modality":
            self.lift = nn.Linear(2 * width, 2 * wide)
            self.which = nn.Parameter(0.02 * torch.randn(len(shapes), 2 * wide))
        self.transformer = TransformerEncoder(2 * wide, heads, layers, feedforward, transformer_dropout)
        self.to_mu = nn.Linear(2 * wide, latent)
        self.to_logvar = nn.Linear(2 * wide, latent)
        # NMER 3.3: linear layers {128, 256, 384}; the last is as wide as the target and has no activation, because the
        # target (LSTM states in (-1, 1), ReLU outputs) is neither in (0, 1) nor bounded.
        self.decoder = mlp(latent + wide, width, 2 * width, wide, activation=nn.LeakyReLU)
        # NMER 3.3: "three linear layers of size {384, 128, 4}", read as 384-384-128-4.
        self.classifier = mlp(wide, wide, width, task.outputs, dropout=dropout)
        start_from(self.encoders, teacher.encoders, self)

    def forward(self, observed: Batch) -> Tensor:
        return self.joint(observed).logits

    def joint(self, observed: Batch) -> Joint:
        specific, invariant = self.encoders(observed)
        if self.tokens == "one":
            x = rearrange(torch.stack([specific, invariant]), "branch b m d -> b 1 (branch m d)")
            encoded = self.transformer(x)[:, 0]
        else:
            x = self.lift(torch.cat([specific, invariant], dim=-1)) + repeat(
                self.which, "m w -> b m w", b=len(observed)
            )
            present = self.encoders.specific.present(observed)
            encoded = mean_over_time(self.transformer(x, present), present)
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

    def targets(self, clean: Batch) -> dict[str, Tensor]:
        return self.teacher.features(clean)

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        """NMER 2.4. The squared error and the KL are reduced alike: summed over a sample's elements and divided by the
        same N, the width of C (eq. 7), so that their sum is a negative ELBO up to that factor."""
        out = self.joint(observed)
        gen, inv, cls = self.weights
        return {
            "kl": gen * kl_to_standard(out.mu, out.logvar).sum(1).mean() / out.c.shape[1],
            "mse": gen * mse_loss(out.c, clean.targets["specific"]),
            "inv": inv * mse_loss(out.invariant, clean.targets["invariant"]),
            "task": cls * self.task.loss(out.logits, observed),
        }


class NMERWithoutVAE(System):
    """NMER's ablation (3.5): h' and H' side by side, "directly" into the classifier. Teacher, first weights and
    invariance loss are NMER's; the generation loss goes with the part that it trains."""

    upstream = {"teacher": teacher_of("NMERWithoutVAE")}

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, teacher: InvariantTeacher, width: int = 128,
        dropout: float = 0.5, weight_inv: float = 10.0,
    ):  # fmt: skip
        super().__init__()
        self.weight_inv, wide = weight_inv, len(shapes) * width
        self.teacher = teacher
        self.encoders = SpecificInvariant(widths(shapes), width, dropout)
        self.classifier = mlp(2 * wide, wide, width, task.outputs, dropout=dropout)
        start_from(self.encoders, teacher.encoders, self)

    def forward(self, observed: Batch) -> Tensor:
        return self.classifier(torch.cat(self.encoders.flat(observed), dim=1))

    def targets(self, clean: Batch) -> dict[str, Tensor]:
        return self.teacher.features(clean)

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        specific, invariant = self.encoders.flat(observed)
        logits = self.classifier(torch.cat([specific, invariant], dim=1))
        return {
            "inv": self.weight_inv * mse_loss(invariant, clean.targets["invariant"]),
            "task": self.task.loss(logits, observed),
        }
