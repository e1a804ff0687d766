"""Training on gold labels: the baseline that a transfer set has to beat, and what other objectives mix in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from transferset.task import Target

from . import Output


@dataclass(frozen=True)
class Gold:
    """Cross-entropy to the gold class; binary cross-entropy for multi-label; squared error for regression.

    The teacher takes no part, and neither do rows without a gold label.

    Source: none; these are torch's ``CrossEntropyLoss``, ``BCEWithLogitsLoss`` and ``MSELoss``.

    >>> logits, gold = torch.tensor([[2.0, 0.0], [9.0, 9.0]]), torch.tensor([0, 0])
    >>> loss = Gold().loss(logits, torch.zeros(2, 2), gold, torch.tensor([True, False]))
    >>> bool(loss == torch.nn.CrossEntropyLoss()(logits[:1], gold[:1]))
    True
    """

    signal: ClassVar[Output] = "logits"
    targets: ClassVar[tuple[Target, ...]] = ("classification", "multilabel", "regression")

    @property
    def needs_gold(self) -> bool:
        """Only rows with a gold label."""
        return True

    def loss(self, outputs: Tensor, teacher: Tensor, gold: Tensor, has_gold: Tensor) -> Tensor:
        """A scalar."""
        return gold_loss(outputs, gold, has_gold)


def gold_loss(outputs: Tensor, gold: Tensor, has_gold: Tensor) -> Tensor:
    """The loss against gold labels, averaged over the rows that have one; 0 where none has.

    ``outputs`` are (B, C), ``gold`` is as ``Objective.loss`` has it: its type says which loss is meant.
    Of several labels, as in torch, the mean over the classes is taken.

    >>> nothing = gold_loss(torch.ones(2, 3, requires_grad=True), torch.tensor([0, 0]), torch.tensor([False, False]))
    >>> nothing.item(), nothing.requires_grad
    (0.0, True)
    """
    known, wanted = outputs[has_gold], gold[has_gold]
    if not len(known):
        return known.sum()
    if wanted.dtype == torch.int64:
        return functional.cross_entropy(known, wanted)
    if wanted.dtype == torch.bool:
        return functional.binary_cross_entropy_with_logits(known, wanted.to(known.dtype))
    return functional.mse_loss(known, wanted)


def mixed_loss(teacher_loss: Tensor, alpha: float, outputs: Tensor, gold: Tensor, has_gold: Tensor) -> Tensor:
    """(1 - alpha) of the loss against the teacher, and alpha of that against gold labels.

    >>> outputs, gold = torch.tensor([[3.0]]), torch.tensor([[1.0]])
    >>> mixed_loss(torch.tensor(2.0), 0.25, outputs, gold, torch.tensor([True])).item()
    2.5
    """
    if not alpha:
        return teacher_loss
    return (1 - alpha) * teacher_loss + alpha * gold_loss(outputs, gold, has_gold)
