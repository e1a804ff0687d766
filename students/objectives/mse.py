"""Mean squared error between logits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Mse:
    """The squared difference to the teacher's logits (or score), averaged over the batch and the classes.

    Source: Ba and Caruana 2014, section 2.2, regression on logits; Tang et al. 2019, section 3.1, with
    alpha = 0, so that no gold label takes part.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, -1.0]])
    >>> loss = Mse().loss(student, teacher, torch.tensor([0]))
    >>> loss.item(), torch.nn.MSELoss()(student, teacher).item()
    (2.0, 2.0)
    """

    @property
    def needs_gold(self) -> bool:
        """The teacher labels every row."""
        return False

    def loss(self, logits: Tensor, teacher_logits: Tensor, gold: Tensor) -> Tensor:
        """A scalar."""
        return functional.mse_loss(logits, teacher_logits)
