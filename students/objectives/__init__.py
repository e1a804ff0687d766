"""What a student is trained to match: one objective a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from transferset import unknown
from transferset.parameters import build, discover
from transferset.task import Target

if TYPE_CHECKING:
    from torch import Tensor

#: The signals of a teacher that a student can give itself.
Output = Literal["logits", "embedding"]


class Objective(Protocol):
    """A frozen dataclass of parameters that gives the loss of a batch."""

    #: The teacher's signal that the student learns to give.
    signal: ClassVar[Output]
    #: The kinds of target it is made for; of embeddings all, for no target takes part.
    targets: ClassVar[tuple[Target, ...]]

    @property
    def needs_gold(self) -> bool:
        """Whether only rows with a gold label take part."""
        ...

    def loss(self, outputs: Tensor, teacher: Tensor, gold: Tensor, has_gold: Tensor) -> Tensor:
        """The loss, a scalar, of what the student gives and the teacher gave, both (B, C) float32.

        C is the number of classes, 1 for a score, the width of the embedding. ``gold`` are class numbers (B,), int64,
        for classification, bool (B, C) for multi-label, scores (B, 1), float32, for regression; where ``has_gold``,
        bool (B,), is false they mean nothing, and such rows take no part in what is asked of gold labels.
        """
        ...


def objectives() -> dict[str, type[Any]]:
    """All objectives, by name.

    >>> "mse" in objectives()
    True
    """
    return discover("students.objectives", "loss")


def load_objective(name: str, parameters: Mapping[str, Any] | None = None) -> Objective:
    """An objective by name, with some parameters set.

    Raises:
        StillhouseError: an unknown name or parameter, or a value out of range.
    """
    known = objectives()
    if name not in known:
        raise unknown("loss", name, known)
    objective: Objective = build(known[name], parameters or {}, name)
    return objective
