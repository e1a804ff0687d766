"""A student's answers, for rows in memory and for streams of any length; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import Source, StillhouseError, Task, read_rows, unknown

from ._answers import STYLES, check_finite, column_names, field_names, header, lines, probabilities
from ._config import Config
from .metrics import decisions
from .onnx_student import OnnxStudent

__all__ = ["STYLES", "Predictor", "Rows", "answers", "inputs_of", "open_student", "written_answers"]


class Predictor(Protocol):
    """A student, be it torch or ONNX Runtime that computes it."""

    @property
    def config(self) -> Config:
        """What it is, but for its weights."""
        ...

    def outputs(self, rows: pa.Table | pa.RecordBatch) -> npt.NDArray[np.float32]:
        """(B, width) logits or embeddings of B rows."""
        ...


class Rows(Protocol):
    """Where rows come from: a ``Source``, or something that streams as one does."""

    @property
    def path(self) -> Path | str:
        """What errors call it."""
        ...

    def columns(self) -> Sequence[str] | None:
        """The names of all columns; None where each row may have others."""
        ...

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The wanted columns, some rows at a time."""
        ...


def open_student(place: Path | str, threads: int | None = None) -> Predictor:
    """The student in a directory or in an ONNX file; ``threads`` are as many as there are cores.

    Raises:
        StillhouseError: there is none; or torch, for a directory, or ONNX Runtime, for a file, is not installed.
    """
    if not Path(place).exists():
        raise StillhouseError(f"{place}: must be a student's directory or ONNX file, got nothing there")
    if Path(place).is_file():
        return OnnxStudent.load(place, threads)
    try:
        import torch

        from .student import Student
    except ImportError as error:
        if error.name != "torch":
            raise
        raise StillhouseError(
            f"{place}: torch must be installed to read a student's directory, got none: run `pip install torch`, or"
            " `stillhouse export` where it is, and predict with the file"
        ) from None
    if threads is not None:
        torch.set_num_threads(threads)
    return Student.load(place)


def answers(student: Predictor, rows: pa.RecordBatch | pa.Table) -> Iterator[dict[str, Any]]:
    """For each of B rows: its ``label`` and the ``probabilities`` of the classes; for regression its ``score``.

    A multi-label row has ``labels``, the classes of probability above one half. A student that gives embeddings gives
    an ``embedding``, a list of floats.

    Raises:
        StillhouseError: the student's outputs are not finite.
    """
    outputs, task = student.outputs(rows), student.config.task
    check_finite("student", outputs)
    if student.config.output == "embedding":
        yield from ({"embedding": each.tolist()} for each in _shortest(outputs))
    elif task.target == "regression":
        yield from ({"score": score} for score in _shortest(outputs)[:, 0].tolist())
    else:
        named = _labels(outputs, task)
        for label, shares in zip(named, probabilities(outputs, task).tolist(), strict=True):
            yield {**label, "probabilities": dict(zip(task.classes, shares, strict=True))}


def _labels(outputs: npt.NDArray[np.float32], task: Task) -> Iterator[dict[str, Any]]:
    decided = decisions(outputs, task)
    if task.target == "multilabel":
        return ({"labels": [task.classes[place] for place in np.flatnonzero(row)]} for row in decided)
    return ({"label": task.classes[place]} for place in decided)


def _shortest(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The numbers with no more digits than tell them apart: 0.1 and not 0.10000000149011612."""
    texts = pa.array(np.ascontiguousarray(values).reshape(-1)).cast(pa.string())
    found: npt.NDArray[np.float64] = texts.cast(pa.float64()).to_numpy().reshape(values.shape)
    return found


def written_answers(
    student: Predictor, rows: Rows, style: str = "jsonl", keep: Sequence[str] = ()
) -> Iterator[tuple[int, bytes]]:
    """A student's answers to a stream as pieces of a jsonl, csv or tsv file: how many rows, and their lines.

    The first piece is the header, of no rows, which in jsonl is empty. Each next one is read, answered and handed on
    before the one after it is read.

    Args:
        student: the student.
        rows: for example a ``Source``.
        style: ``jsonl``: an object a row, as ``answers`` gives them; ``csv`` and ``tsv``: a column for the label (of
            several labels, joined by ``|``) and ``probability_CLASS`` for each class, ``score``, or ``e0``, ``e1``, ...
            of an embedding.
        keep: columns of the rows to put before each answer; ``column=name`` puts it under another name.

    Raises:
        StillhouseError: an unknown style; a column that is missing, or that has the name of an answer's.
    """
    if style not in STYLES:
        raise unknown("format", style, STYLES)
    config = student.config
    names = _kept_names(rows, keep)
    taken = field_names(config) if style == "jsonl" else column_names(config)
    for name in names.values():
        if name in taken:
            raise StillhouseError(f"keep: a column must not have the name of an answer, got {name!r}: say {name}=gold")
    task = inputs_of(config.task, rows)
    source = _Beside(rows, tuple(names))
    first_row = 1
    yield 0, header(config, list(names.values()), style)
    for batch in read_rows(cast(Source, source), task, config.encoding.types):
        outputs = student.outputs(batch.rename_columns(list(config.task.inputs)))
        kept = {name: source.beside.column(column).to_pylist() for column, name in names.items()}
        yield batch.num_rows, lines(config, outputs, kept, style, first_row)
        first_row += batch.num_rows


def inputs_of(task: Task, rows: Rows) -> Task:
    """The task without its label, reading the one column of a txt file whatever the text is called."""
    one = isinstance(rows, Source) and rows.format == ".txt" and task.kind == "text"
    return replace(task, inputs=("text",) if one else task.inputs, label=None)


def _kept_names(rows: Rows, keep: Sequence[str]) -> dict[str, str]:
    """The columns to keep and the names under which they are kept."""
    found: dict[str, str] = {}
    known = rows.columns() if keep else None
    for each in keep:
        column, equals, name = each.rpartition("=")
        if not equals or (known is not None and each in known):
            column = name = each
        if not column or not name:
            raise StillhouseError(f"keep: must be COLUMN or COLUMN=NAME, got {each!r}")
        if column in found or name in found.values():
            raise StillhouseError(f"keep: each column must be kept once, got {each!r} again")
        if known is not None and column not in known:
            raise unknown("keep: column", column, known)
        found[column] = name
    return found


class _Beside:
    """Rows with more columns than those that are asked for, which can be had of the batch that was read last."""

    def __init__(self, rows: Rows, more: Sequence[str]) -> None:
        self._rows, self._more = rows, more
        self.path = rows.path
        self.beside = pa.record_batch({})

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in self._rows.batches(list(dict.fromkeys([*columns, *self._more]))):
            self.beside = batch
            yield batch
