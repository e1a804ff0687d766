"""Adam for a table of word vectors, of which a batch touches few."""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class WordAdam:
    """Moves only the vectors of a batch's words, so a step costs nothing of the table's size.

    The moments of a vector stay as they are while its word is not seen, as in torch's ``SparseAdam``.

    Attributes:
        table: (V, E), changed in place.
        first, second: (V, E) the moments of the gradients.
    """

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.first, self.second = torch.zeros_like(table), torch.zeros_like(table)

    def step(self, words: Tensor, gradient: Tensor, rate: float, step: int) -> None:
        """A step, the first being 1, of the vectors of U distinct words, (U,), with their gradients, (U, E).

        >>> adam = WordAdam(torch.zeros(3, 2))
        >>> adam.step(torch.tensor([1]), torch.ones(1, 2), rate=0.1, step=1)
        >>> [round(each, 5) for each in adam.table[:, 0].tolist()]
        [0.0, -0.1, 0.0]
        """
        first = self.first[words].lerp_(gradient, 1 - BETAS[0])
        second = self.second[words].mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        self.first[words], self.second[words] = first, second
        size = rate / (1 - BETAS[0] ** step)
        scale = second.sqrt_().div_((1 - BETAS[1] ** step) ** 0.5).add_(EPSILON)
        self.table.index_add_(0, words, first.div_(scale), alpha=-size)
