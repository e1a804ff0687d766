"""The section of confusion: what is taken for what, by the teacher and by some students."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from students.metrics import decisions

from ._chart import around, chart, label, line
from ._element import Child, element, own, shortened
from ._figures import figure, plural
from ._judged import Judged

#: So many students have a table; of more classes than this only what is confused most often is told.
STUDENTS, CLASSES, PAIRS = 3, 12, 12
_SHADES = 9
_SIZE, _DOTS = 260.0, 400
Counts = npt.NDArray[np.int64]


def confusions(judged: Sequence[Judged]) -> list[Child]:
    """Tables of the teacher, if it is known, and of the best students; of scores a chart of each."""
    task = judged[0].task
    some = [*(each for each in judged if each.number is None), *_best(judged)]
    if task.target == "regression":
        text = "Each dot is a row: what was said of it, over what is right. On the line the two are the same."
        return [
            element("p", text, _sampled(judged)),
            element("div", [_scatter(each) for each in some], class_="multiples wide"),
        ]
    if task.target == "multilabel":
        text = (
            "Each class is a question of its own. Missed rows have the class and were not given it; wrong ones were"
            " given it and have it not."
        )
        return [element("p", text), element("div", [_by_class(each) for each in some], class_="tables")]
    text = (
        "Rows are the gold labels, columns what was said; the stronger a cell, the larger its share of the row. Right"
        " answers are framed."
    )
    if len(task.classes) > CLASSES:
        text = (
            f"Of {len(task.classes)} classes a table would be too large: these are the {PAIRS} most frequent confusions"
            " of each."
        )
        return [element("p", text), element("div", [_pairs(each) for each in some], class_="tables")]
    return [element("p", text), element("div", [_matrix(each) for each in some], class_="tables")]


def _best(judged: Sequence[Judged]) -> list[Judged]:
    return [each for each in judged if each.number is not None][:STUDENTS]


def counts(judged: Judged) -> Counts:
    """(C, C) the rows of each gold class that were said to be of each."""
    classes = len(judged.task.classes)
    flat = np.asarray(judged.answered.gold, np.int64) * classes + decisions(judged.logits, judged.task)
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def _matrix(judged: Judged) -> Element:
    found, names = counts(judged), judged.task.classes
    heads = [element("th", own(shortened(name, 24)), scope="col") for name in names]
    rows = []
    for place, name in enumerate(names):
        total = max(1, int(found[place].sum()))
        cells = [
            _cell(int(count), count / total, column == place) for column, count in enumerate(found[place].tolist())
        ]
        rows.append(element("tr", element("th", own(shortened(name, 24)), scope="row"), cells))
    table = element(
        "table",
        element("thead", element("tr", element("th", "gold \\ said", scope="col"), heads)),
        element("tbody", rows),
        class_="confusion",
    )
    return _figure(judged, table)


def _cell(count: int, share: float, right: bool) -> Element:
    shade = f"s{round(share * _SHADES)}"
    return element("td", f"{count:,}", element("small", f"{share:.0%}"), class_=f"{shade} right" if right else shade)


def _pairs(judged: Judged) -> Element:
    found, names = counts(judged), judged.task.classes
    wrong = found * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    places = [divmod(int(each), len(names)) for each in order if wrong.flat[each]]
    rows = [(names[gold], names[said], f"{wrong[gold, said]:,}", f"{found[gold].sum():,}") for gold, said in places]
    return _figure(judged, _table(("gold", "said", "rows", "of"), rows, texts=2))


def _by_class(judged: Judged) -> Element:
    given, gold = decisions(judged.logits, judged.task), np.asarray(judged.answered.gold, np.bool_)
    rows = []
    for place, name in enumerate(judged.task.classes):
        right, all_given, wanted = ((a & b).sum() for a, b in _sides(given[:, place], gold[:, place]))
        measures = [figure(float(right / part)) if part else "\u2013" for part in (all_given, wanted)]
        rows.append((name, f"{right:,}", f"{wanted - right:,}", f"{all_given - right:,}", *measures))
    return _figure(judged, _table(("class", "right", "missed", "wrong", "precision", "recall"), rows, texts=1))


def _sides(given: npt.NDArray[np.bool_], gold: npt.NDArray[np.bool_]) -> Iterator[tuple[npt.NDArray[np.bool_], ...]]:
    yield from ((given, gold), (given, given), (gold, gold))


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> Element:
    """A table whose first columns are the user's names."""
    body = [
        element(
            "tr",
            element("th", own(shortened(row[0], 40)), scope="row"),
            [element("td", own(shortened(each, 40)), class_="text") for each in row[1:texts]],
            [element("td", each) for each in row[texts:]],
        )
        for row in rows
    ]
    heads = [
        element("th", name, scope="col", class_="text" if place < texts else None) for place, name in enumerate(names)
    ]
    return element("table", element("thead", element("tr", heads)), element("tbody", body))


def _figure(judged: Judged, table: Element) -> Element:
    box = element("div", table, class_="scroll", role="region", tabindex="0", aria_label=f"Confusion: {judged.label}")
    return element("figure", judged.caption, box)


def _sampled(judged: Sequence[Judged]) -> str | None:
    rows = len(judged[0].logits)
    return f" Of {plural(rows, 'row')} {_DOTS}, evenly spread, are drawn." if rows > _DOTS else None


def _scatter(judged: Judged) -> Element:
    gold, said = (np.asarray(each, np.float64)[:, 0] for each in (judged.answered.gold, judged.logits))
    some = np.unique(np.linspace(0, len(gold) - 1, min(_DOTS, len(gold))).round().astype(np.int64))
    ends = [*gold[some].tolist(), *said[some].tolist()]
    x, y = around(ends, 34, _SIZE - 8), around(ends, _SIZE - 24, 16)
    class_ = f"point {'teacher' if judged.number is None else 'student'}"
    drawn: list[Child] = [line([(x(x.low), y(x.low)), (x(x.high), y(x.high))], "diagonal")]
    drawn += [label(f"{tick:g}", x(tick), _SIZE - 8, "middle") for tick in x.ticks(4)]
    drawn += [label(f"{tick:g}", x.start - 5, y(tick) + 3.5, "end") for tick in y.ticks(4)]
    for place in some.tolist():
        drawn.append(element("circle", cx=x(gold[place]), cy=y(said[place]), r=2, class_=class_))
    drawn += [label("\u2191 said", 0, 10, "start", "name"), label("gold \u2192", x.end, _SIZE - 28, "end", "name")]
    says = f"{judged.label}: what was said over the gold score, {plural(len(some), 'row')}."
    return element("figure", judged.caption, chart(_SIZE, _SIZE, says, drawn))
