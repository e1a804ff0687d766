"""Training on gold labels: the baseline that a transfer set has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Gold:
    """Cross-entropy to the gold class; binary cross-entropy for multi-label; squared error for regression.

    The teacher's logits take no part, and neither do rows without a gold label.

    >>> logits, gold = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> bool(Gold().loss(logits, torch.zeros(1, 2), gold) == torch.nn.CrossEntropyLoss()(logits, gold))
    True
    """

    @property
    def needs_gold(self) -> bool:
        """Only rows with a gold label."""
        return True

    def loss(self, logits: Tensor, teacher_logits: Tensor, gold: Tensor) -> Tensor:
        """A scalar."""
        if gold.dtype == torch.int64:
            return functional.cross_entropy(logits, gold)
        if gold.dtype == torch.bool:
            return functional.binary_cross_entropy_with_logits(logits, gold.to(logits.dtype))
        return functional.mse_loss(logits, gold)
