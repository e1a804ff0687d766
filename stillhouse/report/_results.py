"""The section of results: every student in a table that can be sorted by any of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from xml.etree.ElementTree import Element

from ._columns import Cell, Column, columns_of
from ._element import Child, element, own
from ._figures import plural, said
from ._quality import Entry, Quality


def results(entries: Sequence[Entry], quality: Quality, tested: str, rows: int) -> list[Child]:
    """The table with the words around it; ``tested`` is the name of the test file, and ``rows`` what it holds."""
    columns = [each for each in columns_of(entries, quality, tested) if _says(each, entries)]
    caption = plural(len(entries), "student") + (f", measured on {plural(rows, 'row')} of " if rows else "")
    table = element(
        "table",
        element("caption", caption, own(tested) if rows else None, id="results-caption"),
        element(
            "thead",
            _groups(columns),
            element("tr", [_head(place, each, entries) for place, each in enumerate(columns)]),
        ),
        _teacher_row(columns),
        element("tbody", [_row(entry, columns) for entry in entries]),
        class_=f"sortable results {_printed(len(columns))}",
    )
    box = element("div", table, class_="scroll tall", role="region", tabindex="0", aria_labelledby="results-caption")
    return [_lede(entries, quality), box, element("p", class_="sorted", role="status"), _glossary(columns)]


def _printed(columns: int) -> str:
    """How small the table must be to fit on paper."""
    return "most" if columns > 22 else "many" if columns > 16 else "few"


def _lede(entries: Sequence[Entry], quality: Quality) -> Element:
    press = element("span", "Press a heading to sort by it. ", class_="screen")
    if not quality.metric:
        return element("p", press, "No figure ranks the students: none was watched in training. Give --test FILE.")
    source = {"test": "the test rows", "sweep": "the sweep\u2019s test file", "dev": "the rows watched in training"}
    text = f"Ranked by {said(quality.metric)} on {source[quality.source]}. "
    ranked = sum(each.quality is not None for each in entries)
    if ranked > 1:
        text += f"The best of {ranked} on the rows that rank them is a little flattered by chance. "
    if quality.source == "dev" and len({str(each.run.made_from.get("dev")) for each in entries if each.run.place}) > 1:
        text += "The students were not watched on the same rows, so their figures do not compare strictly."
    return element("p", press, text)


def _says(column: Column, entries: Sequence[Entry]) -> bool:
    """Whether a column has anything in it; that all are done needs none."""
    cells = [column.cell(each) for each in entries]
    if column.name == "status":
        return any(each.value != "done" for each in cells)
    return column.first is None or any(each.value is not None for each in cells)


def _groups(columns: Sequence[Column]) -> Element:
    spans = [(group, len(list(same))) for group, same in groupby(columns, lambda each: each.group)]
    heads = [
        element("th", group, colspan=span, scope="colgroup") if group else element("td", colspan=span)
        for group, span in spans
    ]
    return element("tr", heads, class_="groups")


def _head(place: int, column: Column, entries: Sequence[Entry]) -> Element:
    text = any(isinstance(column.cell(each).value, str) for each in entries)
    if column.first is None:
        return element("th", column.name, scope="col")
    button = element("button", element("span", column.name), type="button")
    now = "ascending" if place == 0 else "none"
    return element(
        "th",
        button,
        scope="col",
        aria_sort=now,
        data_column=place,
        data_first=column.first,
        class_="text" if text else None,
    )


def _teacher_row(columns: Sequence[Column]) -> Element | None:
    if not any(each.teacher for each in columns[1:]):
        return None
    cells = [_td(each.teacher or Cell(None, "")) for each in columns[1:]]
    return element("tbody", element("tr", element("th", "teacher", scope="row"), cells), class_="teacher")


def _row(entry: Entry, columns: Sequence[Column]) -> Element:
    first, *others = (each.cell(entry) for each in columns)
    name = element("th", first.shown, _small(first), scope="row", data_value=entry.number)
    return element("tr", name, map(_td, others), class_=None if entry.measured else "absent")


def _td(cell: Cell) -> Element:
    text = isinstance(cell.value, str)
    return element(
        "td",
        cell.shown,
        _small(cell),
        data_value=None if cell.value is None else str(cell.value),
        class_="text" if text else None,
    )


def _small(cell: Cell) -> Element | None:
    return element("small", cell.small) if cell.small is not None else None


def _glossary(columns: Sequence[Column]) -> Element:
    known = dict.fromkeys((each.name, each.means) for each in columns if each.means)
    terms = [element("div", element("dt", name), element("dd", means)) for name, means in known]
    return element("details", element("summary", "What the columns say"), element("dl", terms, class_="terms"))
