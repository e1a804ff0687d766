"""What charts are drawn with: scales, ticks, axes, marks that differ in shape, and labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ._element import Child, element

#: The width of a letter of a chart's labels, about.
LETTER = 6.2
#: Outlines around the origin, of about the same area.
_SHAPES = (
    "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z",
    "M-4,-4h8v8h-8z",
    "M0,-5.5L5.2,3.8H-5.2z",
    "M0,-5.7L5.7,0L0,5.7L-5.7,0z",
    "M0,5.5L5.2,-3.8H-5.2z",
    "M-5,-2h3v-3h4v3h3v4h-3v3h-4v-3h-3z",
)


@dataclass(frozen=True)
class Scale:
    """Where values between two stand between two places; ``log`` by their magnitude."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, value = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values on it, at most about so many.

        >>> Scale(0.62, 0.91, 0, 100).ticks(4)
        [0.7, 0.8, 0.9]
        >>> Scale(0.3, 40, 0, 100, log=True).ticks(4)
        [1.0, 10.0]
        """
        if self.log and self.high / self.low > 4:
            steps: Iterable[int] = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for parts in ((1, 2, 5), (1, 3), (1,)):
                found = [round(part * 10.0**step, 12) for step in steps for part in parts]
                inside = [each for each in found if self.low <= each <= self.high]
                if len(inside) <= most:
                    break
            return inside
        raw = (self.high - self.low) / most
        size = 10.0 ** math.floor(math.log10(raw))
        step = next(size * part for part in (1, 2, 5, 10) if size * part >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [round(place * step, 12) for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def around(values: Iterable[float], start: float, end: float, log: bool = False) -> Scale:
    """A scale that has all values, with some room at both ends."""
    known = list(values)
    low, high = min(known), max(known)
    if log:
        room = max((high / low) ** 0.08, 1.25)
        return Scale(low / room, high * room, start, end, True)
    room = (high - low) * 0.08 or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room, start, end)


def chart(width: float, height: float, says: str, *children: Child, class_: str = "chart") -> Element:
    """A drawing of so many units; ``says`` is what one is told who does not see it."""
    box = f"0 0 {width:g} {height:g}"
    return element("svg", *children, viewBox=box, class_=class_, role="img", aria_label=says)


def axes(
    x: Scale, y: Scale, x_text: Callable[[float], str], y_text: Callable[[float], str], x_name: str, y_name: str
) -> Element:
    """Both axes with their names: thin lines across for y, small ticks for x."""
    bottom, lines = max(y.start, y.end), []
    for value in y.ticks():
        at = y(value)
        lines.append(element("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid"))
        lines.append(label(y_text(value), x.start - 6, at + 4, "end"))
    for value in x.ticks(4):
        at = x(value)
        lines.append(element("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="tick"))
        lines.append(label(x_text(value), at, bottom + 16, "middle"))
    lines.append(element("line", x1=x.start, x2=x.end, y1=bottom, y2=bottom, class_="axis"))
    names = (
        label(y_name, 0, min(y.start, y.end) - 12, "start", "name"),
        label(x_name, x.end, bottom + 34, "end", "name"),
    )
    return element("g", lines, names, aria_hidden="true")


def label(text: str, x: float, y: float, anchor: str = "start", class_: str = "label") -> Element:
    """A piece of text in a drawing."""
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def line(points: Sequence[tuple[float, float]], class_: str) -> Element:
    """A line through some points."""
    return element("polyline", points=" ".join(f"{x:.2f},{y:.2f}" for x, y in points), class_=class_)


def mark(shape: int, x: float, y: float, class_: str, says: str | None = None) -> Element:
    """A point, whose shape is one of several that come again after the last."""
    title = element("title", says) if says else None
    path = _SHAPES[shape % len(_SHAPES)]
    return element("path", title, d=path, transform=f"translate({x:.2f},{y:.2f})", class_=class_)


def placed(
    wanted: Sequence[tuple[str, float, float]], taken: Sequence[tuple[float, float]], left: float, right: float
) -> list[Element]:
    """Labels beside their points, each clear of the points and of those before it; what fits nowhere is left out."""
    boxes = [(x - 6, y - 6, x + 6, y + 6) for x, y in taken]
    found = []
    for text, x, y in wanted:
        width = LETTER * len(text)
        for anchor, at, up in (("start", x + 8, 4), ("end", x - 8, 4), ("middle", x, -9), ("middle", x, 18)):
            begin = at - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
            box = (begin, y + up - 10, begin + width, y + up + 2)
            if begin >= left and box[2] <= right and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                found.append(label(text, at, y + up, anchor, "direct"))
                break
    return found


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
