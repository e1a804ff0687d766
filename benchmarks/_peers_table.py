"""The other side of the table benchmark: MUNGE as its pseudo-code reads, the way a competent user would write it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Numbers = npt.NDArray[np.float64]


def plain_munge(
    rows: Sequence[Sequence[object]],
    kinds: Sequence[str],
    k: int,
    p: float,
    s: float,
    seed: int,
    *,
    limit: int | None = None,
) -> list[list[object]]:
    """MUNGE with the nearest neighbour looked up in the current, partly munged copy: k times the rows.

    ``kinds`` says "continuous" or "nominal" for each column. Every row is visited once a pass; its neighbour is found
    by a linear scan, compiled (``cdist``) over all rows, several times faster than subtracting and squaring in
    NumPy. (A tree would be out of date after each row, for both rows change.) Distance is Euclid on continuous columns
    scaled to 0 to 1, a mismatch of nominal values counting as 1 under the root. Integers come back as floats. With
    ``limit`` a pass visits its first rows only, to time a sample; each visit scans the whole table all the same.

    Source: Bucila, Caruana and Niculescu-Mizil 2006, section 2.3.
    """
    random = np.random.default_rng(seed)
    columns = list(zip(*rows, strict=True))
    continuous = [column for column, kind in enumerate(kinds) if kind == "continuous"]
    nominal = [column for column, kind in enumerate(kinds) if kind == "nominal"]
    values = np.array([columns[column] for column in continuous], np.float64).reshape(-1, len(rows)).T.copy()
    low, high = values.min(axis=0), values.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    classes = {column: np.unique(np.array(columns[column], object), return_inverse=True) for column in nominal}
    codes = np.array([coded for _, coded in classes.values()], np.float64).reshape(-1, len(rows)).T.copy()
    munged: list[list[object]] = []
    for _ in range(k):
        scaled, kept = (values - low) / span, codes.copy()
        for row in range(len(rows))[:limit]:
            _munge_row(scaled, kept, row, p, s, random)
        found = dict(zip(continuous, (scaled * span + low).T.tolist(), strict=True))
        found |= {
            column: classes[column][0][kept[:, place].astype(int)].tolist() for place, column in enumerate(nominal)
        }
        munged.extend(map(list, zip(*(found[column] for column in range(len(kinds))), strict=True)))
    return munged


def _munge_row(scaled: Numbers, codes: Numbers, row: int, p: float, s: float, random: np.random.Generator) -> None:
    """Changes a row and its nearest neighbour in place."""
    near = _nearest(scaled, codes, row)
    swapped = random.random(codes.shape[1]) < p
    codes[row], codes[near] = np.where(swapped, codes[near], codes[row]), np.where(swapped, codes[row], codes[near])
    drawn = random.random(scaled.shape[1]) < p
    one, other = scaled[row].copy(), scaled[near].copy()
    sd = np.abs(one - other) / s
    scaled[row] = np.where(drawn, random.normal(other, sd), one)
    scaled[near] = np.where(drawn, random.normal(one, sd), other)


def _nearest(scaled: Numbers, codes: Numbers, row: int) -> int:
    distance = cdist(scaled[row : row + 1], scaled, "sqeuclidean")[0] if scaled.shape[1] else np.zeros(len(scaled))
    if codes.shape[1]:
        distance += cdist(codes[row : row + 1], codes, "hamming")[0] * codes.shape[1]
    distance[row] = np.inf
    return int(distance.argmin())


def literal_munge(
    rows: Sequence[Sequence[float]],
    kinds: Sequence[str],
    k: int,
    p: float,
    s: float,
    seed: int,
    *,
    limit: int | None = None,
) -> list[list[float]]:
    """The same pseudo-code in Python alone, loops and all, as it is found in public scripts; numbers and codes."""
    random = Random(seed)
    columns = list(zip(*rows, strict=True))
    low = [min(column) for column in columns]
    span = [max(column) - least or 1 for column, least in zip(columns, low, strict=True)]
    made: list[list[float]] = []
    for _ in range(k):
        copy = [[(x - a) / b for x, a, b in zip(row, low, span, strict=True)] for row in rows]
        for number, row in enumerate(copy[:limit]):
            best, near = float("inf"), number
            for other_number, other in enumerate(copy):
                distance = 0.0
                for x, y, kind in zip(row, other, kinds, strict=True):
                    distance += (x - y) ** 2 if kind == "continuous" else x != y
                if distance < best and other_number != number:
                    best, near = distance, other_number
            other = copy[near]
            for column, kind in enumerate(kinds):
                if random.random() < p:
                    x, y = row[column], other[column]
                    if kind == "continuous":
                        row[column], other[column] = random.gauss(y, abs(x - y) / s), random.gauss(x, abs(x - y) / s)
                    else:
                        row[column], other[column] = y, x
        made.extend([x * b + a for x, a, b in zip(row, low, span, strict=True)] for row in copy)
    return made
