"""The last stage of InfoGAN (Ahn et al. 2025, section 3.3): the baseline's last layer learns from generated features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Beta
from torch.nn.functional import cross_entropy, one_hot

from robustmer.batch import Batch, Shape
from robustmer.noise import stream
from robustmer.systems.aligned import AlignedSER
from robustmer.systems.feature_diffusion import FeatureDiffusion
from robustmer.systems.generators import (
    MIX,
    PASSED,
    ClassGaussian,
    ConditionalGAN,
    Generator,
    InfoGAN,
    LinearGaussian,
    label_of,
)
from robustmer.systems.system import AdamW, System, Upstream, start_from
from robustmer.tasks import Task

SIMPLE = ("none", "copy", "noise", "mixup")
"""Makers that need no generator."""
NOISE_STD = 0.1
"""The noise of maker "noise", in standard deviations of a feature."""


def made_by(system: type[Generator], share: float, **options: object) -> Upstream:
    return Upstream(system, share=share, passes=PASSED, options=options)


GENERATORS: Mapping[str, Upstream] = {
    "gaussian": made_by(ClassGaussian, 0.1),
    "linear gaussian": made_by(LinearGaussian, 0.1),
    "cgan": made_by(ConditionalGAN, 2.0),
    "diffusion": made_by(FeatureDiffusion, 1.0),
    "infogan": made_by(InfoGAN, 2.0),
    "infogan two-layer": made_by(InfoGAN, 2.0, hidden=256),
    "infogan w/o partner": made_by(InfoGAN, 2.0, reads_partner=False),
    "infogan w/o information": made_by(InfoGAN, 2.0, weight_mi=0.0),
}
"""Makers that are systems of their own, trained `share` times as long as the baseline."""


class AugmentedSER(System):
    """W_y goes on learning from recorded and from generated features, all else frozen. `maker` names their origin.

    - "none": no generated features, so W_y only trains longer; "copy": every recorded feature again.
    - "noise": h + N(0, s^2 var); "mixup": convex pairs of features and of their labels.
    - a key of GENERATORS: draws of an upstream generator, with the label and the partner of a recorded sample.

    One class on purpose: its random streams do not depend on the maker, so all makers of a seed share the baseline, the
    first weights and the order of the samples bit for bit, and every one makes as many steps. For each recorded feature
    of a batch, `factor` - 1 generated ones join the mean of the loss. They are drawn once, as the paper reads; with
    `fresh` they are drawn anew in every step. They come from the samples of the train split alone.
    """

    phase = "augment"
    upstream = {"baseline": Upstream(AlignedSER, passes=PASSED), "generator": GENERATORS["infogan"]}
    generators = GENERATORS

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, baseline: AlignedSER, generator: Generator | None = None,
        maker: str = "infogan", factor: int = 2, fresh: bool = False, partner: str | None = None, align: bool = True,
        width: int = 768, lr: float = 2e-4,
    ):  # fmt: skip
        super().__init__()
        if factor < 2:
            raise ValueError(f'factor={factor}: give 2 or more times the recorded features, or maker="none"')
        self.baseline, self.generator, self.maker, self.factor, self.fresh = baseline, generator, maker, factor, fresh
        self.label, self.classes = label_of(task, type(self).__name__)
        self.optimizer = AdamW(lr)
        self.classifier = nn.Linear(baseline.classifier.in_features, task.outputs)
        start_from(self.classifier, baseline.classifier, self)
        self.register_buffer("draws", torch.randint(2**62, ()))  # names the draws of this training

    @classmethod
    def starts_from(cls, options: Mapping[str, object]) -> Mapping[str, Upstream]:
        maker, baseline = options.get("maker", "infogan"), {"baseline": cls.upstream["baseline"]}
        if maker in SIMPLE:
            return baseline
        if maker not in cls.generators:
            raise ValueError(f"maker={maker!r}: give one of {', '.join([*SIMPLE, *cls.generators])}")
        return baseline | {"generator": cls.generators[maker]}

    def forward(self, observed: Batch) -> Tensor:
        return self.classifier(self.baseline.features(observed))

    def targets(self, clean: Batch) -> dict[str, Tensor]:
        """The generated features of each sample, (B, factor - 1, width), and their labels as probabilities."""
        if self.maker == "none" or self.fresh:
            return {}
        with named_draws(int(self.draws), clean.id[0]):
            return self.generated(clean)

    def generated(self, clean: Batch) -> dict[str, Tensor]:
        features, codes = zip(*(self.draw(clean) for _ in range(self.factor - 1)), strict=True)
        return {"generated": torch.stack(features, dim=1), "code": torch.stack(codes, dim=1)}

    @torch.no_grad()
    def draw(self, clean: Batch) -> tuple[Float[Tensor, "batch width"], Float[Tensor, "batch label"]]:
        """One generated feature and its label for each sample, from torch's global stream."""
        code = one_hot(clean.labels[self.label], self.classes).float()
        if self.generator is not None:
            return self.generator.draw(clean), code
        h = self.baseline.features(clean)
        if self.maker == "noise":
            return h + NOISE_STD * h.std(0, correction=0) * torch.randn_like(h), code
        if self.maker == "mixup":
            share, other = Beta(MIX, MIX).sample((len(h), 1)).to(h), torch.randperm(len(h)).to(h.device)
            return tuple(share * x + (1 - share) * x[other] for x in (h, code))
        return h, code

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        recorded = self.task.loss(self(observed), observed)
        if self.maker == "none":
            return {"task": recorded}
        made = self.generated(clean) if self.fresh else clean.targets
        generated = cross_entropy(self.classifier(made["generated"].flatten(0, 1)), made["code"].flatten(0, 1))
        return {"task": recorded / self.factor, "generated": generated * (self.factor - 1) / self.factor}


@contextmanager
def named_draws(*names: object) -> Iterator[None]:
    """Within the block torch's global stream on the CPU has these names; then it is restored."""
    with torch.random.fork_rng([]):
        torch.manual_seed(stream("generated", *names).initial_seed())
        yield
