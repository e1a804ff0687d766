"""Whose answers are looked at closely: the teacher's and those of some students, beside the gold labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

import numpy as np

from students.answered import Answered, Outputs
from transferset import Task

from ._element import element, own
from ._measured import Yardstick, closely
from ._quality import Entry, shown_first

#: So many students are looked at.
MOST = 7


@dataclass(frozen=True)
class Judged:
    """Somebody's logits, (B, C), for B rows with gold labels, classes in the order of the task.

    ``number`` is the student's; None is the teacher.
    """

    number: int | None
    label: str
    task: Task
    logits: Outputs
    answered: Answered

    @property
    def caption(self) -> Element:
        """Who it is, above a chart or a table."""
        number = element("span", str(self.number), class_="rank") if self.number is not None else None
        return element("figcaption", number, " ", own(self.label))


def judged(entries: Sequence[Entry], test: Yardstick) -> list[Judged]:
    """The teacher, if there is a cache, and some students of logits; all with the classes of the first in its order."""
    found: list[Judged] = []
    for entry in shown_first(entries, MOST):
        one = closely(entry.run, test)
        task = found[0].task if found else one.task
        order = [one.task.classes.index(name) for name in task.classes] or [0]
        if not found and one.teacher is not None:
            found.append(Judged(None, "teacher", task, one.teacher, one))
        # Of students with another order of classes the gold labels are in that order too.
        base = found[0].answered if found else one
        own_answers = replace(one, task=task, gold=base.gold, student=one.student[:, order])
        found.append(Judged(entry.number, entry.label, task, np.ascontiguousarray(own_answers.student), own_answers))
    return found
