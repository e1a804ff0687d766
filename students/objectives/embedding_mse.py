"""Mean squared error between embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from transferset.task import Target

from . import Output


@dataclass(frozen=True)
class EmbeddingMse:
    """The squared difference to the teacher's embedding, averaged over the batch and the width.

    Source: Reimers and Gurevych 2020 (arXiv 2004.09813), section 2: a student's sentence embeddings fitted to a
    teacher's.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, -1.0]])
    >>> EmbeddingMse().loss(student, teacher, torch.zeros(1), torch.tensor([False])).item()
    2.0
    """

    signal: ClassVar[Output] = "embedding"
    targets: ClassVar[tuple[Target, ...]] = ("classification", "multilabel", "regression")

    @property
    def needs_gold(self) -> bool:
        """The teacher embeds every row."""
        return False

    def loss(self, outputs: Tensor, teacher: Tensor, gold: Tensor, has_gold: Tensor) -> Tensor:
        """A scalar."""
        return functional.mse_loss(outputs, teacher)
