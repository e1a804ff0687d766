"""A finished transfer set, as the stages after ``augment`` read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from .columns import Column
from .errors import StillhouseError
from .keys import KEY_TYPE, content_keys, keys_from_arrow
from .store import Store
from .task import Task

KIND = "transfer set"
#: One edit: which rule changed which input, where, how many words, and what became of them.
EDIT = pa.struct(
    [
        ("rule", pa.string()),
        ("input", pa.int16()),
        ("position", pa.int32()),
        ("words", pa.int32()),
        ("old", pa.string()),
        ("new", pa.string()),
    ]
)
_FEATURES = (pa.bool_(), pa.int64(), pa.float64(), pa.string())


class TransferSet:
    """The rows of a transfer set and the task they are for.

    Attributes:
        store: where the parts lie.
        task: the columns, target and classes.
        mask_token: what stands for a masked word in the texts, if any does.
    """

    def __init__(self, store: Store) -> None:
        try:
            self.task = Task.from_json(store.about["task"])
            self.mask_token: str | None = store.about["mask_token"]
            if not isinstance(self.mask_token, str | None):
                raise TypeError("mask_token must be a text or null")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StillhouseError(f"{store.path}: _manifest/about.json must describe a transfer set: {error}") from None
        self.store = store.of(_columns(self.task))

    @classmethod
    def open(cls, path: Path | str) -> TransferSet:
        """The transfer set in a directory.

        Raises:
            StillhouseError: there is none, or it is not finished.
        """
        store = Store.open(path, KIND)
        missing = store.missing_slots()
        if missing:
            raise StillhouseError(
                f"{path}: must be finished, {len(missing)} of {store.about['parts']} parts are missing:"
                " run the same `stillhouse augment` again"
            )
        return cls(store)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, a part at a time, in order of source row and copy."""
        return self.store.tables(columns)

    def verify(self) -> list[str]:
        """What is wrong with it, a line each: as ``Store.verify``, and columns or keys that are not its own."""
        problems = self.store.verify()
        if problems:
            return problems
        for part in self.store.parts():
            try:
                table = self.store.read(part)
            except StillhouseError as error:
                problems.append(str(error))
                continue
            wrong = np.flatnonzero((content_keys(self.task, table) != keys_from_arrow(table["key"])).any(1))
            if len(wrong):
                problems.append(f"{self.store.path / part.file}: key of row {wrong[0]} must be that of its inputs")
        return problems


def _columns(task: Task) -> dict[str, Column]:
    """What the columns of a task's parts must be."""
    inputs = Column(_FEATURES, nulls=True) if task.kind == "features" else Column((pa.string(),))
    label = {} if task.label is None else {task.label: Column((task.label_type,), nulls=True)}
    own = {"source": pa.int64(), "copy": pa.int32(), "key": KEY_TYPE, "edits": pa.list_(EDIT)}
    return {**dict.fromkeys(task.inputs, inputs), **label, **{name: Column((kind,)) for name, kind in own.items()}}
