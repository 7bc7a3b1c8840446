"""A diffusion over speech features for a class (after Malik et al. 2023, who diffuse spectrograms)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch, Shape
from robustmer.nn.diffusion import Diffusion, Sampling, noised, sample
from robustmer.nn.unet import TimeEmbedding
from robustmer.systems.aligned import AlignedSER
from robustmer.systems.generators import Code, Features, Generator, baseline_of
from robustmer.systems.system import AdamW
from robustmer.tasks import Task


class FeatureDiffusion(Generator):
    r"""Predicts the noise in a standardised feature from the class, the partner's features and the step, and samples by
    DDIM in `steps` steps. The feature's mean and variance are those that the train batches have had so far.

    The prediction is \sqrt{1 - \bar\alpha_t} x_t + \sqrt{\bar\alpha_t} U(x_t, t), as in `Completion`: noise of 768 values
    does not pass a layer of `hidden` ones, and the first steps of the sampler would multiply what is lost."""

    upstream = baseline_of(1.0)

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, baseline: AlignedSER, partner: str | None = None,
        align: bool = True, width: int = 768, hidden: int = 512, steps: int = 50, lr: float = 1e-3,
    ):  # fmt: skip
        super().__init__()
        self.start(baseline, reads_partner=True)
        self.noise, self.steps, self.diffusion, self.optimizer = self.width, steps, Diffusion(), AdamW(lr)
        self.standard = nn.BatchNorm1d(self.width, affine=False, momentum=None)
        self.time = TimeEmbedding(hidden, self.diffusion.steps)
        self.into = nn.Linear(self.width + self.classes + self.partner_width, hidden)
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, self.width))

    def predict_noise(self, x: Features, t: int | Tensor, condition: Float[Tensor, "batch condition"]) -> Features:
        t = torch.as_tensor(t, device=x.device).expand(len(x))
        level = self.diffusion.alpha_bar.to(x)[t][:, None]
        inside = self.out(self.into(torch.cat([x, condition], dim=1)) + self.time(t))
        return (1 - level).sqrt() * x + level.sqrt() * inside

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        x = self.standard(self.baseline.features(observed))
        t = torch.randint(1, self.diffusion.steps + 1, (len(x),), device=x.device)
        epsilon, level = torch.randn_like(x), self.diffusion.alpha_bar.to(x)[t][:, None]
        condition = torch.cat([self.code(observed), self.partner(observed)], dim=1)
        guess = self.predict_noise(noised(x, epsilon, level), t, condition)
        return {"diffusion": (guess - epsilon).square().mean()}

    @torch.no_grad()
    def generate(
        self, code: Code, partner: Float[Tensor, "batch partner"], z: Float[Tensor, "batch noise"]
    ) -> Features:
        condition = torch.cat([code, partner], dim=1)
        predict = lambda x, t: self.predict_noise(x, t, condition)  # noqa: E731
        x = sample(predict, z, self.diffusion, Sampling(steps=self.steps))
        mean, variance = self.standard.running_mean, self.standard.running_var
        return mean + (variance + self.standard.eps).sqrt() * x
