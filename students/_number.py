"""Numbers of any size and distribution on a scale that a network can read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Numbers of which no difference is infinite.
_LARGEST = 1e300
#: A distance, in units of the scale, beyond which numbers are alike.
_FARTHEST = 1e30
#: A scaled number is at most this far from 0: of what is that rare in learning, a network knows nothing.
LIMIT = 10.0
#: How many times the typical distance from the median are left as they are.
_BULK = 2.0


@dataclass(frozen=True)
class Scaling:
    """From a number x to (asinh((x - centre) / scale) - mean) / deviation, cut off at ``LIMIT``.

    ``centre`` is the median and ``scale`` twice the typical distance from it, so that numbers in the bulk are only
    shifted and stretched while a long tail comes in like its logarithm; mean and deviation are then made 0 and 1.
    A student of Adult and Letter was as good as with plain standardizing; where the columns of Adult were given long
    tails it kept what it knew (KL to the teacher 0.005 as before, 0.041 with standardizing).

    Source: the inverse hyperbolic sine of Burbidge, Magee and Robb 1988 (JASA 83), here with median and distance.

    >>> values = np.array([1.0, 2.0, 3.0, 1e9])
    >>> scaled(values[:, None], [Scaling.learned(values)])[:, 0].round(2)
    array([-0.63, -0.58, -0.52,  1.73], dtype=float32)
    """

    centre: float
    scale: float
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        values = (self.centre, self.scale, self.mean, self.deviation)
        if not all(isinstance(each, int | float) and math.isfinite(each) for each in values):
            raise ValueError(f"a scaling must be of finite numbers, got {values}")
        if self.scale < 0 or self.deviation <= 0:
            raise ValueError(f"a scaling must have a scale and a deviation above 0, got {values}")

    @classmethod
    def learned(cls, values: Floats) -> Scaling:
        """The scaling of a column with such values, NaN where missing, in any order; of one value all become 0."""
        known = np.sort(np.clip(values[~np.isnan(values)], -_LARGEST, _LARGEST))
        if not len(known) or known[0] == known[-1]:
            return cls(0.0, 0.0, 0.0, 1.0)
        centre = known[(len(known) - 1) // 2]
        distances = np.sort(np.abs(known - centre))
        # Of a column that mostly has one value, only the others say what a distance is.
        distances = distances[np.searchsorted(distances, 0.0, "right") :]
        scale = _BULK * distances[(len(distances) - 1) // 2]
        bent = _bent(known, centre, scale)
        return cls(float(centre), float(scale), float(bent.mean()), float(bent.std()))


def scaled(values: Floats, scalings: Sequence[Scaling]) -> npt.NDArray[np.float32]:
    """(N, F) numbers, each column in its own scale, all finite; 0 where missing.

    Values are (N, F), NaN where missing.
    """
    rows = ((each.centre, each.scale or np.inf, each.mean, each.deviation) for each in scalings)
    centre, scale, mean, deviation = np.array([*rows]).reshape(-1, 4).T
    found = _bent(values, centre, scale)
    found -= mean.astype(np.float32)
    found /= deviation.astype(np.float32)
    np.clip(found, -LIMIT, LIMIT, out=found)
    found[np.isnan(found)] = 0
    return found


def _bent(values: Floats, centre: float | Floats, scale: float | Floats) -> npt.NDArray[np.float32]:
    distance = np.clip(values, -_LARGEST, _LARGEST)
    distance -= centre
    with np.errstate(over="ignore"):
        distance /= scale
    bent = np.clip(distance, -_FARTHEST, _FARTHEST, out=distance).astype(np.float32)
    return np.arcsinh(bent, out=bent)


class Sample:
    """Rows of numbers, (S, F), that stand for all that were added: all of them, or an even choice of so many."""

    def __init__(self, columns: int, most: int) -> None:
        self.values = np.zeros((0, columns))
        self._most, self._seen, self._rank = most, 0, np.zeros(0, np.uint64)

    def add(self, values: Floats) -> None:
        """Adds (N, F) rows."""
        # Multiples of the golden ratio, modulo 1, lie evenly: the rows that rank below any bound do too, and so do
        # those of them that are copies of one row, or each row's first copy.
        number = np.arange(self._seen, self._seen + len(values), dtype=np.uint64)
        rank = np.concatenate([self._rank, number * np.uint64(0x9E3779B97F4A7C15)])
        self._seen += len(values)
        every = np.concatenate([self.values, values])
        if len(rank) > self._most:
            chosen = np.argpartition(rank, self._most - 1)[: self._most]
            rank, every = rank[chosen], every[chosen]
        self._rank, self.values = rank, every
