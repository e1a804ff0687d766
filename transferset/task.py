"""What is learned from what: the input columns, the label column and its classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import pyarrow as pa

from .errors import StillhouseError, unknown

Kind = Literal["text", "pair", "features"]
Target = Literal["classification", "multilabel", "regression"]
#: Columns that a transfer set adds beside the user's own.
ADDED_COLUMNS = ("source", "copy", "key", "edits")


@dataclass(frozen=True)
class Task:
    """The inputs (one text, a pair of texts, or features) and the target of a data set.

    ``classes`` is the order of the logits; it is empty for regression.

    >>> Task("text", ("sentence",), "label", classes=("neg", "pos")).label_type
    DataType(string)

    Raises:
        StillhouseError: the number of inputs does not fit the kind, or a column has two roles.
    """

    kind: Kind
    inputs: tuple[str, ...]
    label: str | None = None
    target: Target = "classification"
    classes: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise unknown("task: kind", str(self.kind), get_args(Kind))
        if self.target not in get_args(Target):
            raise unknown("task", str(self.target), get_args(Target))
        wanted = {"text": 1, "pair": 2}.get(self.kind)
        if wanted is not None and len(self.inputs) != wanted:
            raise StillhouseError(f"task: {self.kind} must have {wanted} input columns, got {len(self.inputs)}")
        if not self.inputs:
            raise StillhouseError("task: features must name at least one input column, got none")
        self._check_names()

    def _check_names(self) -> None:
        columns = [*self.inputs, *([self.label] if self.label is not None else [])]
        for column in columns:
            if columns.count(column) > 1:
                raise StillhouseError(f"task: each column must have one role, got {column!r} twice")
            if column in ADDED_COLUMNS:
                raise StillhouseError(
                    f"task: a column must not be called {column!r}, a transfer set adds one of that name: rename it"
                )
        for column in self.categorical:
            if column not in self.inputs:
                raise unknown("task: categorical column", column, self.inputs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read: the inputs, then the label if there is one."""
        return (*self.inputs, self.label) if self.label is not None else self.inputs

    @property
    def label_type(self) -> pa.DataType:
        """The Arrow type in which gold labels are stored."""
        if self.target == "regression":
            return pa.float64()
        return pa.list_(pa.string()) if self.target == "multilabel" else pa.string()

    @property
    def outputs(self) -> int:
        """C, the number of logits a teacher or student of this task gives."""
        return 1 if self.target == "regression" else len(self.classes)

    def to_json(self) -> dict[str, Any]:
        """The task as it stands in manifests; ``from_json`` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Task:
        """The task that ``to_json`` described.

        >>> task = Task("pair", ("a", "b"), "same", classes=("0", "1"))
        >>> Task.from_json(task.to_json()) == task
        True

        Raises:
            StillhouseError: as the task itself.
            TypeError, ValueError: other fields, names that are no texts, a class that comes twice.
        """
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        task = cls(**fields)
        lists = (task.inputs, task.classes, task.categorical)
        names = [*(each for names in lists for each in names), *([] if task.label is None else [task.label])]
        if not all(isinstance(each, tuple) for each in lists) or not all(isinstance(each, str) for each in names):
            raise TypeError("a task's columns and classes must be names")
        if len(set(task.classes)) < len(task.classes):
            raise ValueError(f"a task's classes must differ, got {', '.join(task.classes)}")
        return task


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names in their standard order: as numbers if all are integers, else as text.

    >>> sort_classes(["10", "9", "1"])
    ('1', '9', '10')
    """
    distinct = sorted(set(names))
    if all(re.fullmatch(r"-?[0-9]+", name) for name in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(distinct)
