"""What a student and its teacher say of each row of a labelled file, beside the gold labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import Ensemble, LogitCache, Source, Task, content_keys, read_rows

from ._answers import check_finite, probabilities
from ._gold import Targets, gold_targets, no_gold
from .evaluate import read_labelled
from .predict import Predictor

__all__ = ["Answered", "Outputs", "answered", "probabilities"]

Outputs = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answered:
    """What is said of B rows.

    Attributes:
        task: the student's, with the column of the gold label; none where the student gives embeddings.
        rows: the inputs, and the label.
        numbers: (B,) the place of each row among those of the file, from 1.
        gold: as ``scores`` wants it; it means nothing for embeddings.
        student: (B, C) logits, classes in the order of the task, or (B, H) embeddings.
        teacher: likewise; None without a cache.
    """

    task: Task
    rows: pa.Table
    numbers: npt.NDArray[np.int64]
    gold: Targets
    student: Outputs
    teacher: Outputs | None

    @property
    def embeds(self) -> bool:
        """Whether these are embeddings."""
        return self.task.label is None

    @property
    def decides(self) -> bool:
        """Whether these are logits of classes, and so right or wrong."""
        return not self.embeds and self.task.target != "regression"


def answered(
    student: Predictor, source: Source, cache: LogitCache | Ensemble | None = None, label: str | None = None
) -> Answered:
    """The answers to the labelled rows of a file; of a student of embeddings to all rows.

    ``label`` is the column of the gold label where it is another than in training.

    Raises:
        StillhouseError: as ``evaluate.read_labelled``; a cache that lacks the rows; outputs that are not finite.
    """
    task, types = student.config.task, student.config.encoding.types
    embeds = student.config.output == "embedding"
    task = replace(task, label=None if embeds else label or task.label)
    if not embeds:
        read_labelled(source, task, types)  # what is wrong with the file is said there
    rows = pa.Table.from_batches(list(read_rows(source, task, types)))
    there = np.ones(len(rows), np.bool_) if task.label is None else rows[task.label].is_valid().to_numpy()
    rows = rows.filter(pa.array(there))
    gold, _ = no_gold(task, len(rows)) if task.label is None else gold_targets(rows[task.label], task)
    said, signal = student.outputs(rows), student.config.output
    check_finite("student", said)
    teacher = None
    if cache is not None:
        order = cache.order(task) if signal == "logits" else slice(None)
        teacher = cache.reader([signal]).rows(content_keys(task, rows))[signal][:, order]
    return Answered(task, rows, np.flatnonzero(there) + 1, gold, said, teacher)
