"""The bootstrap: between which values a figure would be had other rows of the same kind been drawn.

Efron 1979, the percentile interval. A resample is how often each row counts, so that rows which are alike in all
that is measured count as one: a file of a million classified rows is a table of a few cells, whose resamples are
draws from one multinomial distribution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .metrics import Decisions, Measure, Values, Weights

Counts = npt.NDArray[np.int64]
#: Numbers in the weights of the resamples that are measured together.
_TOGETHER = 1 << 20
#: Where this many rows are alike it is quicker to draw how often each kind comes than to draw rows.
_ALIKE = 16


def distinct_rows(columns: Sequence[Decisions]) -> tuple[Counts, Counts]:
    """The first of each kind of N rows, (U,), in order, and how many there are of it, (U,).

    Columns are class numbers (N,), flags (N, C) or scores (N,); scores are taken to differ.

    >>> distinct_rows([np.array([1, 0, 1]), np.array([2, 2, 2])])
    (array([0, 1]), array([2, 1]))
    """
    rows = np.arange(len(columns[0]))
    if any(column.dtype.kind == "f" for column in columns):
        return rows, np.ones_like(rows)
    names = [str(place) for place in range(len(columns))]
    table = pa.table([*map(_as_arrow, columns), pa.array(rows)], names=[*names, "row"])
    kinds = table.group_by(names, use_threads=False).aggregate([("row", "min"), ("row", "count")]).sort_by("row_min")
    return kinds["row_min"].to_numpy(), kinds["row_count"].to_numpy()


def bootstrap(measure: Measure, counts: Counts, resamples: int, seed: int) -> dict[str, Values]:
    """Figures of resamples of the rows, (resamples,) each; ``counts``, (U,), is how many rows are of each kind."""
    found = [measure(weights) for weights in resample(counts, resamples, seed)]
    return {name: np.concatenate([each[name] for each in found]) for name in (found[0] if found else ())}


def resample(counts: Counts, resamples: int, seed: int) -> Iterator[Weights]:
    """How often rows of each kind come in draws of as many rows as there are, with replacement: (some, U) in turns."""
    random, rows, together = np.random.default_rng(seed), int(counts.sum()), max(1, _TOGETHER // len(counts))
    sizes = [min(together, resamples - start) for start in range(0, resamples, together)]
    if rows >= _ALIKE * len(counts):
        yield from (random.multinomial(rows, counts / rows, size).astype(np.float64) for size in sizes)
        return
    kinds = np.repeat(np.arange(len(counts)), counts)
    for size in sizes:
        drawn = (np.bincount(kinds[random.integers(rows, size=rows)], minlength=len(counts)) for _ in range(size))
        yield np.stack(list(drawn)).astype(np.float64)


def interval(values: Values) -> list[float]:
    """The middle 95 % of figures of resamples, as their lower and upper end."""
    return [float(end) for end in np.quantile(values, [0.025, 0.975])]


def _as_arrow(column: npt.NDArray[Any]) -> pa.Array:
    if column.ndim == 1:
        return pa.array(column)
    bits = np.packbits(column, axis=1)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(bits.shape[1]), len(bits), [None, pa.py_buffer(bits)])
