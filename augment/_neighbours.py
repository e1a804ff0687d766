"""The nearest other row of every row of a table of numbers and categories, exactly.

Two searches share the work. Rows of one kind agree in all categories and in what is missing; rows of two kinds are
at least 1 apart. So a k-d tree over the numbers finds the nearest row of the same kind, and it is the nearest of all
where it is nearer than 1. For the rows that remain, products of float32 matrices bound all distances
from below. Both name candidates only: what decides is the distance in float64, added up in the order of the
columns, so that the result is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

#: With more columns of numbers a tree looks at most rows, and slower than products do.
_TREE_COLUMNS = 24
#: How many rows a tree is asked for: few at first, more where several are equally near.
_TREE_ROWS = (4, 24)
#: How much two ways to add up one distance may differ, as a share of it.
_SAME = 1e-9
#: Rows asked of a tree at once, and rows and candidates of one product.
_ASKED, _ROWS, _CANDIDATES = 65_536, 512, 8192
#: Categories told apart by a product, in all columns together; beyond that some share a place.
_CATEGORIES = 1024


def nearest_neighbours(cells: Floats, nominal: Flags, progress: bool = False) -> Places:
    """The nearest other row of each row: (N,) row numbers from cells (N, A), N at least 2.

    The squared distance is the sum of the squared differences of numbers, each column scaled to 0..1, plus the number
    of nominal columns, (A,) flags, in which the category codes (0, 1, ...) differ. A missing cell (NaN) is at 0 from
    another missing one and at 1 from any value. Of several rows equally near it is the next one down
    the table, which goes on at its top: so equal rows form a ring, and none is the neighbour of all others.

    The tree takes time in the order of N log N; products that of N times the rows left to them.

    >>> nearest_neighbours(np.array([[0.0], [1.0], [8.0], [9.5]]), np.array([False])).tolist()
    [1, 0, 3, 2]
    """
    table = _Table.of(cells, nominal)
    best = _Best(table)
    _search_tree(best)
    _search_products(best, progress)
    return best.neighbours()


@dataclass(frozen=True)
class _Table:
    """M distinct rows of a table of N.

    Attributes:
        numbers: (C, M) values scaled to 0..1, NaN where missing.
        codes: (D, M) categories from 1, 0 where missing.
        kinds: (M,) the number of each combination of categories and of what is missing.
        order: (N,) row numbers, equal rows together and ascending.
        first: (M + 1,) where in ``order`` the rows begin that equal each distinct one.
    """

    numbers: Floats
    codes: Places
    kinds: Places
    order: Places
    first: Places

    @classmethod
    def of(cls, cells: Floats, nominal: Flags) -> _Table:
        rows = len(cells)
        numbers = np.array([_scaled(cells[:, a]) for a in np.flatnonzero(~nominal)]).reshape(-1, rows)
        every = [np.where(np.isnan(x), 0, x + 1).astype(np.int64) for x in cells[:, nominal].T]
        # A column in which all rows differ, such as a name, adds 1 to all distances.
        codes = np.array([x for x in every if np.bincount(x).max() > 1], np.int64).reshape(-1, rows)
        missing = np.isnan(numbers)
        filled = np.where(missing, 0, numbers)
        order = np.lexsort((*filled, *missing, *codes, np.zeros(rows)))
        new_kind = _changes(codes[:, order]) | _changes(missing[:, order])
        first = np.flatnonzero(new_kind | _changes(filled[:, order]))
        kinds = np.cumsum(new_kind, dtype=np.int64)[first]
        distinct = order[first]
        return cls(numbers[:, distinct], codes[:, distinct], kinds, order, np.append(first, rows))

    def squared_distances(self, one: Places, other: Places) -> Floats:
        """(P,) between the distinct rows of P pairs."""
        total = np.zeros(len(one))
        for column in self.numbers:
            x, y = column[one], column[other]
            difference = (x - y) ** 2
            unknown = np.isnan(difference)
            difference[unknown] = np.isnan(x[unknown]) != np.isnan(y[unknown])
            total += difference
        for codes in self.codes:
            total += codes[one] != codes[other]
        return total

    def steps_down(self, one: Places, other: Places) -> Places:
        """(P,) how far below the first row equal to ``one`` is the next one equal to ``other``."""
        rows = len(self.order)
        here = self.order[self.first[one]]
        after = np.searchsorted(self._ranked, other * rows + here)
        after = np.where(after < self.first[other + 1], after, self.first[other])
        return np.asarray((self.order[after] - here) % rows)

    @cached_property
    def _ranked(self) -> Places:
        """(N,) ascending: the number of each row's distinct row, then that of the row."""
        return np.repeat(np.arange(len(self.kinds)), np.diff(self.first)) * len(self.order) + self.order


