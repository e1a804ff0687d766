"""The section of quality and cost: which students no other beats in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element

from ._chart import LETTER, Scale, around, axes, chart, label, line, mark, placed
from ._element import Child, element
from ._figures import figure, megabytes, milliseconds, plural, said
from ._quality import Entry, Quality, front

_WIDTH, _HEIGHT = 400.0, 300.0
#: Of more students than this only those of the front have labels, and the best an interval.
_ALL_LABELLED = 12
Point = tuple[float, float]
Cost = Callable[[Entry], float | None]


def tradeoff(entries: Sequence[Entry], quality: Quality) -> list[Child]:
    """Quality over latency and over size, each with its Pareto front."""
    able = [each for each in entries if each.quality is not None and each.measured is not None]
    if not able:
        return [element("p", "Left out: no student has a figure to be ranked by and a size.")]
    shapes = {kind: place for place, kind in enumerate(dict.fromkeys(sorted(each.run.kind for each in able)))}
    timed = [each for each in able if each.latency is not None]
    panels = [_panel(able, quality, shapes, lambda e: e.bytes, lambda v: f"{_ends(megabytes(v))} MB", "size on disk")]
    if timed:
        one = _panel(timed, quality, shapes, lambda e: e.latency, _time, "time for one row")
        panels.insert(0, one)
    text = (
        "A student on the stepped line is better than all that cost no more: the others need no second look. Filled"
        " marks are on the line, and their numbers are those of the table."
    )
    missing = "" if timed else " Latency was not measured."
    left_out = len(entries) - len(able)
    missing += (
        f" {plural(left_out, 'candidate')} without a figure {'is' if left_out == 1 else 'are'} not drawn."
        if left_out
        else ""
    )
    return [element("p", text + missing), _legend(shapes, quality), element("div", panels, class_="pair")]


def _time(value: float) -> str:
    return f"{_ends(milliseconds(value))} ms" if value < 1000 else f"{_ends(milliseconds(value / 1000))} s"


def _ends(number: str) -> str:
    """A tick's number without zeros that say nothing."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def _legend(shapes: dict[str, int], quality: Quality) -> Element:
    def key(drawn: Element, name: str) -> Element:
        return element("li", element("svg", drawn, viewBox="-10 -8 20 16", class_="key", aria_hidden="true"), name)

    marks = [key(mark(shape, 0, 0, "student on-front"), kind) for kind, shape in shapes.items()]
    steps = key(line([(-9, 5), (0, 5), (0, -5), (9, -5)], "front"), "Pareto front")
    teacher = key(line([(-9, 0), (9, 0)], "teacher-line"), "teacher") if quality.teacher is not None else None
    return element("ul", marks, steps, teacher, class_="legend")


def _panel(
    entries: Sequence[Entry],
    quality: Quality,
    shapes: dict[str, int],
    cost: Cost,
    text: Callable[[float], str],
    name: str,
) -> Element:
    costs = {each.number: cost(each) or 1e-9 for each in entries}
    best = front(entries, [cost(each) for each in entries])
    few = len(entries) <= _ALL_LABELLED
    ranged = entries if few else best[-1:]
    heights = [each.quality or 0.0 for each in entries] + [end for each in ranged for end in each.interval or ()]
    heights += [quality.teacher] if quality.teacher is not None else []
    x = around(costs.values(), 48, _WIDTH - 8, log=True)
    y = around(heights, _HEIGHT - 46, 26)
    points = {each.number: (x(costs[each.number]), y(each.quality or 0.0)) for each in entries}
    numbers = {each.number for each in best}
    drawn: list[Child] = [
        axes(x, y, text, lambda v: f"{v:g}", f"{name}, log scale \u2192", f"\u2191 {said(quality.metric)}")
    ]
    corners = _corners([points[each.number] for each in best], x)
    drawn.append(line(corners, "front"))
    drawn += [_interval(each, points[each.number][0], y) for each in ranged if each.interval]
    for each in sorted(entries, key=lambda each: (each.number in numbers, -each.number)):
        told = f"{each.number} {each.label}: {said(quality.metric)} {figure(each.quality)}, {text(costs[each.number])}"
        class_ = f"student {'on-front' if each.number in numbers else 'off-front'}"
        drawn.append(mark(shapes[each.run.kind], *points[each.number], class_, told))
    taken = [*points.values(), *_along(corners)]
    if quality.teacher is not None:
        drawn.append(_teacher(quality.teacher, x, y))
        # The words on its line are in the way of labels too.
        taken += [(x.end - step, y(quality.teacher) - 8) for step in range(0, int(LETTER * 14), 8)]
    first = sorted(entries if few else best, key=lambda each: (each.number not in numbers, each.number))
    wanted = [(f"{each.number} {each.run.kind}", *points[each.number]) for each in first]
    drawn += placed(wanted, taken, x.start, x.end)
    on = ", ".join(
        f"{each.number} {each.label} ({figure(each.quality)} at {text(costs[each.number])})" for each in best
    )
    says = f"{said(quality.metric)} over {name} of {plural(len(entries), 'student')}. On the Pareto front: {on}."
    return element("figure", element("figcaption", f"Quality and {name}"), chart(_WIDTH, _HEIGHT, says, drawn))


def _corners(points: Sequence[Point], x: Scale) -> list[Point]:
    """The best that can be had for a cost: it holds until the next better student."""
    corners = list(points[:1])
    for right, up in points[1:]:
        corners += [(right, corners[-1][1]), (right, up)]
    return [*corners, *((x.end, y) for _, y in corners[-1:])]


def _along(corners: Sequence[Point]) -> Iterator[Point]:
    """Points on the line so near to one another that no label fits between them."""
    for (left, top), (right, bottom) in pairwise(corners):
        steps = int(max(abs(right - left), abs(bottom - top)) / 8) + 1
        for step in range(steps + 1):
            yield left + (right - left) * step / steps, top + (bottom - top) * step / steps


def _interval(entry: Entry, x: float, y: Scale) -> Element | None:
    if entry.interval is None:
        return None
    low, high = entry.interval
    return element("line", x1=x, x2=x, y1=y(low), y2=y(high), class_="whisker student")


def _teacher(value: float, x: Scale, y: Scale) -> list[Element]:
    at = y(value)
    rule = element("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="teacher-line")
    return [rule, label(f"teacher {figure(value)}", x.end, at - 5, "end", "teacher-name")]
