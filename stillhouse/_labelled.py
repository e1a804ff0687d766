"""The rows of a source that have a gold label, as a model is fine-tuned on them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128

from transferset import Source, StillhouseError, Task, content_keys, read_rows
from transferset.tables import classes_in, learn_classes


@dataclass(frozen=True)
class Examples:
    """B labelled rows: the columns of a task that knows its classes. ``unlabelled`` says how many others there were."""

    task: Task
    table: pa.Table
    unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.table)

    def texts(self) -> list[list[str]]:
        """The texts, B strings, and of pairs the second ones, as many."""
        return [self.table[name].to_pylist() for name in self.task.inputs]

    def targets(self) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """Class numbers (B,), flags 0 or 1 (B, C) of several labels, or scores (B,)."""
        labels = self.table[self.task.label]
        if self.task.target == "regression":
            return np.asarray(labels.to_numpy(), np.float32)
        if self.task.target == "classification":
            return np.asarray(pc.index_in(labels, value_set=pa.array(self.task.classes)).to_numpy(), np.int64)
        held = [set(names) for names in labels.to_pylist()]
        return np.array([[name in names for name in self.task.classes] for names in held], np.float32)

    def fingerprint(self) -> str:
        """A hash of the rows and their labels, in their order."""
        digest = xxh3_128(content_keys(self.task, self.table).tobytes())
        digest.update(json.dumps(self.table[self.task.label].to_pylist()).encode())
        return digest.hexdigest()


def labelled(source: Source, task: Task) -> Examples:
    """The labelled rows of a source, and the task with its classes: those given, or the ones found.

    Raises:
        StillhouseError: a bad row, named; no labelled row; fewer than two classes to tell apart.
    """
    if task.label is None:
        raise StillhouseError("teach: must be told the column of the gold label, got none: say --label COLUMN")
    batches, classes, rows = list[pa.RecordBatch](), set[str](), 0
    for batch in read_rows(source, task):
        rows += len(batch)
        classes.update(classes_in(batch, task))
        batches.append(batch.filter(batch.column(task.label).is_valid()))
    count = sum(len(batch) for batch in batches)
    if not count:
        raise StillhouseError(f"{source.path}: column {task.label!r} must hold labels, got none in {rows:,} rows")
    return Examples(learn_classes(task, tuple(classes)), pa.Table.from_batches(batches).combine_chunks(), rows - count)


def check_distinct(examples: Examples) -> None:
    """Raises StillhouseError unless the rows show at least two classes, or two scores."""
    labels = examples.table[examples.task.label]
    found = pc.unique(pc.list_flatten(labels) if examples.task.target == "multilabel" else labels).to_pylist()
    fewest = 1 if examples.task.target == "multilabel" else 2
    if len(found) < fewest:
        what = "scores" if examples.task.target == "regression" else "classes"
        raise StillhouseError(
            f"teach: labelled rows must show at least {fewest} {what}, got {len(examples):,} rows of"
            f" {', '.join(map(str, found)) or 'none'}"
        )


def parted(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples | None]:
    """The rows to learn from, and a share of them that is held out; rows of the same texts stay together.

    Raises:
        StillhouseError: nothing is left on one of the sides.
    """
    if not share:
        return examples, None
    keys = content_keys(examples.task, examples.table)
    group = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    groups = int(group.max()) + 1
    drawn = np.random.default_rng(seed).permutation(groups)[: round(share * groups)]
    held = np.isin(group, drawn)
    if held.all() or not held.any():
        raise StillhouseError(
            f"teach: holdout must leave rows to learn from and rows to watch, got {int((~held).sum())} and"
            f" {int(held.sum())}"
        )
    left, watched = (examples.table.filter(pa.array(which)).combine_chunks() for which in (~held, held))
    return replace(examples, table=left), replace(examples, table=watched, unlabelled=0)
