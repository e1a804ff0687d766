"""A finished transfer set, as the stages after ``augment`` read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from .errors import StillhouseError
from .keys import content_keys, keys_from_arrow
from .store import Store
from .task import Task

KIND = "transfer set"


class TransferSet:
    """The rows of a transfer set and the task they are for.

    Attributes:
        store: where the parts lie.
        task: the columns, target and classes.
        mask_token: what stands for a masked word in the texts, if any does.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        try:
            self.task = Task.from_json(store.about["task"])
            self.mask_token: str | None = store.about["mask_token"]
        except (KeyError, TypeError, AttributeError) as error:
            raise StillhouseError(f"{store.path}: _manifest/about.json must describe a transfer set: {error}") from None

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
        """What is wrong with it, a line each: as ``Store.verify``, and keys that are not those of their rows."""
        problems = self.store.verify()
        if problems:
            return problems
        for part in self.store.parts():
            table = self.store.read(part, [*self.task.inputs, "key"])
            wrong = np.flatnonzero((content_keys(self.task, table) != keys_from_arrow(table["key"])).any(1))
            if len(wrong):
                problems.append(f"{self.store.path / part.file}: key of row {wrong[0]} must be that of its inputs")
        return problems
