"""What evaluating a student found, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._cache_lines import size_text

#: What else the figures hold beside those of the student.
_PARTIES = ("teacher", "baseline", "difference")
_OTHERS = ("rows", "intervals", "cost", *_PARTIES)
_INTERVAL = "95 % interval"


def evaluation_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Rows, a line for each figure with those of all parties beside one another, and the cost."""
    yield f"{found['rows']:,} row{'s' * (found['rows'] != 1)}"
    yield from _aligned(list(_table(found)))
    if "cost" in found:
        yield ""
        lines = list(_cost(found["cost"]))
        width = max(len(name) for name, _ in lines)
        yield from (f"{name:<{width}}  {value}" for name, value in lines)


def _table(found: Mapping[str, Any]) -> Iterator[list[str]]:
    student = {name: value for name, value in found.items() if name not in _OTHERS}
    parties = {"student": found, **{name: found[name] for name in _PARTIES if name in found}}
    head = [""]
    for who, figures in parties.items():
        head += [who, _INTERVAL] if _has_column(who, figures) else [who]
    yield head
    for name in student:
        cells = [name]
        for who, figures in parties.items():
            cells.append(_number(figures[name], who) if name in figures else "")
            if _has_column(who, figures):
                cells.append(_interval(figures["intervals"].get(name), who))
        yield cells


def _has_column(who: str, figures: Mapping[str, Any]) -> bool:
    """Intervals of all would be wider than a terminal: those of teacher and baseline are in the JSON."""
    return who in ("student", "difference") and "intervals" in figures


def _number(value: float, who: str) -> str:
    return f"{value:{'+' if who == 'difference' else ''}{'.4f' if abs(value) < 1e5 else '.4g'}}"


def _interval(ends: Sequence[float] | None, who: str) -> str:
    return " to ".join(_number(end, who) for end in ends) if ends is not None else ""


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        yield "  ".join([f"{name:<{widths[0]}}", *map(str.rjust, cells, widths[1:])]).rstrip()


def _cost(cost: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "parameters" in cost:
        yield "parameters", f"{cost['parameters']:,}, {cost['parameters_without_vectors']:,} without word vectors"
    yield "on disk", size_text(cost["bytes"])
    yield "one row", f"{cost['latency_ms']:.2f} ms, 99 of 100 within {cost['latency_p99_ms']:.2f} ms"
    yield "many rows", f"{cost['rows_per_second']:,.0f} rows/s"
