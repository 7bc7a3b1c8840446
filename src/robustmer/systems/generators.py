"""Generators of speech features for a class: InfoGAN (Ahn et al. 2025, section 3.2) and closed forms to compare it with.

A generator starts from a trained `AlignedSER` and is handed the train split only. `AugmentedSER` learns from its draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Beta
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

from robustmer.batch import Batch, Shape
from robustmer.nn.encoders import mlp
from robustmer.systems.aligned import AlignedSER
from robustmer.systems.system import AdamW, Objective, System, Upstream, constant
from robustmer.tasks import Classify, Task

Features = Float[Tensor, "batch width"]
Code = Float[Tensor, "batch label"]
PASSED = ("partner", "align", "width")
"""Options that the baseline, a generator and the augmented classifier share."""
MIX = 0.2
"""Both parameters of the Beta distribution of mix-up, as in its paper (4.3 states none)."""


def baseline_of(share: float) -> dict[str, Upstream]:
    """The baseline of a generator that trains `share` times as long as it."""
    return {"baseline": Upstream(AlignedSER, share=1 / share, passes=PASSED)}


class Generator(System):
    """Base of all generators: features for a label (as one-hot code), the partner's features and noise of `noise`
    values. The last weights are kept, so validation samples decide nothing."""

    phase, selects, noise = "generate", False, 0
    baseline: AlignedSER

    def start(self, baseline: AlignedSER, reads_partner: bool) -> None:
        """Keeps the baseline. Raises ValueError for one whose label is no class."""
        self.baseline, self.label, self.classes = baseline, *label_of(baseline.task, type(self).__name__)
        self.width = baseline.classifier.in_features
        self.partner_width = baseline.partner_width if reads_partner else 0

    def generate(
        self, code: Code, partner: Float[Tensor, "batch partner"], z: Float[Tensor, "batch noise"]
    ) -> Features:
        raise NotImplementedError

    def code(self, batch: Batch) -> Code:
        return one_hot(batch.labels[self.label], self.classes).float()

    def partner(self, batch: Batch) -> Float[Tensor, "batch partner"]:
        """t, of no values for a generator that does not read it."""
        return self.baseline.partner_features(batch)[:, : self.partner_width]

    def draw(self, batch: Batch) -> Features:
        """Generated features for the labels and the partner's features of a batch, from torch's global stream."""
        z = torch.randn(len(batch), self.noise, device=batch.device)
        return self.generate(self.code(batch), self.partner(batch), z)

    def forward(self, observed: Batch) -> Tensor:
        """The logits of the baseline: a generator predicts nothing of its own."""
        return self.baseline(observed)


def label_of(task: Task, name: str) -> tuple[str, int]:
    """The label whose classes are generated, and their number."""
    if not isinstance(task, Classify) or task.outputs < 2:
        raise ValueError(f"{name} generates features for a class, and {task} has fewer than two; give it Classify(...)")
    return task.label, task.outputs


class InfoGAN(Generator):
    """h_hat = G(z, c, t) against a discriminator D, with the baseline's frozen W_y and W_t as judges of c and t.

    As printed (4.3), G and D are single linear layers; a sigmoid in the loss makes D a probability (eq. 8). So D can
    tell means apart and nothing else, and given c and t the generated features are Gaussian. `hidden` gives both one
    hidden layer. D learns recorded against generated features, mixed with a weight from Beta(0.2, 0.2) as its
    target; G learns the non-saturating loss on features that are not mixed. L_Iy (eq. 16) and L_It (eq. 18) have weight
    `weight_mi`. The paper states neither lambda nor the size of z, Adam's rate and betas or what is mixed. Where the
    baseline has not learnt W_t, it is learnt with G. Without `reads_partner` there is no t.
    """

    upstream = baseline_of(2.0)

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, baseline: AlignedSER, partner: str | None = None,
        align: bool = True, width: int = 768, reads_partner: bool = True, z: int = 100, hidden: int = 0,
        weight_mi: float = 1.0, lr: float = 2e-4,
    ):  # fmt: skip
        super().__init__()
        self.start(baseline, reads_partner)
        if weight_mi < 0 or z < 1:
            raise ValueError(f"weight_mi={weight_mi}, z={z}: give a weight of 0 or more and one noise value or more")
        self.noise, self.weight_mi, self.optimizer = z, weight_mi, AdamW(lr, 0.0, (0.5, 0.999))
        into, between = z + self.classes + self.partner_width, (hidden,) if hidden else ()
        self.generator = mlp(into, *between, self.width, kaiming=False)
        self.discriminator = mlp(self.width, *between, 1, kaiming=False)
        learns = self.partner_width and weight_mi and not baseline.aligns
        self.to_partner = nn.Linear(self.width, self.partner_width) if learns else None

    def generate(
        self, code: Code, partner: Float[Tensor, "batch partner"], z: Float[Tensor, "batch noise"]
    ) -> Features:
        return self.generator(torch.cat([z, code, partner], dim=1))

    def objectives(self) -> dict[str, Objective]:
        own = [p for part in (self.generator, self.to_partner) if part is not None for p in part.parameters()]
        return {
            "discriminator": Objective(self.discriminator_loss, self.discriminator.parameters(), self.optimizer),
            "generator": Objective(self.generator_loss, own, self.optimizer),
        }

    def discriminator_loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        """Eq. 8 for D, on mixed features."""
        recorded, generated = self.baseline.features(observed), self.draw(observed).detach()
        share = Beta(MIX, MIX).sample((len(observed), 1)).to(recorded)
        mixed = share * recorded + (1 - share) * generated
        return {"real": binary_cross_entropy_with_logits(self.judged(mixed, observed), share)}

    def generator_loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        generated = self.draw(observed)
        logits = self.judged(generated, observed)
        terms = {"fool": binary_cross_entropy_with_logits(logits, torch.ones_like(logits))}
        if self.weight_mi:
            terms["class"] = self.weight_mi * self.class_loss(generated, observed)
            if self.partner_width:
                terms["partner"] = self.weight_mi * self.partner_loss(generated, observed)
        return terms

    def judged(self, features: Features, observed: Batch) -> Float[Tensor, "batch 1"]:
        """The discriminator's logits."""
        return self.discriminator(features)

    def class_loss(self, generated: Features, observed: Batch) -> Float[Tensor, ""]:
        """L_Iy of eq. 16, in nats: H(c) minus it is a lower bound of I(c; h_hat)."""
        return self.baseline.task.loss(self.baseline.classifier(generated), observed)

    def partner_loss(self, generated: Features, observed: Batch) -> Float[Tensor, ""]:
        """L_It of eq. 18, in nats: log B minus it is a lower bound of I(t; h_hat)."""
        to_partner = self.baseline.to_partner if self.baseline.aligns else self.to_partner
        return self.baseline.contrast(observed, to_partner(generated), self.baseline.partner_features(observed))


