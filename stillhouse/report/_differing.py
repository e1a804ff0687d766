"""Which rows a student and its teacher answer differently, in which way, and how far apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from students.answered import Answered, Outputs, probabilities
from students.metrics import decisions


@dataclass(frozen=True)
class Group:
    """Rows that differ in one way, the furthest apart first.

    Attributes:
        title: in which way.
        rows: (D,) their places among the answered ones.
        apart: (D,) how far the two answers are from each other.
    """

    title: str
    rows: npt.NDArray[np.int64]
    apart: npt.NDArray[np.float64]


def differing(answered: Answered, teacher: Outputs) -> list[Group]:
    """The rows by which of the two is right; of scores and embeddings, which never are the same, all in one group."""
    apart = _apart(answered, teacher)
    order = np.argsort(-apart, kind="stable")
    if not answered.decides:
        return [Group("The furthest apart", order, apart[order])]
    ours, theirs = (decisions(each, answered.task) for each in (answered.student, teacher))
    right, theirs_right = (_same(each, answered.gold) for each in (ours, theirs))
    differ = ~_same(ours, theirs)
    groups = []
    for title, some in (
        ("The teacher is right, the student is not", theirs_right & ~right),
        ("The student is right, the teacher is not", right & ~theirs_right),
        ("Both are wrong", ~right & ~theirs_right),
    ):
        rows = order[(some & differ)[order]]
        groups.append(Group(title, rows, apart[rows]))
    return [each for each in groups if len(each.rows)]


def _same(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    return np.asarray((one == other).reshape(len(one), -1).all(1))


def _apart(answered: Answered, teacher: Outputs) -> npt.NDArray[np.float64]:
    """(B,) one less the cosine of embeddings, the difference of scores, or that of probabilities summed."""
    ours, theirs = answered.student.astype(np.float64), teacher.astype(np.float64)
    if answered.embeds:
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        return np.asarray(1 - (ours * theirs).sum(1) / np.where(lengths > 0, lengths, 1.0))
    if answered.task.target == "regression":
        return np.asarray(np.abs(ours - theirs)[:, 0])
    ours, theirs = (probabilities(each, answered.task) for each in (answered.student, teacher))
    return np.asarray(np.abs(ours - theirs).sum(1))


def shares_of(sizes: Sequence[int], most: int) -> list[int]:
    """So many of all groups together, in turns until they are used up.

    >>> shares_of([1, 9, 5], 8)
    [1, 4, 3]
    """
    shares = [0] * len(sizes)
    while sum(shares) < min(most, sum(sizes)):
        for place, size in enumerate(sizes):
            if shares[place] < size and sum(shares) < most:
                shares[place] += 1
    return shares
