"""Dropout whose masks are cheap to draw."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def dropout(x: Tensor, rate: float, training: bool, shared: int = 0) -> Tensor:
    """x with values set to 0 at the rate and the others scaled up, so that the expectation stays; x itself in
    evaluation. Values that differ in the last `shared` axes only are dropped or kept together.

    On the CPU torch draws one random number a value, which is a third of MulT's training step. This function draws
    one random byte of torch's global stream, so the rate is rounded to 1/256 (0.1 is 0.1016); the scale is that of the
    rounded rate. Raises ValueError for a rate outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"a dropout rate of {rate} was given; it is at least 0 and less than 1")
    if not training or not rate:
        return x
    shape = (*x.shape[: x.ndim - shared], *[1] * shared)
    if x.is_cuda:  # torch's own masks are cheap on a GPU
        return x * nn.functional.dropout(x.new_ones(shape), rate)
    count, dropped = torch.Size(shape).numel(), min(round(256 * rate), 255)
    words = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None)
    keep = words.view(torch.uint8)[:count].view(shape) >= dropped
    return x * keep.to(x.dtype).mul_(256 / (256 - dropped))
