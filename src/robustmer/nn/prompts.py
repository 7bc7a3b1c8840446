"""The prompts of MPLMM (Guo et al. 2024) around a MulT, as in CDTP 3.3 to 3.5.

Shapes: l_p prompts of d' values, L frames of d' values a modality, and matrices M of L rows and of as many columns as
the memory is wide. CDTP's formulas contradict each other in these shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from robustmer.batch import Batch
from robustmer.nn.crossmodal import Backbone, available

Mask = Bool[Tensor, "batch time"]
Imputed = Mapping[str, Float[Tensor, "batch frame width"]]
"""For each modality, in the samples that lack it, the imputed frames; other samples are not read."""


class PromptedMulT(nn.Module):
    """A MulT whose prompts name the missing modalities (CDTP 3.4, 3.5).

    Missing-signal prompts are added to a modality's frames: P_NMS where it is available, P_MS where it is not. They
    have `frames` frames, a constant length L in the papers; a sample of another length gets each prompt in its share of
    the sample. Missing-type prompts P_MT name the combination: P' = P_MT M_P, where M_P is the sum over the modalities
    of the transposed signal prompt that holds times M. P' joins a modality's frames before the memory. The authors'
    code begins P_MT and M at zero, so neither ever gets a gradient; here only P_MT is small.

    Each kind can be switched off. Without the signal prompts M_P is still made of them, but frames do not get them.
    """

    def __init__(
        self, dims: Mapping[str, int], outputs: int, width: int, layers: int, heads: int, dropout: float,
        frames: int, length: int, signal: bool, type: bool,
    ):  # fmt: skip
        super().__init__()
        if frames < 1 or length < 1:
            raise ValueError(f"frames={frames}, length={length}: a modality and a prompt have one frame or more")
        self.frames, self.signal = frames, signal
        self.backbone = Backbone(dims, outputs, width, layers, heads, dropout)
        small = lambda length: nn.Parameter(0.02 * torch.randn(length, width))  # noqa: E731
        if signal or type:
            self.missing = nn.ParameterDict({m: small(frames) for m in dims})
            self.not_missing = nn.ParameterDict({m: small(frames) for m in dims})
        self.combination = type
        if type:
            matrix = lambda: nn.Parameter(nn.init.xavier_uniform_(torch.empty(frames, self.backbone.wide)))  # noqa: E731
            self.kinds = nn.ParameterDict({m: small(length) for m in dims})
            self.matrix = nn.ParameterDict({m: matrix() for m in dims})

    def forward(self, batch: Batch, imputed: Imputed | None = None) -> Float[Tensor, "batch output"]:
        """Without `imputed` frames an absent modality is one frame of zeros, as in MulT."""
        x, mask = self.backbone.read(batch)
        known = {m: available(batch, m) for m in x}
        for m in x:
            if imputed is not None:
                x[m], mask[m] = filled(x[m], mask[m], imputed[m], known[m])
            if self.signal:
                share = share_of(mask[m], self.frames)
                prompts = self.not_missing[m][share], self.missing[m][share]
                x[m] = x[m] + torch.where(rearrange(known[m], "b -> b 1 1"), *prompts)
        return self.backbone(x, mask, self.type_prompts(known) if self.combination else None)

    def type_prompts(self, known: Mapping[str, Bool[Tensor, "batch"]]) -> dict[str, Float[Tensor, "batch prompt wide"]]:
        """P'_MT of CDTP 3.5 for each modality; `known` marks the samples in which a modality is available."""
        projection = 0.0  # M_P
        for m, matrix in self.matrix.items():
            both = torch.stack([self.missing[m].T @ matrix, self.not_missing[m].T @ matrix])
            projection = projection + both[known[m].long()]
        return {m: prompt @ projection for m, prompt in self.kinds.items()}


def filled(
    x: Float[Tensor, "batch time width"], mask: Mask, imputed: Float[Tensor, "batch frame width"],
    known: Bool[Tensor, "batch"],
) -> tuple[Float[Tensor, "batch longer width"], Bool[Tensor, "batch longer"]]:  # fmt: skip
    """A modality's frames in the samples where it is `known`, the imputed ones in the others, and their mask."""
    frames, longer = imputed.shape[1], max(x.shape[1], imputed.shape[1])
    stretched = lambda t: pad(t, (0, 0, 0, longer - t.shape[1]))  # noqa: E731
    chosen = torch.where(rearrange(known, "b -> b 1 1"), stretched(x), stretched(imputed))
    first = torch.arange(longer, device=known.device) < frames
    return chosen, torch.where(known[:, None], pad(mask, (0, longer - mask.shape[1])), first)


def share_of(mask: Mask, frames: int) -> Int[Tensor, "batch time"]:
    """In which of `frames` equal shares of its sample a frame begins; 0 to frames - 1, padding in the last.

    >>> share_of(torch.tensor([[True, True, True, True], [True, True, False, False]]), 2)
    tensor([[0, 0, 1, 1],
            [0, 1, 1, 1]])
    """
    time = torch.arange(mask.shape[1], device=mask.device)
    return (time * frames // mask.sum(1, keepdim=True)).clamp(max=frames - 1)


class Generative(nn.Module):
    """CDTP 3.4: MLP([P_G; one piece; ...]), from the generative prompt and pieces made of the available modalities to
    the `frames` frames of a missing one. It mixes frames and not features: a linear map over the frames, then GELU (a
    convolution of kernel 1 with frames as channels in MPLMM's code)."""

    def __init__(self, frames: int, length: int, width: int, pieces: int):
        super().__init__()
        self.prompt = nn.Parameter(torch.zeros(length, width))
        self.mix = nn.Linear(length + pieces * frames, frames)

    def forward(self, pieces: Sequence[Float[Tensor, "batch frame width"]]) -> Float[Tensor, "batch frame width"]:
        prompt = repeat(self.prompt, "p w -> b p w", b=len(pieces[0]))
        return gelu(self.mix(torch.cat([prompt, *pieces], dim=1).mT)).mT


def mean_over_segments(
    x: Float[Tensor, "batch time dim"], mask: Mask, frames: int
) -> Float[Tensor, "batch {frames} dim"]:
    """Means over `frames` equal segments of each sample's recorded frames, a frame counting in each by the share that
    lies in it; 0 for a sample that has none. A sample of as many frames as segments is unchanged.

    >>> mean_over_segments(torch.tensor([[[1.0], [2.0], [6.0]]]), torch.ones(1, 3, dtype=torch.bool), 2).flatten()
    tensor([1.3333, 4.6667])
    """
    count = rearrange(mask.sum(1), "b -> b 1 1").clamp(min=1)
    time = torch.arange(x.shape[1], device=x.device)
    begin = rearrange(torch.arange(frames, device=x.device), "f -> 1 f 1") * count / frames
    inside = torch.minimum(begin + count / frames, time + 1) - torch.maximum(begin, time)
    return (inside.clamp(min=0) * rearrange(mask, "b t -> b 1 t")) @ x * (frames / count)
