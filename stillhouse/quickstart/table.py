"""The lines of the final table, and how they are measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from label import Loaded

#: Calls with one row that are timed, after some that find caches empty.
_CALLS, _WARM_UP = 100, 10


@dataclass(frozen=True)
class Line:
    """A line of the table: accuracy and agreement with the teacher are shares, latency is that of one row."""

    name: str
    accuracy: float
    agreement: float
    megabytes: float
    latency_ms: float
    rows_per_second: float


def student_line(name: str, found: Mapping[str, Any]) -> Line:
    """The line of a student, of what ``evaluate`` found with a cache and a place."""
    cost = found["cost"]
    return Line(
        name,
        found["accuracy"],
        found["agreement"],
        cost["bytes"] / 1e6,
        cost["latency_ms"],
        cost["rows_per_second"],
    )


def teacher_line(name: str, teacher: Loaded, files: Sequence[Path], rows: pa.Table, accuracy: float) -> Line:
    """The line of a teacher: its speed on rows of its task, from texts or features to logits."""
    places = np.linspace(0, len(rows) - 1, _WARM_UP + _CALLS).round().astype(np.int64).tolist()
    taken = [_seconds(partial(teacher.answer, rows.slice(place, 1))) for place in places]
    size = sum(file.stat().st_size for file in files) / 1e6
    rate = len(rows) / _seconds(lambda: teacher.answer(rows))
    return Line(name, accuracy, 1.0, size, 1000 * float(np.median(taken[_WARM_UP:])), rate)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def table(parts: Mapping[str, Sequence[Line]]) -> str:
    """Lines under the titles of their parts."""
    width = max(map(len, [*parts, *(f"  {line.name}" for lines in parts.values() for line in lines)])) + 2
    head = f"{'':<{width}}{'accuracy':>9}{'agreement':>11}{'MB':>8}{'ms a row':>10}{'rows/s':>10}"
    rows = [head]
    for title, lines in parts.items():
        rows.append(f"{title:<{len(head)}}")
        rows += [
            f"{'  ' + line.name:<{width}}{line.accuracy:>9.1%}{line.agreement:>11.1%}{line.megabytes:>8.1f}"
            f"{line.latency_ms:>10.2f}{line.rows_per_second:>10,.0f}"
            for line in lines
        ]
    return "\n".join(row.rstrip() for row in rows)
