"""Kullback-Leibler divergence between softened answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from transferset import StillhouseError
from transferset.parameters import check_share
from transferset.task import Target

from . import Output
from .gold import mixed_loss


@dataclass(frozen=True)
class Kl:
    """T squared times the divergence of the student's softmax(x / T) from the teacher's, averaged over the batch.

    The factor keeps the gradients of all temperatures at one size, so that ``alpha`` means the same at each: it
    mixes in the cross-entropy to gold labels (``Gold``), averaged over the rows of the batch that have one.

    Source: Hinton, Vinyals and Dean 2015 (arXiv 1503.02531), section 2, where soft targets enter by cross-entropy: the
    teacher's entropy, which no student can change, is left out here. For multi-label, which is ours, the divergence is
    that of sigmoid(x / T), averaged over the rows and the classes. The sum over classes would grow with their number,
    as that of one softmax does not, and as torch's ``BCEWithLogitsLoss``, with which alpha mixes it, does not.
    With T high the loss is half the squared difference of centred logits (Hinton), for multi-label an eighth of it.

    >>> student, teacher = torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, -1.0]])
    >>> loss = Kl(temperature=3.0).loss(student, teacher, torch.tensor([0]), torch.tensor([True]))
    >>> inputs = torch.log_softmax(student / 3, 1), torch.softmax(teacher / 3, 1)
    >>> torch.allclose(loss, 9 * torch.nn.KLDivLoss(reduction="batchmean")(*inputs))
    True

    Raises:
        StillhouseError: a temperature that is not above 0 and finite, or alpha is not between 0 and 1.
    """

    temperature: Annotated[float, "what logits are divided by before they are compared, above 0"] = 2.0
    alpha: Annotated[float, "share of the loss to gold labels, 0 to 1"] = 0.0

    signal: ClassVar[Output] = "logits"
    targets: ClassVar[tuple[Target, ...]] = ("classification", "multilabel")

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise StillhouseError(f"kl: temperature must be above 0 and finite, got {self.temperature}")
        check_share("kl: alpha", self.alpha)

    @property
    def needs_gold(self) -> bool:
        """The teacher labels every row."""
        return False

    def loss(self, outputs: Tensor, teacher: Tensor, gold: Tensor, has_gold: Tensor) -> Tensor:
        """A scalar."""
        log_shares = _of_each_class if gold.dtype == torch.bool else _of_one_class
        student_shares, teacher_shares = (log_shares(each / self.temperature) for each in (outputs, teacher))
        # Logarithms on both sides: a share that is 0 in float32 has one all the same.
        divergence = functional.kl_div(student_shares, teacher_shares, reduction="batchmean", log_target=True)
        return mixed_loss(self.temperature**2 * divergence, self.alpha, outputs, gold, has_gold)


def _of_one_class(logits: Tensor) -> Tensor:
    """(B, C) the logarithms of shares that sum to 1."""
    return functional.log_softmax(logits, dim=1)


def _of_each_class(logits: Tensor) -> Tensor:
    """(B * C, 2) for each class the logarithms of the shares of yes and no."""
    yes_and_no = torch.stack([logits, -logits], dim=2)
    return functional.logsigmoid(yes_and_no).flatten(0, 1)
