"""The output rows of a block: drawn up, edited by the steps of a recipe, and put into a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import Task
from transferset.transfer_set import EDIT

from ._block import Block, Draft, Flags, Places
from ._corpus import Corpus, first_row
from ._draws import below, row_draws
from ._features import FeatureDraft
from ._render import edit_lists, texts

Copies = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Plan:
    """What is done to every block: the fitted steps, which texts of pairs, the seed, and whether labels are kept."""

    steps: Sequence[Callable[[Any], None]]
    pairs: str
    seed: int
    keep_labels: bool = False

    def draw_up(self, corpus: Corpus, index: int, row: Places, copy: Copies) -> pa.Table:
        """Copies of some rows of a block, (W,) in ascending order with the number of each copy, less the unchanged."""
        rows, task = corpus.rows(index), corpus.task
        if task.kind == "features":
            features = FeatureDraft(first_row(rows), rows.select(task.inputs), row, copy, self.seed)
            self.run(features)
            changed = np.flatnonzero(features.changed())
            inputs = [column.take(pa.array(changed)) for column in features.columns]
            edits = features.edits(changed)
        else:
            draft = self.draft(corpus.block(index), row, copy)
            changed = np.flatnonzero(draft.changed())
            inputs, edits = texts(draft, changed, row[changed]), edit_lists(draft, changed)
        return _table(task, rows, row[changed], copy[changed], inputs, edits, self.keep_labels)

    def texts(self, corpus: Corpus, index: int, copies: int) -> pa.Array:
        """All copies of the texts of a block, the unchanged ones too."""
        block = corpus.block(index)
        row, copy = all_copies(block.rows, copies)
        return texts(self.draft(block, row, copy), np.arange(len(row)), row)[0]

    def draft(self, block: Block, row: Places, copy: Copies) -> Draft:
        """Edited copies of the texts of some rows."""
        sides = None if block.sides == 1 else _sides(self.pairs, self.seed, block.first_row + row, copy)
        draft = Draft.of(block, row, copy, self.seed, sides)
        self.run(draft)
        return draft

    def run(self, draft: Any) -> None:
        """All steps in order."""
        for step in self.steps:
            step(draft)


def all_copies(rows: int, copies: int) -> tuple[Places, Copies]:
    """Row and number of each copy, from 1: the copies of a row stand together.

    >>> row, copy = all_copies(2, 2)
    >>> row.tolist(), copy.tolist()
    ([0, 0, 1, 1], [1, 2, 1, 2])
    """
    return np.repeat(np.arange(rows), copies), np.tile(np.arange(1, copies + 1, dtype=np.int32), rows)


def originals(corpus: Corpus, index: int) -> pa.Table:
    """The rows of a block as copy 0."""
    rows = corpus.rows(index)
    everything, none = np.arange(len(rows)), np.zeros(len(rows), np.int64)
    inputs = [rows[name].combine_chunks() for name in corpus.task.inputs]
    no_edits = pa.array([[]], pa.list_(EDIT)).take(pa.array(none))
    return _table(corpus.task, rows, everything, none.astype(np.int32), inputs, no_edits, True)


def in_order(own: pa.Table, drawn: Sequence[pa.Table], keep: Flags) -> tuple[pa.Table, Places]:
    """The originals of a block and all its drawn copies as one table, and which rows to take, in order of source.

    ``keep`` flags the copies that are kept, in the order in which they were drawn.
    """
    table = pa.concat_tables([own, *drawn])
    chosen = np.concatenate([np.arange(len(own)), len(own) + np.flatnonzero(keep)])
    return table, chosen[np.argsort(table["source"].to_numpy()[chosen], kind="stable")]


def _table(
    task: Task, rows: pa.Table, row: Places, copy: Copies, inputs: list[pa.Array], edits: pa.Array, labels: bool
) -> pa.Table:
    columns: dict[str, Any] = dict(zip(task.inputs, inputs, strict=True))
    if task.kind != "features":
        columns = {name: texts.cast(pa.string()) for name, texts in columns.items()}
    if task.label is not None:
        nothing = pa.nulls(len(row), task.label_type)
        columns[task.label] = rows[task.label].combine_chunks().take(pa.array(row)) if labels else nothing
    return pa.table({**columns, "source": first_row(rows) + row, "copy": copy, "edits": edits})


#: Which texts of a pair are edited in copy 1, 2, ...: (first, second) of each.
_TURNS = {
    "cycle": [(True, False), (False, True), (True, True)],
    "alternate": [(True, False), (False, True)],
    "first": [(True, False)],
    "second": [(False, True)],
    "both": [(True, True)],
    "draw": [(True, False), (False, True), (True, True)],
}
PAIRS = tuple(_TURNS)


def _sides(pairs: str, seed: int, source: Places, copy: Copies) -> Flags:
    """(W, 2) which texts of each pair are edited."""
    turns = np.array(_TURNS[pairs])
    turn = below(row_draws(seed, "pairs", source, copy), 3) if pairs == "draw" else (copy - 1) % len(turns)
    return np.asarray(turns[turn])
