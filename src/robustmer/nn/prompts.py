"""The prompts of MPLMM (Guo et al. 2024) as CDTP 3.3 to 3.5 takes them over, around a MulT.

CDTP's formulas give their shapes in several ways that exclude each other. Read here: l_p prompts of d' values each, a
modality's L frames of d' values each, and matrices M of L rows and of as many columns as the memory is wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from robustmer.batch import Batch
from robustmer.nn.crossmodal import Backbone, available, sequence

Generated = Mapping[str, Float[Tensor, "batch frame width"]]
"""For each modality, in the rows that lack it, the frames that stand in for it; other rows are not read."""


class PromptedMulT(nn.Module):
    """A MulT that is told what is missing (CDTP 3.4, 3.5), from what is seen and from generated frames to logits.

    Missing-signal prompts are added to a modality's frames, one set where it is there, P_NMS, and one where it is not,
    P_MS. They have `frames` frames, a constant length L in the papers; a row of another length meets each in its share
    of the row. Missing-type prompts P_MT tell the whole combination: P' = P_MT M_P, where M_P is the sum over the
    modalities of the transposed signal prompt that holds times M. P' joins a modality's frames before the memory (CDTP
    3.5 adds it to the attention scores, whose shape is another). The authors' code begins P_MT and M at zero, so
    neither ever gets a gradient; here only P_MT is small.

    Each kind can be switched off. Without the signal prompts M_P is still made of them, but frames do not get them.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        outputs: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
        frames: int,
        length: int,
        signal: bool,
        type: bool,
    ):
        super().__init__()
        if frames < 1 or length < 1:
            raise ValueError(f"frames={frames}, length={length}: a modality and a prompt have one frame or more")
        self.frames, self.signal = frames, signal
        self.backbone = Backbone(dims, outputs, width, layers, heads, dropout)
        small = lambda *shape: nn.Parameter(0.02 * torch.randn(*shape))  # noqa: E731
        if signal or type:
            self.missing = nn.ParameterDict({m: small(frames, width) for m in dims})
            self.not_missing = nn.ParameterDict({m: small(frames, width) for m in dims})
        self.combination = type
        if type:
            self.kinds = nn.ParameterDict({m: small(length, width) for m in dims})
            self.matrix = nn.ParameterDict({
                m: nn.Parameter(nn.init.xavier_uniform_(torch.empty(frames, self.backbone.wide))) for m in dims
            })  # fmt: skip

    def forward(self, seen: Batch, generated: Generated | None = None) -> Float[Tensor, "batch output"]:
        """Without `generated` frames an absent modality is one frame of zeros, as in MulT."""
        x, here, there = {}, {}, {m: available(seen, m) for m in seen.modalities}
        for m in seen.modalities:
            recorded, here[m] = sequence(seen, m)
            x[m] = self.backbone.project[m](recorded)
            if generated is not None:
                x[m], here[m] = filled(x[m], here[m], generated[m], there[m])
            if self.signal:
                x[m] = x[m] + torch.where(rearrange(there[m], "b -> b 1 1"), *(
                    prompt[m][share_of(here[m], self.frames)] for prompt in (self.not_missing, self.missing)
                ))  # fmt: skip
        return self.backbone(x, here, self.type_prompts(there) if self.combination else None)

    def type_prompts(self, there: Mapping[str, Bool[Tensor, "batch"]]) -> dict[str, Float[Tensor, "batch prompt wide"]]:
        """P'_MT of CDTP 3.5 for each modality."""
        projection = 0.0  # M_P
        for m, matrix in self.matrix.items():
            each = torch.stack([self.missing[m].T @ matrix, self.not_missing[m].T @ matrix])
            projection = projection + each[there[m].long()]
        return {m: prompt @ projection for m, prompt in self.kinds.items()}


def filled(
    x: Float[Tensor, "batch time width"],
    here: Bool[Tensor, "batch time"],
    generated: Float[Tensor, "batch frame width"],
    there: Bool[Tensor, "batch"],
) -> tuple[Float[Tensor, "batch longer width"], Bool[Tensor, "batch longer"]]:
    """A modality's frames where it is there and the generated ones elsewhere, and which of them count."""
    frames, longer = generated.shape[1], max(x.shape[1], generated.shape[1])
    stretched = lambda t: pad(t, (0, 0, 0, longer - t.shape[1]))  # noqa: E731
    chosen = torch.where(rearrange(there, "b -> b 1 1"), stretched(x), stretched(generated))
    first = torch.arange(longer, device=there.device) < frames
    return chosen, torch.where(there[:, None], pad(here, (0, longer - here.shape[1])), first)


def share_of(here: Bool[Tensor, "batch time"], frames: int) -> Int[Tensor, "batch time"]:
    """In which of `frames` equal shares of its row a frame begins; 0 to frames - 1, padding in the last.

    >>> share_of(torch.tensor([[True, True, True, True], [True, True, False, False]]), 2)
    tensor([[0, 0, 1, 1],
            [0, 1, 1, 1]])
    """
    time = torch.arange(here.shape[1], device=here.device)
    return (time * frames // here.sum(1, keepdim=True)).clamp(max=frames - 1)


class StandIn(nn.Module):
    """CDTP 3.4: MLP([P_G; one piece; ...]), from the generative prompt and what was made of the available modalities to
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
    x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"], frames: int
) -> Float[Tensor, "batch {frames} dim"]:
    """Means over `frames` equal parts of each row's real frames, a frame counting in each by the share that lies in it;
    0 for a row that has none. A row of as many frames as parts comes back as it is.

    >>> mean_over_segments(torch.tensor([[[1.0], [2.0], [6.0]]]), torch.ones(1, 3, dtype=torch.bool), 2).flatten()
    tensor([1.3333, 4.6667])
    """
    count = rearrange(real.sum(1), "b -> b 1 1").clamp(min=1)
    time = torch.arange(x.shape[1], device=x.device)
    begin = rearrange(torch.arange(frames, device=x.device), "f -> 1 f 1") * count / frames
    inside = torch.minimum(begin + count / frames, time + 1) - torch.maximum(begin, time)
    return (inside.clamp(min=0) * rearrange(real, "b t -> b 1 t")) @ x * (frames / count)
