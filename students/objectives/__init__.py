"""What a student is trained to match: one objective a file."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from transferset import unknown
from transferset.parameters import build, discover


class Objective(Protocol):
    """A frozen dataclass of parameters that gives the loss of a batch."""

    @property
    def needs_gold(self) -> bool:
        """Whether only rows with a gold label take part."""
        ...

    def loss(self, logits: Tensor, teacher_logits: Tensor, gold: Tensor) -> Tensor:
        """The loss, a scalar, of the student's and the teacher's logits, both (B, C), and the gold targets.

        Gold targets are class numbers (B,), int64, for classification, bool (B, C) for multi-label, scores
        (B, 1), float32, for regression; where there is no gold label they mean nothing.
        """
        ...


def objectives() -> dict[str, type[Any]]:
    """All objectives, by name.

    >>> list(objectives())
    ['gold', 'mse']
    """
    return discover("students.objectives", "loss")


def load_objective(name: str) -> Objective:
    """An objective by name.

    Raises:
        StillhouseError: an unknown name.
    """
    known = objectives()
    if name not in known:
        raise unknown("loss", name, known)
    objective: Objective = build(known[name], {}, name)
    return objective
