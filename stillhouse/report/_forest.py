"""Intervals of many students on one scale, to be drawn one under another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ._chart import Scale, around, chart
from ._element import element
from ._figures import figure

_WIDTH, _HALF = 96.0, 7.0


@dataclass(frozen=True)
class Intervals:
    """The scale that all intervals share, and where the teacher is on it."""

    scale: Scale
    teacher: float | None

    @classmethod
    def around(cls, intervals: Sequence[Sequence[float] | None], teacher: float | None) -> Intervals:
        """Of all that are known; there must be one."""
        ends = [end for each in intervals for end in each or ()]
        return cls(around([*ends, *([] if teacher is None else [teacher])], 2, _WIDTH - 2), teacher)

    def whisker(self, low: float, value: float, high: float, class_: str) -> Element:
        """An interval as a line with a dot at the figure; a dashed line stands where the teacher is."""
        left, middle, right = map(self.scale, (low, value, high))
        there = None
        if self.teacher is not None:
            at = self.scale(self.teacher)
            there = element("line", x1=at, x2=at, y1=0, y2=2 * _HALF, class_="teacher-line")
        whole = element("line", x1=left, x2=right, y1=_HALF, y2=_HALF, class_=f"whisker {class_}")
        dot = element("circle", cx=middle, cy=_HALF, r=3, class_=f"dot {class_}")
        return chart(_WIDTH, 2 * _HALF, f"from {figure(low)} to {figure(high)}", there, whole, dot, class_="inline")
