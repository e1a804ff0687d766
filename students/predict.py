"""A student's answers in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit, softmax

from .student import Student


def answers(student: Student, rows: pa.RecordBatch | pa.Table) -> Iterator[dict[str, Any]]:
    """For each of B rows: its ``label`` and the ``probabilities`` of the classes; for regression its ``score``.

    A multi-label row has ``labels``, the classes of probability above one half.
    """
    logits = student.logits(rows)
    classes = student.task.classes
    if student.task.target == "regression":
        yield from ({"score": round(float(score), 6)} for score in logits[:, 0])
        return
    several = student.task.target == "multilabel"
    for shares in expit(logits) if several else softmax(logits, axis=1):
        chosen = [name for name, share in zip(classes, shares, strict=True) if share > 0.5]
        named = {"labels": chosen} if several else {"label": classes[int(np.argmax(shares))]}
        yield {**named, "probabilities": {name: round(float(x), 6) for name, x in zip(classes, shares, strict=True)}}
