"""The rows of features that an augmenter sees at once, drawn up as output rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset.transfer_set import EDIT

from ._block import Flags, Places
from ._draws import Draws, row_draws

#: What an augmenter of features becomes once it has seen the corpus: it edits a draft in place.
FeatureStep = Callable[["FeatureDraft"], None]


@dataclass
class FeatureDraft:
    """R output rows of features; augmenters set cells, and a cell that was set stays as it is.

    Attributes:
        first_row: the source row of the block's first row.
        rows: the B rows of the block, the task's features in order.
        row: (R,) the row of the block that each output row is a copy of, ascending.
        copy: (R,) the number of the copy, from 1.
        seed: the seed of all draws.
        columns: the features of the output rows, R values each.
    """

    first_row: int
    rows: pa.Table
    row: Places
    copy: npt.NDArray[np.int32]
    seed: int
    columns: list[pa.Array] = field(init=False)
    _set: list[Flags] = field(init=False)
    _rules: list[tuple[str, int, Places]] = field(default_factory=list)
    _active: Flags | None = None
    _names: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        copies = pa.array(self.row)
        self.columns = [column.combine_chunks().take(copies) for column in self.rows.columns]
        self._set = [np.zeros(len(self.row), np.bool_) for _ in self.columns]

    @property
    def active(self) -> Flags:
        """(R,) the rows that the step at work may edit."""
        return np.ones(len(self.row), np.bool_) if self._active is None else self._active

    def name(self, rule: str) -> str:
        """A name for the draws of a step: another one each time, so that two steps of one kind draw differently."""
        self._names[rule] = self._names.get(rule, 0) + 1
        return rule if self._names[rule] == 1 else f"{rule}-{self._names[rule]}"

    def row_draws(self, name: str) -> Draws:
        """(R,) one draw for each row."""
        return row_draws(self.seed, name, self.first_row + self.row, self.copy)

    def split(self, branch: Places, steps: Sequence[FeatureStep]) -> None:
        """Runs step b on those rows alone whose branch, (R,), is b; other rows are left as they are."""
        outer = self._active
        for number, step in enumerate(steps):
            self._active = self.active & (branch == number)
            try:
                step(self)
            finally:
                self._active = outer

    def replace(self, rule: str, column: int, values: pa.Array) -> None:
        """Puts new values, R of them, in a whole column; cells that are given what they have count as unedited."""
        old = self.rows.column(column).combine_chunks().take(pa.array(self.row))
        values = values.cast(old.type)
        unlike = pc.coalesce(pc.not_equal(old, values), pc.xor(old.is_null(), values.is_null()))
        rows = np.flatnonzero(unlike)
        self.set(rule, column, rows, values.take(pa.array(rows)))

    def set(self, rule: str, column: int, rows: Places, values: pa.Array) -> None:
        """Puts new values, E of the column's type, in the cells of some output rows, (E,)."""
        free = ~self._set[column][rows]
        if self._active is not None:
            free &= self._active[rows]
        rows = rows[free]
        choice = np.arange(len(self.row))
        choice[rows] = len(self.row) + np.arange(len(rows))
        both = pa.concat_arrays([self.columns[column], values.filter(pa.array(free)).cast(self.columns[column].type)])
        self.columns[column] = both.take(pa.array(choice))
        self._set[column][rows] = True
        self._rules.append((rule, column, rows))

    def changed(self) -> Flags:
        """(R,) whether any cell of a row was set."""
        flags = np.zeros(len(self.row), np.bool_)
        for each in self._set:
            flags |= each
        return flags

    def edits(self, rows: Places) -> pa.Array:
        """What was done to some rows, (W,) numbers in ascending order: W lists, in order of column."""
        code = np.concatenate([np.zeros(0, np.int64), *(np.full(len(r), n) for n, (_, _, r) in enumerate(self._rules))])
        row = np.concatenate([np.zeros(0, np.int64), *(each[2] for each in self._rules)])
        column = np.array([each[1] for each in self._rules], np.int64)[code]
        cells = [self._cells(column, row) for _, column, row in self._rules]
        nothing = pa.array([], pa.string())
        old, new = (pa.concat_arrays([nothing, *(each[side] for each in cells)]) for side in (0, 1))
        order = np.lexsort((column, row))
        place = pa.array(order)
        values = pa.StructArray.from_arrays(
            [
                pa.array([each[0] for each in self._rules], pa.string()).take(pa.array(code[order])),
                pa.array(column[order], pa.int16()),
                pa.nulls(len(order), pa.int32()),
                pa.nulls(len(order), pa.int32()),
                old.take(place),
                new.take(place),
            ],
            fields=list(EDIT),
        )
        first = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(self.row)))])
        return pa.ListArray.from_arrays(pa.array(first, pa.int32()), values).take(pa.array(rows))

    def _cells(self, column: int, rows: Places) -> tuple[pa.Array, pa.Array]:
        """Old and new values of some cells as text."""
        old = self.rows.column(column).take(pa.array(self.row[rows])).combine_chunks()
        new = self.columns[column].take(pa.array(rows))
        return pc.cast(old, pa.string()), pc.cast(new, pa.string())