class ConditionalGAN(InfoGAN):
    """A GAN whose generator and discriminator read the class, each with one hidden layer (after Sahu et al. 2020, in
    the space of features). No information terms: the discriminator itself sees whether class and feature fit."""

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, baseline: AlignedSER, partner: str | None = None,
        align: bool = True, width: int = 768, hidden: int = 256, lr: float = 2e-4,
    ):  # fmt: skip
        super().__init__(shapes, task, baseline, partner, align, width, reads_partner=False, hidden=hidden,
                         weight_mi=0.0, lr=lr)  # fmt: skip
        self.discriminator = mlp(self.width + self.classes, hidden, 1, kaiming=False)

    def judged(self, features: Features, observed: Batch) -> Float[Tensor, "batch 1"]:
        return self.discriminator(torch.cat([features, self.code(observed)], dim=1))


# --- closed forms -----------------------------------------------------------------------------------------------------


class Counting(Generator):
    """Base of the closed forms: they need sums over the train split and no training. The sums are parameters, and the
    loss is linear in them, so that SGD with rate 1 adds up the batches exactly. Over whole epochs every sample counts
    the same."""

    upstream = baseline_of(0.1)

    def sums(self, observed: Batch) -> list[tuple[nn.Parameter, Tensor]]:
        """The sums, and what a batch adds to each."""
        raise NotImplementedError

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        return {"count": -sum((total * added).sum() for total, added in self.sums(observed))}

    def objectives(self) -> dict[str, Objective]:
        return {"all": Objective(self.loss, self.own_parameters(), lambda p: torch.optim.SGD(p, lr=1.0), 1, constant)}


