"""By which figure students are ranked, and which of them no other beats in quality and cost at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from students.metrics import main_metric

from ._measured import Measured
from ._runs import STATUSES, Run, varied


@dataclass(frozen=True)
class Entry:
    """A student of the report.

    Attributes:
        number: its rank, from 1, by which the whole page calls it.
        label: a few words that tell it from the others.
        quality: the figure that ranks it; None where it has none.
        interval: between which values, for 95 % of the resamples, it is.
    """

    number: int
    label: str
    run: Run
    measured: Measured | None
    quality: float | None
    interval: tuple[float, float] | None

    @property
    def latency(self) -> float | None:
        """Milliseconds for one row, the median."""
        return self._cost("latency_ms")

    @property
    def rows_per_second(self) -> float | None:
        """Rows answered in a second, many at a time."""
        return self._cost("rows_per_second")

    @property
    def bytes(self) -> float | None:
        """The size of what predicting needs."""
        return None if self.measured is None else float(self.measured.bytes)

    def _cost(self, name: str) -> float | None:
        cost = {} if self.measured is None else self.measured.figures.get("cost", {})
        return cost.get(name)


@dataclass(frozen=True)
class Quality:
    """The figure that students are ranked by.

    Attributes:
        metric: its name, ``accuracy`` for example; empty where no student has a figure.
        source: ``test`` if it was measured for the report, ``sweep`` if the sweep did, ``dev`` if training did.
        teacher: the teacher's.
    """

    metric: str
    source: str
    teacher: float | None = None


def rank(runs: Sequence[Run], measured: Sequence[Measured | None]) -> tuple[Quality, list[Entry]]:
    """The students, the best first; what has no figure comes last, what has no student last of all."""
    quality = _quality(runs, measured)
    # What a candidate that failed had alone need not be said of the others.
    candidates = [run for run in runs if run.is_candidate]
    names = {True: varied([run for run in candidates if run.place is not None]), False: varied(candidates)}
    values = [_value(*pair, quality) for pair in zip(runs, measured, strict=True)]
    order = sorted(range(len(runs)), key=lambda place: _rank(values[place], runs[place]))
    entries = []
    for number, place in enumerate(order, 1):
        run, found = runs[place], measured[place]
        figures = found.figures if found is not None and quality.source == "test" else {}
        low, high = figures.get("intervals", {}).get(quality.metric, (None, None))
        interval = None if low is None else (low, high)
        entries.append(Entry(number, run.label(names[run.place is not None]), run, found, values[place], interval))
    return quality, entries


def front(entries: Sequence[Entry], costs: Sequence[float | None]) -> list[Entry]:
    """The Pareto front: students better than all that cost no more, the cheapest first.

    >>> run = Run("", "", "", {}, {})
    >>> a, b, c = (Entry(n, "", run, None, value, None) for n, value in enumerate((0.9, 0.8, 0.7), 1))
    >>> [each.number for each in front([a, b, c], [9.0, 3.0, 5.0])]
    [2, 1]
    """
    priced = [
        (cost, -each.quality, each.number, each)
        for each, cost in zip(entries, costs, strict=True)
        if cost is not None and each.quality is not None
    ]
    found: list[Entry] = []
    best = -math.inf
    for _, negative, _, each in sorted(priced, key=lambda item: item[:3]):
        if -negative > best:
            found.append(each)
            best = -negative
    return found


def shown_first(entries: Sequence[Entry], most: int) -> list[Entry]:
    """So many students for a closer look: the best, those of both fronts, then the next best; in order of rank."""
    able = [each for each in entries if each.measured is not None and each.run.output == "logits"]
    fronts = {each.number for costs in ("bytes", "latency") for each in front(able, [getattr(e, costs) for e in able])}
    chosen = sorted(able, key=lambda each: (each.number not in fronts, each.number))[:most]
    return sorted(chosen, key=lambda each: each.number)


def _quality(runs: Sequence[Run], measured: Sequence[Measured | None]) -> Quality:
    """The first figure of the best kind that any student has."""
    task = next((run.task for run in runs if run.task is not None and run.output == "logits"), None)
    metrics = [main_metric(task)] if task is not None else []
    for source in ("test", "sweep", "dev"):
        for metric in (*metrics, "agreement", "cosine"):
            quality = Quality(metric, source)
            if any(_value(*pair, quality) is not None for pair in zip(runs, measured, strict=True)):
                teachers = [each.figures.get("teacher", {}) for each in measured if each is not None]
                known = [each[metric] for each in teachers if metric in each] if source == "test" else []
                return Quality(metric, source, known[0] if known else None)
    return Quality("", "")


def _value(run: Run, measured: Measured | None, quality: Quality) -> float | None:
    if quality.source == "test":
        value = None if measured is None else measured.figures.get(quality.metric)
    else:
        value = run.noted.get(f"{'test' if quality.source == 'sweep' else 'dev'}_{quality.metric}")
    return None if value is None or math.isnan(value) else float(value)


def _rank(value: float | None, run: Run) -> tuple[int, float]:
    if value is not None:
        return 0, -value
    return 1 + STATUSES.index(run.status), 0.0