@dataclass
class _Best:
    """The nearest other row known so far of each of M distinct rows.

    Attributes:
        distance: (M,) its squared distance.
        steps: (M,) how far down the table it is.
        open: (M,) whether there may be a nearer one; never so for a row that has equal ones.
    """

    table: _Table
    distance: Floats = field(init=False)
    steps: Places = field(init=False)
    open: Flags = field(init=False)

    def __post_init__(self) -> None:
        self.open = np.diff(self.table.first) == 1
        self.distance = np.full(len(self.open), np.inf)
        self.steps = np.zeros(len(self.open), np.int64)

    def offer(self, one: Places, other: Places) -> None:
        """Takes row ``other`` as the neighbour of ``one`` where it is nearer, for P pairs."""
        distance = self.table.squared_distances(one, other)
        near = distance <= self.distance[one]
        one, distance = one[near], distance[near]
        steps = self.table.steps_down(one, other[near])
        order = np.lexsort((steps, distance, one))
        order = order[_changes(one[None, order])]
        one, distance, steps = one[order], distance[order], steps[order]
        better = (distance < self.distance[one]) | (steps < self.steps[one])
        self.distance[one[better]] = distance[better]
        self.steps[one[better]] = steps[better]

    def neighbours(self) -> Places:
        """(N,) the neighbour of each row: the next of its equals, else the nearest."""
        order, first = self.table.order, self.table.first
        following = np.append(order[1:], order[:1])
        following[first[1:] - 1] = order[first[:-1]]
        alone = first[:-1][np.diff(first) == 1]
        following[alone] = (order[alone] + self.steps[np.diff(first) == 1]) % len(order)
        neighbours = np.empty(len(order), np.int64)
        neighbours[order] = following
        return neighbours


def _search_tree(best: _Best) -> None:
    """Finds the nearest of each kind, and closes the rows for which no other kind can be nearer."""
    from scipy.spatial import KDTree

    table = best.table
    if not 0 < len(table.numbers) <= _TREE_COLUMNS or not best.open.any():
        return
    # Kinds stand 2 apart, so that they never meet within the bound.
    bound = 1.0 if table.kinds[-1] > 1 else np.inf
    points = np.column_stack([*np.nan_to_num(table.numbers), 2.0 * table.kinds])
    tree = KDTree(points)
    for count in _TREE_ROWS:
        rows = np.flatnonzero(best.open)
        for start in range(0, len(rows), _ASKED):
            asked = rows[start : start + _ASKED]
            distance, found = tree.query(points[asked], count, distance_upper_bound=bound, workers=-1)
            one, place = np.nonzero((found < len(points)) & (found != asked[:, None]))
            best.offer(asked[one], found[one, place])
            # Whatever was not found is at least as far as the last that was.
            reach = np.minimum(distance[:, -1], bound) ** 2
            best.open[asked[best.distance[asked] < reach * (1 - _SAME)]] = False


def _search_products(best: _Best, progress: bool) -> None:
    """Compares the rows still open with all others."""
    rows = np.flatnonzero(best.open)
    if not len(rows):
        return
    bounds = _Bounds(best.table)
    with tqdm(desc="neighbours", total=len(best.open), unit=" rows", unit_scale=True, disable=not progress) as bar:
        for start in range(0, len(best.open), _CANDIDATES):
            candidates = np.arange(start, min(start + _CANDIDATES, len(best.open)))
            right = bounds.factors(candidates)[1]
            for begin in range(0, len(rows), _ROWS):
                some = rows[begin : begin + _ROWS]
                lowest = bounds.factors(some)[0].T @ right
                own = np.flatnonzero((some >= start) & (some <= candidates[-1]))
                lowest[own, some[own] - start] = np.inf
                _offer_nearest(best, some, start, lowest, bounds.error)
            bar.update(len(candidates))


