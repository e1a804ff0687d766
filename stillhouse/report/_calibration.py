"""The section of calibration: a reliability diagram for the teacher and for some students."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from students.calibration import BINS, calibration
from students.reliability import Reliability, reliability

from ._chart import Scale, chart, label, line
from ._element import Child, element
from ._figures import figure, plural
from ._judged import Judged

_SIZE, _LEFT, _BARS = 190.0, 30.0, 26.0


def calibrations(judged: Sequence[Judged], students: int) -> list[Child]:
    """The diagrams, the teacher's first; ``students`` are there in all."""
    task = judged[0].task
    if task.target == "regression":
        return [element("p", "Left out: a score has no confidence that could be right or wrong.")]
    text = (
        "Each dot is the answers of about one confidence: how sure they are (across), and how many of them are right"
        " (up). On the diagonal the two agree; below it answers are surer than they ought to be. The bars beneath, and"
        " the size of the dots, are the number of answers. ECE is the mean distance from the diagonal."
    )
    shown = sum(each.number is not None for each in judged)
    text += (
        f" Of {plural(students, 'student')} {shown} are drawn: the best, and those of the Pareto fronts."
        if shown < students
        else ""
    )
    lowest = 0.0 if len(task.classes) > 2 and task.target == "classification" else 0.5
    return [element("p", text), element("div", [_panel(each, lowest) for each in judged], class_="multiples square")]


def _panel(judged: Judged, lowest: float) -> Element:
    found = reliability(judged.logits, judged.answered.gold, judged.task)
    figures = calibration(judged.logits, judged.answered.gold, judged.task)
    x, y = Scale(lowest, 1, _LEFT, _SIZE - 8), Scale(0, 1, _SIZE - 22 - _BARS, 10)
    drawn: list[Child] = []
    for tick in (0.0, 0.5, 1.0):
        drawn.append(element("line", x1=x.start, x2=x.end, y1=y(tick), y2=y(tick), class_="grid"))
        drawn.append(label(f"{tick:g}", x.start - 5, y(tick) + 3.5, "end"))
    drawn += [label(f"{tick:g}", x(tick), _SIZE - 6, "middle") for tick in (lowest, (1 + lowest) / 2, 1.0)]
    drawn.append(line([(x(lowest), y(lowest)), (x(1), y(1))], "diagonal"))
    class_ = "teacher" if judged.number is None else "student"
    drawn += _dots(found, x, y, class_)
    drawn += _bars(found, x, class_)
    drawn.append(label(f"ECE {figure(figures['ece'])}", x.start + 4, y(1) + 9, "start", "direct"))
    return element("figure", judged.caption, chart(_SIZE, _SIZE, _says(judged, found, figures), drawn))


def _dots(found: Reliability, x: Scale, y: Scale, class_: str) -> list[Element]:
    drawn = []
    most = max(1, int(found.answers.max()))
    for place in np.flatnonzero(found.answers).tolist():
        confidence, right = float(found.confidence[place]), float(found.right[place])
        at, size = x(max(confidence, x.low)), 2 + 4 * math.sqrt(found.answers[place] / most)
        drawn.append(element("line", x1=at, x2=at, y1=y(confidence), y2=y(right), class_="gap"))
        told = f"{plural(int(found.answers[place]), 'answer')}: confidence {figure(confidence)}, right {figure(right)}"
        drawn.append(element("circle", element("title", told), cx=at, cy=y(right), r=size, class_=f"dot {class_}"))
    return drawn


def _bars(found: Reliability, x: Scale, class_: str) -> list[Element]:
    bottom, most = _SIZE - 18, max(1, int(found.answers.max()))
    drawn = [element("line", x1=x.start, x2=x.end, y1=bottom, y2=bottom, class_="axis")]
    for place in np.flatnonzero(found.answers).tolist():
        left, right = max(x.low, place / BINS), (place + 1) / BINS
        tall = (_BARS - 6) * float(found.answers[place]) / most
        width = max(1.0, x(right) - x(left) - 1)
        drawn.append(element("rect", x=x(left), y=bottom - tall, width=width, height=tall, class_=f"bar {class_}"))
    return drawn


def _says(judged: Judged, found: Reliability, figures: Mapping[str, float]) -> str:
    sure = float(found.confidence @ found.answers) / max(1, int(found.answers.sum()))
    right = float(found.right @ found.answers) / max(1, int(found.answers.sum()))
    return f"{judged.label}: mean confidence {figure(sure)}, right {figure(right)}, ECE {figure(figures['ece'])}."
