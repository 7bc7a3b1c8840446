"""CMHA against the same equations with twelve nn.MultiheadAttention: seconds of a forward and a backward pass.

Prints and writes results/measured/mcwsa/cascade.json. One thread, in CPU seconds, the best of several passes.
"""

from __future__ import annotations

import json
import time

import torch
from cost import limited
from torch import Tensor, nn

from robustmer.batch import MODALITIES
from robustmer.experiments import project
from robustmer.experiments.provenance import commit, processor
from robustmer.nn.fusions import CMHA
from robustmer.systems import count_parameters

SAMPLES, ROWS, PASSES = 64, 32, 5
SIZES = {"the paper's 300 channels": (300, 6), "the tables' 60 channels": (60, 6)}


class TwelveAttentions(nn.Module):
    """Eqs. 4 to 7 as they are written: one module of torch for each attention, one linear layer for each convolution."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        attention = lambda: nn.MultiheadAttention(channels, heads, bias=False, batch_first=True)  # noqa: E731
        self.attend = nn.ModuleList(attention() for _ in range(12))
        self.join = nn.ModuleList(nn.Linear(2 * channels, channels, bias=False) for _ in range(6))
        self.last = nn.Linear(3 * channels, channels, bias=False)

    def forward(self, codes: dict[str, Tensor]) -> Tensor:
        m, i, t = (codes[name] for name in MODALITIES)
        joint = [self.exchange(2 * k + 1, third, self.exchange(2 * k, one, other))
                 for k, (one, other, third) in enumerate([(m, t, i), (m, i, t), (t, i, m)])]  # fmt: skip
        return self.last(torch.cat(joint, -1))

    def exchange(self, number: int, one: Tensor, other: Tensor) -> Tensor:
        answer = self.attend[2 * number](one, other, other, need_weights=False)[0]
        back = self.attend[2 * number + 1](other, one, one, need_weights=False)[0]
        return self.join[number](torch.cat([answer, back], -1))


def seconds(fusion: nn.Module, codes: dict[str, Tensor]) -> float:
    best = []
    for _ in range(PASSES + 1):
        start = time.process_time()
        fusion(codes).sum().backward()
        best.append(time.process_time() - start)
    return min(best[1:])


def main() -> None:
    measured: dict[str, object] = {
        "commit": commit(),
        "processor": processor(),
        "torch": torch.__version__,
        "samples": SAMPLES,
    }
    for name, (channels, heads) in SIZES.items():
        codes = {m: torch.randn(SAMPLES, ROWS, channels, requires_grad=True) for m in MODALITIES}
        ours, theirs = CMHA(MODALITIES, channels, heads), TwelveAttentions(channels, heads)
        assert count_parameters(ours) == count_parameters(theirs)
        with limited(1):
            line = {"CMHA": seconds(ours, codes), "twelve attentions": seconds(theirs, codes)}
        measured[name] = {key: round(value, 5) for key, value in line.items()}
        print(f"{name}: {line['CMHA']:.4f} s against {line['twelve attentions']:.4f} s, "
              f"{line['twelve attentions'] / line['CMHA']:.2f} times as fast")  # fmt: skip
    file = project() / "results/measured/mcwsa/cascade.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
