"""Mean squared error between logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn import functional

from transferset.parameters import check_share
from transferset.task import Target

from . import Output
from .gold import mixed_loss


@dataclass(frozen=True)
class Mse:
    """The squared difference to the teacher's logits (or score), averaged over the batch and the classes.

    ``alpha`` mixes in the loss against gold labels (``Gold``), averaged over the rows of the batch that have one.

    Source: Bucila et al. 2006 (KDD), a small model fitted to the outputs of a large one; Ba and Caruana 2014
    (arXiv 1312.6184), section 2.2, regression on logits; Tang et al. 2019 (arXiv 1903.12136), section 3.2, with
    alpha = 0. In their mix a text without a label has the teacher's decision for one; here it has none.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, -1.0]])
    >>> loss = Mse().loss(student, teacher, torch.tensor([0]), torch.tensor([True]))
    >>> loss.item(), torch.nn.MSELoss()(student, teacher).item()
    (2.0, 2.0)

    Raises:
        StillhouseError: alpha is not between 0 and 1.
    """

    alpha: Annotated[float, "share of the loss to gold labels, 0 to 1"] = 0.0

    signal: ClassVar[Output] = "logits"
    targets: ClassVar[tuple[Target, ...]] = ("classification", "multilabel", "regression")

    def __post_init__(self) -> None:
        check_share("mse: alpha", self.alpha)

    @property
    def needs_gold(self) -> bool:
        """The teacher labels every row."""
        return False

    def loss(self, outputs: Tensor, teacher: Tensor, gold: Tensor, has_gold: Tensor) -> Tensor:
        """A scalar."""
        return mixed_loss(functional.mse_loss(outputs, teacher), self.alpha, outputs, gold, has_gold)
