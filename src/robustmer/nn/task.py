"""What a label asks of a system: a class, where labels are whole numbers, or a number, where they are floats."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss


def outputs(classes: Sequence[str]) -> int:
    """How many outputs a system has: one a class, or one number where there are no classes (a regression).

    >>> outputs(("negative", "positive")), outputs(())
    (2, 1)
    """
    return len(classes) or 1


def task_loss(
    logits: Float[Tensor, "batch output"], label: Int[Tensor, "batch"] | Float[Tensor, "batch"]
) -> Float[Tensor, ""]:
    """The loss of the task, mean over rows: cross-entropy of classes; of numbers the absolute error, in their unit
    (the L1 loss of the code of MulT, MPLMM and CDTP). Raises ValueError where numbers meet more than one output."""
    if not label.is_floating_point():
        return cross_entropy(logits, label)
    if logits.shape[1] != 1:  # (B, C) against (B,) would broadcast to a loss of everything against everything
        raise ValueError(f"labels are numbers, but the system has {logits.shape[1]} outputs; make it with classes=()")
    return l1_loss(logits[:, 0], label)
