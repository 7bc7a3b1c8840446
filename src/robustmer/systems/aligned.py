"""The baseline of InfoGAN (Ahn et al. 2025, section 3.1): a feature of speech, aligned with a partner modality."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robustmer.batch import Batch, Shape, mean_over_time
from robustmer.nn.contrast import cpc_with_equals, equal_rows
from robustmer.systems.system import AdamW, System, widths
from robustmer.tasks import Task

Features = Float[Tensor, "batch width"]


class AlignedSER(System):
    """h = f_a(x_a), logits W_y h + b_y (eqs. 1 to 3), and with a partner two contrasts between h and its feature t.

    f_a stands in for the paper's pre-trained transformer: one linear layer with ReLU on features averaged over time, to
    `width` values. It reads every modality but the `partner`, the paper's text. t is the partner's frozen feature,
    averaged over time and, where its width differs, projected by a learnt layer (the paper's widths are equal).
    L_CL (eq. 5) aligns h with t, L_MI (eq. 7) aligns W_t h + b_t with it. Both run from the partner to the speech, as
    printed. The paper states no similarity, temperature or weights: cosine, 0.07 (CLIP's) and 1.

    Without a partner, or with `align=False`, cross-entropy is the only loss.
    """

    phase = "baseline"

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, partner: str | None = None, align: bool = True,
        width: int = 768, temperature: float = 0.07, lr: float = 2e-4,
    ):  # fmt: skip
        super().__init__()
        dims = widths(shapes)
        if partner is not None and (partner not in dims or len(dims) < 2):
            raise ValueError(
                f"partner={partner!r} of {', '.join(dims)}: give one of two or more modalities, or None for no partner"
            )
        self.partner, self.temperature, self.optimizer = partner, temperature, AdamW(lr)
        self.speech = [m for m in dims if m != partner]
        self.encoder = nn.Sequential(nn.Linear(sum(dims[m] for m in self.speech), width), nn.ReLU())
        self.classifier = nn.Linear(width, task.outputs)
        self.aligns = partner is not None and align
        self.partner_width = 0 if partner is None else width if self.aligns else dims[partner]
        if self.aligns:
            own = dims[partner] == width
            self.project = nn.Identity() if own else nn.Linear(dims[partner], width)
            self.to_partner = nn.Linear(width, width)

    def forward(self, observed: Batch) -> Tensor:
        return self.classifier(self.features(observed))

    def features(self, observed: Batch) -> Features:
        """h of eq. 1."""
        return self.encoder(torch.cat([mean_over_time(*observed.frames(m)) for m in self.speech], dim=1))

    def partner_features(self, observed: Batch) -> Float[Tensor, "batch partner"]:
        """t of eq. 4, of `partner_width` values: none without a partner."""
        if self.partner is None:
            return torch.zeros(len(observed), 0, device=observed.device)
        t = mean_over_time(*observed.frames(self.partner))
        return self.project(t) if self.aligns else t

    def both(self, observed: Batch) -> Bool[Tensor, "batch"]:
        """The samples that have the partner and some speech."""
        frames = lambda m: observed.frames(m)[1].any(1)  # noqa: E731
        return frames(self.partner) & torch.stack([frames(m) for m in self.speech]).any(0)

    def contrast(self, observed: Batch, guess: Features, t: Float[Tensor, "batch partner"]) -> Float[Tensor, ""]:
        """InfoNCE from the partner's features t to a guess of them, over the samples that have both."""
        same = equal_rows(mean_over_time(*observed.frames(self.partner)))
        return cpc_with_equals(t, guess, same, self.both(observed), self.temperature)

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        h = self.features(observed)
        terms = {"task": self.task.loss(self.classifier(h), observed)}
        if self.aligns:
            t = self.partner_features(observed)
            terms["align"] = self.contrast(observed, h, t)
            terms["mi"] = self.contrast(observed, self.to_partner(h), t)
        return terms
