"""Measures a student on a labelled file."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from transferset import Ensemble, LogitCache, Source, StillhouseError, Task, content_keys, read_rows

from ._gold import gold_targets
from .metrics import agreement, scores
from .student import Student


def read_labelled(source: Source, task: Task) -> pa.Table:
    """The rows of a labelled file in the columns of a task.

    Raises:
        StillhouseError: a missing column, a label outside the classes, a file without labels or rows.
    """
    if task.label is None:
        raise StillhouseError(
            f"{source.path}: must have gold labels to measure by: the transfer set had none, so say --label COLUMN"
        )
    batches = list(read_rows(source, task))
    table = pa.Table.from_batches(batches) if batches else None
    if table is None or not len(table):
        raise StillhouseError(f"{source.path}: must hold at least one row, got none")
    labelled = table.filter(table[task.label].is_valid())
    if not len(labelled):
        raise StillhouseError(f"{source.path}: column {task.label!r} must hold labels, got only empty cells")
    return labelled


def evaluate(
    student: Student, source: Source, cache: LogitCache | Ensemble | None = None, label: str | None = None
) -> dict[str, float]:
    """The metrics of a student on a labelled file; with a cache of its rows also the agreement with the teacher.

    ``label`` is the column of the gold label where it is another than in training, or there was none.

    Raises:
        StillhouseError: as ``read_labelled``; or a cache that lacks the file's rows.
    """
    task = replace(student.task, label=label or student.task.label)
    table = read_labelled(source, task)
    logits = student.logits(table)
    gold, _ = gold_targets(table[task.label], task)
    found = {"rows": float(len(table)), **scores(logits, gold, task)}
    if cache is not None:
        found["agreement"] = agreement(logits, cache.logits(content_keys(task, table), task), task)
    return found


def inputs_of(task: Task, source: Source) -> Task:
    """The task without its label, reading the one column of a txt file whatever the text is called."""
    inputs = ("text",) if source.format == ".txt" and task.kind == "text" else task.inputs
    return replace(task, inputs=inputs, label=None)
