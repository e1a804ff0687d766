"""What a student costs: numbers to store, bytes on disk, milliseconds for a row, rows in a second."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ._config import WEIGHTS
from .predict import Predictor

#: Calls with one row that are timed, and seconds after which it is enough.
CALLS, SECONDS = 300, 2.0
#: Calls before, which find caches empty and threads asleep.
_WARM_UP = 20
#: Most rows of a file that are timed together.
_ROWS = 1 << 16
_WORD_VECTORS = "vectors.weight"

Cost = dict[str, int | float]


def cost(student: Predictor, place: Path, rows: pa.Table) -> Cost:
    """The size of a student in a directory or a file, and its speed on rows of its task.

    ``parameters`` and ``parameters_without_vectors`` (the table of word vectors) are of a directory's weights;
    ``bytes`` of the files that predicting needs. ``latency_ms`` is the median, ``latency_p99_ms`` the 99th percentile
    over calls with one row, ``rows_per_second`` the rate of a file's worth in one call, both from texts or features
    to outputs, on the threads that the process has.
    """
    size = {**(parameters(place) if place.is_dir() else {}), "bytes": _bytes(student, place)}
    return {**size, **_latency(student, rows), **_rate(student, rows)}


def parameters(folder: Path) -> dict[str, int]:
    """How many numbers a model's directory holds: ``parameters`` and ``parameters_without_vectors``."""
    # Needed for directories alone.
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, "numpy") as file:
        sizes = {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    total = sum(sizes.values())
    return {"parameters": total, "parameters_without_vectors": total - sizes.get(_WORD_VECTORS, 0)}


def _bytes(student: Predictor, place: Path) -> int:
    needed = ("config.json", WEIGHTS, *student.config.encoding.files())
    return sum(path.stat().st_size for path in ([place / name for name in needed] if place.is_dir() else [place]))


def _latency(student: Predictor, rows: pa.Table) -> Cost:
    places = np.linspace(0, len(rows) - 1, _WARM_UP + CALLS).round().astype(np.int64)
    # In no order, or the calls that there is time for would be those with the first rows of the file.
    order = np.random.default_rng(0).permutation(places).tolist()
    taken = list(_timed(student, [rows.slice(place, 1) for place in order]))
    middle, last = np.quantile(taken[min(_WARM_UP, len(taken) // 2) :], [0.5, 0.99])
    return {"latency_ms": 1000 * float(middle), "latency_p99_ms": 1000 * float(last)}


def _timed(student: Predictor, singles: Sequence[pa.Table]) -> Iterator[float]:
    """Seconds of each call, of two at least, until it is enough."""
    begun = time.perf_counter()
    for number, row in enumerate(singles):
        before = time.perf_counter()
        student.outputs(row)
        now = time.perf_counter()
        yield now - before
        if number and now - begun > SECONDS:
            return


def _rate(student: Predictor, rows: pa.Table) -> Cost:
    rows, done, begun, elapsed = rows.slice(0, _ROWS), 0, time.perf_counter(), 0.0
    while elapsed < SECONDS / 2:
        student.outputs(rows)
        done, elapsed = done + len(rows), time.perf_counter() - begun
    return {"rows_per_second": done / elapsed}
