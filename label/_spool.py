"""Rows on disk that wait to be asked about: a file that nobody sees and that vanishes with its process."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset.files import writing

#: Rows are gathered until there are as many, or as many bytes: few batches to look into, none too large for Arrow.
_ROWS, _BYTES = 65_536, 1 << 25


class Spool:
    """A table that grows, is finished, and then gives its rows by their numbers."""

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self._path = folder / f"{uuid.uuid4().hex}.tmp"
        self._waiting: list[pa.Table] = []
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._batches: list[pa.RecordBatch] = []
        self._starts = np.zeros(1, np.int64)

    def append(self, rows: pa.Table) -> None:
        """Adds rows at the end.

        Raises:
            StillhouseError: no space, no permission.
        """
        self._waiting.append(rows)
        self.rows += len(rows)
        if sum(len(each) for each in self._waiting) >= _ROWS or sum(each.nbytes for each in self._waiting) >= _BYTES:
            self._flush()

    def finish(self) -> None:
        """Ends the growing; from now on rows can be taken."""
        self._flush()
        if self._writer is None:
            return
        with writing(self._path.parent):
            self._writer.close()
        reader = pa.ipc.open_file(pa.memory_map(os.fsencode(self._path)))
        # What is mapped stays readable without its name, and a kill leaves nothing behind.
        self._path.unlink()
        self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._starts = np.cumsum([0, *(len(each) for each in self._batches)])

    def take(self, places: npt.NDArray[np.int64]) -> pa.Table:
        """The rows with these numbers, in their order; at least one."""
        order = np.argsort(places, kind="stable")
        ranked = places[order]
        numbers, first = np.unique(np.searchsorted(self._starts, ranked, "right") - 1, return_index=True)
        pieces = [
            self._batches[number].take(pa.array(part - self._starts[number]))
            for number, part in zip(numbers.tolist(), np.split(ranked, first[1:]), strict=True)
        ]
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return pa.Table.from_batches(pieces).combine_chunks().take(pa.array(back))

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting = []
        with writing(self._path.parent):
            if self._writer is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = pa.ipc.new_file(str(self._path), table.schema)
            self._writer.write_table(table)