def _offer_nearest(best: _Best, rows: Places, start: int, lowest: Floats32, error: float) -> None:
    """Offers some rows, (P,), all candidates from ``start`` that their lower bounds, (P, Q), do not rule out."""
    nearest = lowest.min(axis=1)
    hit = np.flatnonzero((nearest <= best.distance[rows] + error) & (nearest < np.inf))
    rows, lowest = rows[hit], lowest[hit]
    best.offer(rows, start + lowest.argmin(axis=1))
    one, other = np.nonzero(lowest <= (best.distance[rows] + error)[:, None])
    best.offer(rows[one], start + other)


class _Bounds:
    """Squared distances as the products of two matrices, F factors of each row; where they err they are too small.

    A known number x gives (x - y)^2 = x^2 + y^2 - 2 x y, a category 1 less the product of two one-hot vectors. With p
    and q, 1 or 0, for the presence of numbers that may be missing, the distance is
    p + q + x^2 q + p (y^2 - 2 q) - 2 x y, where a missing x is 0.

    Attributes:
        error: how much too large a bound can be, from rounding to float32.
    """

    def __init__(self, table: _Table) -> None:
        self.table = table
        self.gaps = [bool(np.isnan(column).any()) for column in table.numbers]
        self.places = [_places_of(codes, max(2, _CATEGORIES // len(table.codes))) for codes in table.codes]
        plain, gaps, nominal = self.gaps.count(False), self.gaps.count(True), len(table.codes)
        # Products that are not 0, and the largest sum of their sizes: numbers lie within -0.5..0.5.
        terms, size = plain + 3 * gaps + nominal + 2, plain + 5 * gaps + 2 * nominal
        self.error = (terms + 6) * 2.0**-24 * size

    def factors(self, rows: Places) -> tuple[Floats32, Floats32]:
        """(F, P) left and right factors of P rows."""
        left, right, own = list[Floats](), list[Floats](), np.zeros(len(rows))
        for column, gaps in zip(self.table.numbers, self.gaps, strict=True):
            x = column[rows] - 0.5
            if gaps:
                known = (~np.isnan(x)).astype(np.float64)
                x = np.nan_to_num(x)
                left += [x * x, known, -2 * x]
                right += [known, x * x - 2 * known, x]
                own += known
            else:
                left.append(-2 * x)
                right.append(x)
                own += x * x
        for codes, places in zip(self.table.codes, self.places, strict=True):
            same = (places[codes[rows]] == np.arange(places.max() + 1)[:, None]).astype(np.float64)
            left += list(-same)
            right += list(same)
            own += 0.5
        one = np.ones(len(rows))
        return np.array([*left, own, one], np.float32), np.array([*right, one, own], np.float32)


def _places_of(codes: Places, most: int) -> Places:
    """A place from 0 for each category, frequent ones first; -1 for those that no two rows share."""
    counts = np.bincount(codes)
    places = np.empty(len(counts), np.int64)
    places[np.argsort(-counts, kind="stable")] = np.arange(len(counts)) % most
    places[counts < 2] = -1
    return places


def _scaled(column: Floats) -> Floats:
    """A column as shares, 0 to 1, of its range; a constant one is 0."""
    known = column[~np.isnan(column)]
    if not len(known):
        return column
    # Halves, since the range itself may be too large for a float.
    low, high = known.min() / 2, known.max() / 2
    return np.asarray((column / 2 - low) / ((high - low) or 1.0))


def _changes(columns: npt.NDArray[np.generic]) -> Flags:
    """(N,) whether each row of (A, N) columns is unlike the one before; the first one is."""
    flags = np.ones(columns.shape[1], np.bool_)
    flags[1:] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
    return flags