class ClassGaussian(Counting):
    """N(mu_c, Sigma_c) for each class, Sigma_c shrunk towards a multiple of the identity by `shrinkage` (OAS): what a
    generator can know that is conditioned on the class alone."""

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, baseline: AlignedSER, partner: str | None = None,
        align: bool = True, width: int = 768,
    ):  # fmt: skip
        super().__init__()
        self.start(baseline, reads_partner=False)
        self.noise = self.width
        self.count = nn.Parameter(torch.zeros(self.classes))
        self.total = nn.Parameter(torch.zeros(self.classes, self.width))
        self.square = nn.Parameter(torch.zeros(self.classes, self.width, self.width))

    def sums(self, observed: Batch) -> list[tuple[nn.Parameter, Tensor]]:
        h, code = self.baseline.features(observed), self.code(observed)
        square = torch.stack([(weight[:, None] * h).T @ h for weight in code.T])
        return [(self.count, code.sum(0)), (self.total, code.T @ h), (self.square, square)]

    def moments(self, label: int) -> tuple[Float[Tensor, "width"], Float[Tensor, "width width"]]:
        """Mean and covariance of a class, not shrunk."""
        count = self.count[label].clamp(min=1)
        mean = self.total[label] / count
        return mean, self.square[label] / count - torch.outer(mean, mean)

    def generate(
        self, code: Code, partner: Float[Tensor, "batch partner"], z: Float[Tensor, "batch noise"]
    ) -> Features:
        drawn = []
        for label in range(self.classes):
            mean, covariance = self.moments(label)
            drawn.append(mean + z @ root(shrunk(covariance, float(self.count[label].detach()))))
        return torch.einsum("bc,cbw->bw", code, torch.stack(drawn))


class LinearGaussian(Counting):
    """h_hat = A [c, t] + e by least squares, e ~ N(0, Sigma) with the covariance of its residuals, shrunk as in
    `ClassGaussian`: what a linear generator can be at best, from one matrix solve. `ridge` is relative to the mean
    square of an input."""

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, baseline: AlignedSER, partner: str | None = None,
        align: bool = True, width: int = 768, ridge: float = 1e-3,
    ):  # fmt: skip
        super().__init__()
        self.start(baseline, reads_partner=True)
        self.noise, self.ridge = self.width, ridge
        into = self.classes + self.partner_width
        self.count = nn.Parameter(torch.zeros(()))
        self.inputs = nn.Parameter(torch.zeros(into, into))
        self.across = nn.Parameter(torch.zeros(into, self.width))
        self.square = nn.Parameter(torch.zeros(self.width, self.width))

    def sums(self, observed: Batch) -> list[tuple[nn.Parameter, Tensor]]:
        h, u = self.baseline.features(observed), self.conditions(observed)
        return [(self.count, torch.tensor(float(len(h)))), (self.inputs, u.T @ u), (self.across, u.T @ h),
                (self.square, h.T @ h)]  # fmt: skip

    def conditions(self, batch: Batch) -> Float[Tensor, "batch condition"]:
        return torch.cat([self.code(batch), self.partner(batch)], dim=1)

    def solution(self) -> tuple[Float[Tensor, "condition width"], Float[Tensor, "width width"]]:
        """A, and the covariance of the residuals, not shrunk."""
        count, level = self.count.clamp(min=1), self.ridge * self.inputs.diagonal().mean().clamp(min=1e-6)
        a = torch.linalg.solve(self.inputs + level * torch.eye(len(self.inputs)).to(self.inputs), self.across)
        explained = a.T @ self.across
        return a, (self.square - explained - explained.T + a.T @ self.inputs @ a) / count

    def generate(
        self, code: Code, partner: Float[Tensor, "batch partner"], z: Float[Tensor, "batch noise"]
    ) -> Features:
        a, covariance = self.solution()
        return torch.cat([code, partner], dim=1) @ a + z @ root(shrunk(covariance, float(self.count.detach())))


def shrunk(covariance: Float[Tensor, "width width"], count: float) -> Float[Tensor, "width width"]:
    """Oracle approximating shrinkage (Chen et al. 2010): towards the identity times the mean variance, as far as so few
    samples call for."""
    width = len(covariance)
    mean, square = covariance.diagonal().mean(), covariance.square().mean()
    apart = (count + 1) * (square - mean.square() / width)
    share = 1.0 if apart == 0 else min(1.0, float((square + mean.square()) / apart))
    return (1 - share) * covariance + share * mean * torch.eye(width).to(covariance)


def root(covariance: Float[Tensor, "width width"]) -> Float[Tensor, "width width"]:
    """The symmetric square root, of negative eigenvalues (rounding) that of 0."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T
