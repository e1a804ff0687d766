"""What a teacher is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import Task


@dataclass(frozen=True)
class Encoded:
    """B rows as the teacher reads them, laid end to end.

    Attributes:
        ids: (sum of lengths,) token ids.
        types: (sum of lengths,) which text of a pair each token is from; None for single texts.
        lengths: (B,) tokens of each row.
        cut: how many rows were longer than the teacher takes, and were cut.
    """

    ids: npt.NDArray[np.int32]
    types: npt.NDArray[np.uint8] | None
    lengths: npt.NDArray[np.int32]
    cut: int


class Teacher(Protocol):
    """A model that gives logits for rows of tokens."""

    def identity(self, mask_token: str | None) -> dict[str, Any]:
        """What its logits depend on: hash of the weights, length, precision, a mask token that it reads as its own.

        Another identity is another cache.
        """
        ...

    def classes(self, task: Task) -> tuple[str, ...]:
        """The task's classes in the order of this teacher's logits; raises StillhouseError where they differ."""
        ...

    def encode(self, task: Task, rows: pa.Table, mask_token: str | None) -> Encoded:
        """The rows in tokens; ``mask_token`` in a text becomes the teacher's own."""
        ...

    def logits(self, ids: Sequence[Any], types: Sequence[Any] | None) -> npt.NDArray[np.float32]:
        """The logits, (B, C), of B rows of token ids."""
        ...

    def keep(self, folder: Path) -> None:
        """Writes what students may want of the teacher, its tokenizer and input embeddings, into a folder."""
        ...
