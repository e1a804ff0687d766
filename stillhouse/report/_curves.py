"""The section of learning curves: a small chart for each student."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from ._chart import Scale, around, chart, label, line, mark
from ._element import Child, element, own
from ._figures import figure, plural, said
from ._quality import Entry

#: So many students have a chart.
MOST = 24
_WIDTH, _HEIGHT, _LOSS = 190.0, 150.0, 42.0
Points = list[tuple[int, float]]


def curves(entries: Sequence[Entry]) -> list[Child]:
    """What the students reached after each epoch, and their loss, on scales that are the same for all of one kind."""
    told = [each for each in entries if each.run.history]
    if not told:
        return [element("p", "Left out: the students\u2019 directories do not say what was noted of their epochs.")]
    shown, metric = told[:MOST], _metric(told)
    watched = [value for each in shown for _, value in _points(each, metric)]
    y = around(watched, _HEIGHT - _LOSS - 16, 14) if watched else None
    text = "Dashed: the loss in training, on a scale of its own, as objectives differ. "
    if y is not None:
        name = said(metric.removeprefix("dev_"))
        text = f"Solid: {name} on the rows watched, on one scale for all; the mark is the epoch that was kept. {text}"
    else:
        text += "No rows were watched, so the last epoch was kept. "
    if len(told) > MOST:
        text += f"Of {plural(len(told), 'student')} the first {MOST} are drawn. "
    if len(told) < len(entries):
        text += f"Without a record of their epochs: {plural(len(entries) - len(told), 'candidate')}."
    panels = [_panel(each, metric, y) for each in shown]
    return [element("p", text), element("div", panels, class_="multiples")]


def _metric(entries: Sequence[Entry]) -> str:
    """The first of these that any student was watched by."""
    names = {name for each in entries for epoch in each.run.history for name in epoch}
    known = ("dev_accuracy", "dev_pearson", "dev_agreement", "dev_cosine")
    return next((each for each in known if each in names), known[0])


def _points(entry: Entry, name: str) -> Points:
    numbered = [(int(epoch["epoch"]), epoch.get(name, math.nan)) for epoch in entry.run.history]
    return [(number, value) for number, value in numbered if math.isfinite(value)]


def _panel(entry: Entry, metric: str, y: Scale | None) -> Element:
    watched, losses = _points(entry, metric) if y else [], _points(entry, "loss")
    epochs = max(int(each["epoch"]) for each in entry.run.history)
    x = Scale(1, max(epochs, 2), 34, _WIDTH - 38)
    drawn: list[Child] = []
    if y is not None:
        for tick in y.ticks(3):
            drawn.append(element("line", x1=x.start, x2=x.end, y1=y(tick), y2=y(tick), class_="grid"))
            drawn.append(label(f"{tick:g}", x.start - 4, y(tick) + 3.5, "end"))
        drawn += _curve(watched, x, y, "watched")
        drawn += _kept(watched, entry.run.best_epoch, x, y)
    drawn += _losses(losses, x, _HEIGHT - 16 - _LOSS + 8 if y else 14.0)
    bottom = _HEIGHT - 14
    drawn.append(element("line", x1=x.start, x2=x.end, y1=bottom, y2=bottom, class_="axis"))
    drawn += [label("1", x.start, _HEIGHT - 3, "middle"), label(f"{epochs} epochs", x.end, _HEIGHT - 3, "end")]
    caption = element(
        "figcaption", element("span", str(entry.number), class_="rank"), " ", own(entry.label), _fate(entry)
    )
    return element("figure", caption, chart(_WIDTH, _HEIGHT, _says(entry, metric, watched, losses), drawn))


def _fate(entry: Entry) -> Element | None:
    return None if entry.run.status == "done" else element("small", f" {entry.run.status}")


def _curve(points: Points, x: Scale, y: Scale, class_: str) -> list[Element]:
    at = [(x(epoch), y(value)) for epoch, value in points]
    return [line(at, class_)] if len(at) > 1 else [mark(0, *each, class_) for each in at]


def _kept(points: Points, best: int, x: Scale, y: Scale) -> list[Element]:
    value = dict(points).get(best)
    if value is None:
        return []
    return [mark(0, x(best), y(value), "kept"), label(figure(value), x.end + 5, y(value) + 3.5, "start", "direct")]


def _losses(points: Points, x: Scale, top: float) -> list[Element]:
    if not points:
        return []
    y = around([value for _, value in points], _HEIGHT - 18, top)
    last = points[-1][1]
    return [*_curve(points, x, y, "loss"), label(figure(last), x.end + 5, y(last) + 3.5, "start", "quiet")]


def _says(entry: Entry, metric: str, watched: Points, losses: Points) -> str:
    best = dict(watched).get(entry.run.best_epoch)
    kept = (
        f"{said(metric.removeprefix('dev_'))} {figure(best)} at epoch {entry.run.best_epoch}. "
        if best is not None
        else ""
    )
    fell = f"Loss from {figure(losses[0][1])} to {figure(losses[-1][1])}." if losses else ""
    return f"{entry.number} {entry.label}: {kept}{fell}"
