"""Cosine distance between embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from transferset.task import Target

from . import Output

#: Products of lengths below this count as that of a vector of zeros, which has no direction.
_NO_LENGTH = 1e-12


@dataclass(frozen=True)
class Cosine:
    """1 minus the cosine of the student's and the teacher's embedding, averaged over the batch.

    The student learns the direction and is free in the length. A vector of zeros is at distance 1 from all.

    Source: Sanh et al. 2019 (DistilBERT, arXiv 1910.01108), section 2, the cosine loss, there between hidden states.

    >>> student, teacher = torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([[5.0, 0.0], [0.0, 1.0]])
    >>> loss = Cosine().loss(student, teacher, torch.zeros(2), torch.zeros(2, dtype=torch.bool))
    >>> torch.allclose(loss, torch.nn.CosineEmbeddingLoss()(student, teacher, torch.ones(2)))
    True
    """

    signal: ClassVar[Output] = "embedding"
    targets: ClassVar[tuple[Target, ...]] = ("classification", "multilabel", "regression")

    @property
    def needs_gold(self) -> bool:
        """The teacher embeds every row."""
        return False

    def loss(self, outputs: Tensor, teacher: Tensor, gold: Tensor, has_gold: Tensor) -> Tensor:
        """A scalar."""
        products, lengths = (outputs * teacher).sum(1), outputs.norm(dim=1) * teacher.norm(dim=1)
        # Dividing by a small number in place of 0 would give such rows gradients that drown all others.
        return (1 - products / torch.where(lengths > _NO_LENGTH, lengths, 1.0)).mean()
