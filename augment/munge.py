"""MUNGE: rows of features exchange values with their nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import StillhouseError, unknown
from transferset.parameters import check_share

from ._codes import Column, coded
from ._corpus import Corpus
from ._draws import Draws, position_draws, row_draws, within
from ._features import FeatureDraft, FeatureStep
from ._neighbours import Floats, Places, nearest_neighbours

Columns = npt.NDArray[np.int32]
_MODES = ("both", "one_sided")


@dataclass(frozen=True)
class Munge:
    """Copies of the whole table in which near rows have exchanged values, each cell with probability ``p``.

    Copy c is pass c over a fresh copy of the table. A pass visits each row e once; e' is the row nearest to e, by
    Euclid on numbers scaled to 0..1 and Hamming on nominal columns (strings, booleans, what the task calls
    categorical). With probability ``p``, for each column by itself, nominal values are swapped, and numbers drawn:
    from N(e'_a, sd) for e and from N(e_a, sd) for e', with sd = |e_a - e'_a| / ``s``. ``one_sided`` changes e alone.

    The paper does not speak of integers, missing cells and outliers: here integers stay integers, two cells of which
    one is missing are swapped, and draws are clipped to the range of the column. The paper looks e' up in the partly
    changed copy; here it is the nearest in the table itself, found once, so that a pass is linear in the rows.
    Rows are visited in a random order, not in that of the table, which may be sorted.

    Source: Bucila, Caruana and Niculescu-Mizil 2006, "Model compression", section 2.3.

    >>> from augment import augment
    >>> table = pa.table({"height": [1, 2, 9, 8], "kind": ["a", "b", "y", "z"]})
    >>> made = augment(table, [Munge(s=1e9)], copies=20).select(["height", "kind"]).to_pylist()
    >>> sorted({(row["height"], row["kind"]) for row in made if row["height"] < 5})
    [(1, 'a'), (1, 'b'), (2, 'a'), (2, 'b')]

    Raises:
        StillhouseError: a probability outside 0 to 1, a variance parameter that is not positive, an unknown mode.
    """

    edits: ClassVar[str] = "features"

    p: Annotated[float, "probability that a cell is exchanged, 0 to 1"] = 0.5
    s: Annotated[float, "local variance: numbers deviate by their difference / s"] = 3.0
    mode: Annotated[str, "both: either row of a pair changes; one_sided: only the one visited"] = "both"

    def __post_init__(self) -> None:
        check_share("munge: p", self.p)
        if not 0 < self.s < np.inf:
            raise StillhouseError(f"munge: s must be a number above 0, got {self.s}")
        if self.mode not in _MODES:
            raise unknown("munge: mode", self.mode, _MODES)

    def fit(self, corpus: Corpus) -> FeatureStep:
        """Finds the neighbour of each row.

        Raises:
            StillhouseError: a table of one row, which has no neighbour.
        """
        rows = len(corpus.table())
        if rows < 2:
            raise StillhouseError(f"munge: must have at least 2 rows, so that each has a neighbour, got {rows}")
        return partial(self._edit, corpus, corpus.learned("munge-neighbours", partial(_neighbours, corpus)))

    def _edit(self, corpus: Corpus, neighbours: pa.Table, draft: FeatureDraft) -> None:
        name = draft.name("munge")
        copies, place = np.unique(draft.copy, return_inverse=True)
        # Needed where a pass is missing, and forgotten with this block.
        visits = cache(lambda: _Visits.of(corpus, neighbours["row"].to_numpy(), draft.seed))
        passes = []
        for copy in copies.tolist():
            made = corpus.learned(
                f"{name}-{self.mode}-{self.p!r}-{self.s!r}-{draft.seed}-{copy}",
                lambda: _Pass(visits(), self, name, copy).run(),  # noqa: B023 - called at once
            )
            passes.append(made.slice(draft.first_row, len(draft.rows)))
        for number, column in enumerate(draft.rows.columns if passes else ()):
            new = pa.chunked_array([chunk for each in passes for chunk in each[number].cast(column.type).chunks])
            draft.replace("munge", number, new.combine_chunks().take(pa.array(place * len(column) + draft.row)))


def levels(order: Places, neighbours: Places) -> Places:
    """(N,) levels from 0 of visits in ``order``: each is above all earlier visits that share a row with it.

    >>> levels(np.array([0, 1, 2, 3]), np.array([1, 0, 3, 1])).tolist()
    [0, 1, 0, 2]
    """
    other = neighbours.tolist()
    free = [0] * len(other)
    found = []
    for row in order.tolist():
        level = max(free[row], free[other[row]])
        free[row] = free[other[row]] = level + 1
        found.append(level)
    return np.array(found)


def _neighbours(corpus: Corpus) -> pa.Table:
    columns, cells = coded(corpus)
    nominal = np.array([column.categories is not None for column in columns])
    return pa.table({"row": nearest_neighbours(cells, nominal, corpus.progress)})


@dataclass(frozen=True)
class _Visits:
    """The visits of every pass over N rows of A columns, in a random order of the rows.

    Those of one level touch different rows, so they can be made at once.

    Attributes:
        columns: how the cells of each column are coded.
        cells: (N, A) the codes.
        row, neighbour: (N,) the row visited and the one nearest to it, level by level.
        first: (L + 1,) where each level begins.
        seed: the seed of all draws.
    """

    columns: list[Column]
    cells: Floats
    row: Places
    neighbour: Places
    first: Places
    seed: int

    @classmethod
    def of(cls, corpus: Corpus, neighbours: Places, seed: int) -> _Visits:
        columns, cells = coded(corpus)
        rows = np.arange(len(cells))
        order = np.argsort(row_draws(seed, "munge-order", rows, np.zeros(len(rows), np.int32)), kind="stable")
        level = levels(order, neighbours)
        row = order[np.argsort(level, kind="stable")]
        first = np.concatenate([[0], np.cumsum(np.bincount(level))])
        return cls(columns, cells, row, neighbours[row], first, seed)


@dataclass(frozen=True)
class _Pass:
    """One pass over the table: the same as if its visits were made one after the other."""

    visits: _Visits
    munge: Munge
    name: str
    copy: int

    def run(self) -> pa.Table:
        """The table after the pass."""
        columns, cells = self.visits.columns, self.visits.cells.copy()
        nominal = np.array([column.categories is not None for column in columns])
        self._swap(cells.reshape(-1), np.flatnonzero(nominal))
        self._draw(cells.reshape(-1), np.flatnonzero(~nominal))
        before = self.visits.cells.T
        made = [column.decoded(*codes) for column, *codes in zip(columns, cells.T, before, strict=True)]
        return pa.table(made, names=[column.name for column in columns])

    def _swap(self, cells: Floats, columns: Places) -> None:
        """Nominal cells: e gets what e' has, and e' what e had."""
        for here, there, _ in self._by_level(*self._chosen(columns)):
            old = cells[here]
            cells[here] = cells[there]
            if self.munge.mode == "both":
                cells[there] = old

    def _draw(self, cells: Floats, columns: Places) -> None:
        """Cells of numbers: e gets a draw around what e' has, and e' one around what e had."""
        visit, column = self._chosen(columns)
        sides = ("own", "other") if self.munge.mode == "both" else ("own",)
        normals = [_normal(position_draws(self._draws(f"{self.name}-{side}")[visit], column)) for side in sides]
        low, high = (np.array([getattr(each, end) for each in self.visits.columns]) for end in ("low", "high"))
        whole = np.array([pa.types.is_integer(each.type) for each in self.visits.columns])
        for here, there, level in self._by_level(visit, column):
            a, x, y = column[level], cells[here], cells[there]
            for place, mean, normal in zip((here, there), (y, x), normals, strict=False):
                # A deviation too large for a float is infinite, and its draw an end of the range.
                with np.errstate(over="ignore"):
                    value = np.clip(mean + np.abs(x - y) / self.munge.s * normal[level], low[a], high[a])
                value = np.where(whole[a], np.rint(value), value)
                # Where either cell is missing, so is the draw: then the two are swapped.
                cells[place] = np.where(np.isnan(value), mean, value)

    def _chosen(self, columns: Places) -> tuple[Places, Columns]:
        """The visit and the column, (E,) each and in order of visit, of the cells to exchange."""
        of_visit = self._draws(self.name)
        chosen = np.empty((len(of_visit), len(columns)), np.bool_)
        for number, column in enumerate(columns.tolist()):
            draws = position_draws(of_visit, np.full(len(of_visit), column, np.int32))
            chosen[:, number] = within(draws, 0.0, self.munge.p)
        visit, place = np.nonzero(chosen)
        return visit, columns.astype(np.int32)[place]

    def _by_level(self, visit: Places, column: Columns) -> Iterator[tuple[Places, Places, slice]]:
        """Level by level: the places of cells of rows visited and of their neighbours, and which of all they are."""
        ends = np.searchsorted(visit, self.visits.first).tolist()
        width = len(self.visits.columns)
        here, there = (rows[visit] * width + column for rows in (self.visits.row, self.visits.neighbour))
        for level in (slice(*each) for each in pairwise(ends)):
            yield here[level], there[level], level

    def _draws(self, name: str) -> Draws:
        """(N,) one draw for each visit."""
        rows = self.visits.row
        return row_draws(self.visits.seed, name, rows, np.full(len(rows), self.copy, np.int32))


def _normal(draws: Draws) -> Floats:
    """Standard normal numbers, by the upper 52 bits of the draws: never 0 and never infinite."""
    from scipy.special import ndtri

    return np.asarray(ndtri(((draws >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52))
