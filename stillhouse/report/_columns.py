"""The columns of the table of results: what was measured, what was noted in training, costs and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._element import Child, element, own
from ._figures import LOWER, MEANINGS, amount, figure, megabytes, milliseconds, said
from ._forest import Intervals
from ._quality import Entry, Quality
from ._runs import spoken, varied


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: what it is sorted by, what is shown, and what is shown smaller beneath."""

    value: float | str | None
    shown: Child
    small: Child = None


@dataclass(frozen=True)
class Column:
    """A column of the table; ``first`` is how the first press of its button sorts, None if it cannot be sorted."""

    group: str
    name: str
    cell: Callable[[Entry], Cell]
    first: str | None = "descending"
    means: str = ""
    teacher: Cell | None = None


def columns_of(entries: Sequence[Entry], quality: Quality, tested: str) -> Iterator[Column]:
    yield Column("", "student", _name, "ascending", teacher=Cell(None, "teacher"))
    yield Column("", "status", _status, "ascending", means="what became of a candidate of a sweep")
    yield from _measured(entries, quality, tested)
    yield from _noted(entries, quality)
    yield from _costs()
    yield Column("training", "rows", lambda e: _amount(e.run.rows), means="rows trained on")
    yield Column("training", "epochs", _epochs, "ascending", "the epoch kept, of those trained")
    yield Column("training", "seconds", lambda e: _plain(e.run.seconds, "{:,.0f}"), "ascending", "what training took")
    for name in varied([each.run for each in entries]):
        yield Column("settings that differ", name.replace("_", " "), _setting(name), "ascending")


def _measured(entries: Sequence[Entry], quality: Quality, tested: str) -> Iterator[Column]:
    figures = [each.measured.figures for each in entries if each.measured is not None]
    teacher: Mapping[str, Any] = next((each["teacher"] for each in figures if "teacher" in each), {})
    group = f"on {tested}"
    for name in [name for name in MEANINGS if any(name in each for each in figures)]:
        first = "ascending" if name in LOWER else "descending"
        own_figure = Cell(None, figure(teacher[name])) if name in teacher else None
        yield Column(group, said(name), _figure_of(name), first, MEANINGS[name], own_figure)
        if name == quality.metric and any(each.interval for each in entries):
            yield _intervals(entries, group, quality, teacher)


def _intervals(entries: Sequence[Entry], group: str, quality: Quality, teacher: Mapping[str, Any]) -> Column:
    """The intervals of all on one scale, one under another."""
    theirs = teacher.get("intervals", {}).get(quality.metric)
    drawn = Intervals.around([*(each.interval for each in entries), theirs], quality.teacher)

    def cell(ends: Sequence[float] | None, value: float | None, class_: str) -> Cell:
        if ends is None or value is None:
            return Cell(None, "\u2013")
        return Cell(None, drawn.whisker(ends[0], value, ends[1], class_), f"{figure(ends[0])} to {figure(ends[1])}")

    means = "where 95 % of bootstrap resamples of the rows lie; the dashed line is the teacher"
    own_cell = cell(theirs, quality.teacher, "teacher") if theirs else None
    return Column(group, "95 % interval", lambda e: cell(e.interval, e.quality, "student"), None, means, own_cell)


def _noted(entries: Sequence[Entry], quality: Quality) -> Iterator[Column]:
    """What was noted in training: all of it where nothing was measured now, else the one figure that compares."""
    for prefix, group in (("test_", "the sweep\u2019s test"), ("dev_", "watched in training")):
        for name in MEANINGS:
            known = any(prefix + name in each.run.noted for each in entries)
            if known and (quality.source != "test" or (prefix == "dev_" and name == quality.metric)):
                first = "ascending" if name in LOWER else "descending"
                yield Column(group, said(name), _noted_as(prefix + name), first, MEANINGS[name])


def _costs() -> Iterator[Column]:
    yield Column(
        "cost", "parameters", _parameters, "ascending", "numbers in the network; smaller: without word vectors"
    )
    size = "what predicting needs, in megabytes"
    yield Column("cost", "MB", lambda e: Cell(e.bytes, megabytes(e.bytes) if e.bytes else "\u2013"), "ascending", size)
    yield Column("cost", "ms a row", _latency, "ascending", "median time of a call with one row; smaller: 99 of 100")
    rate = "rows answered in a second, many at a time"
    yield Column("cost", "rows/s", lambda e: _plain(e.rows_per_second, "{:,.0f}"), means=rate)


def _name(entry: Entry) -> Cell:
    number = element("span", str(entry.number), class_="rank")
    path = own(entry.run.name) if entry.label != entry.run.name else entry.run.kind
    return Cell(entry.number, [number, " ", own(entry.label)], path)


def _status(entry: Entry) -> Cell:
    return Cell(entry.run.status, entry.run.status, own(entry.run.error) if entry.run.error else None)


def _figure_of(name: str) -> Callable[[Entry], Cell]:
    return lambda e: _figure(None if e.measured is None else e.measured.figures.get(name))


def _noted_as(name: str) -> Callable[[Entry], Cell]:
    return lambda e: _figure(e.run.noted.get(name))


def _figure(value: float | None) -> Cell:
    text = figure(value)
    return Cell(None if text == "\u2013" else value, text)


def _amount(value: float | None) -> Cell:
    return Cell(value, "\u2013" if value is None else amount(value))


def _plain(value: float | None, form: str) -> Cell:
    return Cell(value, "\u2013" if value is None else form.format(value))


def _parameters(entry: Entry) -> Cell:
    found = entry.measured
    if found is None:
        return Cell(None, "\u2013")
    return Cell(
        found.parameters, amount(found.parameters), amount(found.parameters - found.vectors) if found.vectors else None
    )


def _latency(entry: Entry) -> Cell:
    if entry.latency is None or entry.measured is None:
        return Cell(None, "\u2013")
    return Cell(
        entry.latency, milliseconds(entry.latency), milliseconds(entry.measured.figures["cost"]["latency_p99_ms"])
    )


def _epochs(entry: Entry) -> Cell:
    trained = len(entry.run.history)
    return Cell(entry.run.best_epoch, f"{entry.run.best_epoch} of {trained}") if trained else Cell(None, "\u2013")


def _setting(name: str) -> Callable[[Entry], Cell]:
    def cell(entry: Entry) -> Cell:
        if name not in entry.run.settings:
            return Cell(None, "\u2013")
        value: Any = entry.run.settings[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return Cell(float(value) if number else spoken(value), own(spoken(value)))

    return cell
