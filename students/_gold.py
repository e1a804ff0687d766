"""Gold labels as arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import Task

Targets = npt.NDArray[np.int64] | npt.NDArray[np.bool_] | npt.NDArray[np.float32]


def gold_targets(labels: pa.ChunkedArray, task: Task) -> tuple[Targets, npt.NDArray[np.bool_]]:
    """The targets of B rows, and which rows have one, (B,).

    Class numbers (B,), int64, for classification; bool (B, C) for multi-label; scores (B, 1), float32, for regression.

    >>> task = Task("text", ("a",), "b", classes=("no", "yes"))
    >>> gold_targets(pa.chunked_array([["yes", None]]), task)
    (array([1, 0]), array([ True, False]))
    """
    there = pc.is_valid(labels).to_numpy()
    if task.target == "regression":
        return pc.fill_null(labels, 0.0).to_numpy().astype(np.float32)[:, None], there
    if task.target == "classification":
        codes = pc.fill_null(pc.index_in(labels, value_set=pa.array(task.classes)), 0)
        return codes.to_numpy().astype(np.int64), there
    flags = np.zeros((len(labels), len(task.classes)), np.bool_)
    lists = labels.combine_chunks()
    codes = pc.index_in(pc.list_flatten(lists), value_set=pa.array(task.classes)).to_numpy()
    flags[pc.list_parent_indices(lists).to_numpy(), codes] = True
    return flags, there


def no_gold(task: Task, rows: int) -> tuple[Targets, npt.NDArray[np.bool_]]:
    """What ``gold_targets`` gives of B rows that have no label."""
    if task.target == "regression":
        return np.zeros((rows, 1), np.float32), np.zeros(rows, np.bool_)
    if task.target == "multilabel":
        return np.zeros((rows, len(task.classes)), np.bool_), np.zeros(rows, np.bool_)
    return np.zeros(rows, np.int64), np.zeros(rows, np.bool_)
