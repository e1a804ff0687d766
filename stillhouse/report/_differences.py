"""The section of examples on which the best student and the teacher differ."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

import numpy as np
import pyarrow as pa

from students.answered import Answered, Outputs, probabilities
from students.metrics import decisions
from transferset import Task

from ._differing import Group, differing, shares_of
from ._element import Child, element, own, shortened
from ._figures import figure, plural
from ._quality import Entry

#: Characters of a text, and features of a row, that are shown.
_LONGEST, _FEATURES = 400, 12


def differences(entry: Entry, answered: Answered, most: int) -> list[Child]:
    """Rows on which a student and its teacher differ, the furthest apart first, at most so many."""
    teacher = answered.teacher
    if teacher is None:
        text = "Left out: what the teacher says of the test file is not there. Label it, and give --cache CACHE."
        return [element("p", text)]
    groups = differing(answered, teacher)
    head: list[Child] = ["The best student, ", element("span", str(entry.number), class_="rank"), " ", own(entry.label)]
    if not groups:
        return [element("p", *head, ", answers every row as the teacher does.")]
    sizes = [len(each.rows) for each in groups]
    shown = shares_of(sizes, most)
    told = f" {sum(shown):,} are shown, the furthest apart first."
    tables = [_table(each, number, answered, teacher) for each, number in zip(groups, shown, strict=True) if number]
    return [element("p", *head, _lede(answered, sum(sizes)), told), tables]


def _lede(answered: Answered, differ: int) -> str:
    rows = plural(len(answered.rows), "row")
    if answered.decides:
        return f", and the teacher differ in {differ:,} of {rows}."
    what = (
        "cosine with the teacher\u2019s embedding is lowest"
        if answered.embeds
        else "score is furthest from the teacher\u2019s"
    )
    return f": of {rows} those whose {what}."


def _table(group: Group, number: int, answered: Answered, teacher: Outputs) -> Element:
    rows, task = group.rows[:number], answered.task
    some = answered.rows.take(pa.array(rows))
    columns: dict[str, list[Child]] = {"cosine": [figure(1 - each) for each in group.apart[:number].tolist()]}
    if not answered.embeds:
        said = {"teacher": teacher, "student": answered.student}
        columns = {"gold": _gold(some, task)} | {who: _said(logits[rows], task) for who, logits in said.items()}
    body = []
    for place, row in enumerate(some.to_pylist()):
        first = element("th", f"{answered.numbers[rows[place]]:,}", scope="row")
        answers = [element("td", each[place], class_="answer", data_name=who) for who, each in columns.items()]
        body.append(element("tr", first, _inputs(row, task), answers))
    inputs = ["features"] if task.kind == "features" else list(map(own, task.inputs))
    heads = [element("th", name, scope="col") for name in ("row", *inputs, *columns)]
    caption = element("caption", group.title, f": {number:,} of {len(group.rows):,}")
    table = element("table", caption, element("thead", element("tr", heads)), element("tbody", body), class_="examples")
    return element("div", table, class_="scroll", role="region", tabindex="0", aria_label=group.title)


def _inputs(row: Mapping[str, object], task: Task) -> list[Element]:
    if task.kind != "features":
        return [element("td", _text(str(row[name])), class_="text", dir="auto") for name in task.inputs]
    known = [f"{name} {'missing' if row[name] is None else row[name]}" for name in task.inputs]
    more = f" and {len(known) - _FEATURES} more" if len(known) > _FEATURES else ""
    return [element("td", own(", ".join(known[:_FEATURES])), more, class_="text")]


def _text(text: str) -> list[Child]:
    if len(text) <= _LONGEST:
        return [text]
    return [shortened(text, _LONGEST), element("small", f" {len(text):,} characters")]


def _gold(rows: pa.Table, task: Task) -> list[Child]:
    values = rows[task.label].to_pylist()
    if task.target == "regression":
        return [figure(value) for value in values]
    return [own(", ".join(value) or "none") if isinstance(value, list) else own(value) for value in values]


def _said(logits: Outputs, task: Task) -> list[Child]:
    """What was decided of each row, and how surely."""
    if task.target == "regression":
        return [figure(value) for value in logits[:, 0].tolist()]
    decided, shares = decisions(logits, task), probabilities(logits, task)
    if task.target == "multilabel":
        named = [[task.classes[place] for place in np.flatnonzero(row)] for row in decided]
        return [own(", ".join(names) or "none") for names in named]
    return [
        [own(task.classes[place]), element("small", f"{share[place]:.0%}")]
        for place, share in zip(decided.tolist(), shares, strict=True)
    ]
