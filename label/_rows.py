"""The distinct rows of a transfer set, and the chunks in which a teacher is asked about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from transferset import Keys, KeySet, Task, TransferSet, keys_from_arrow, sort_keys

from ._spool import Spool
from .teacher import Description

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DistinctRows:
    """The U distinct rows of a transfer set.

    Attributes:
        rows: how many rows the transfer set has.
        keys: (U, 2).
        size: (U,) bytes of text.
        source: (U,) the source row of the first of each.
        place: (U,) where a row stands in the spool; -1 for those that the cache had.
        spool: the rows that the cache lacked.
    """

    rows: int
    keys: Keys
    size: Numbers
    source: Numbers
    place: Numbers
    spool: Spool

    @property
    def pending(self) -> int:
        """How many the cache lacked."""
        return self.spool.rows

    def chunks(self, description: Description) -> list[Numbers]:
        """The numbers of all U rows in chunks; each is asked about in one call.

        Chunks do not depend on what is labelled already and, where rows come by length, not on the order of the
        transfer set: a run that was killed and goes on asks about the same rows together.
        """
        if description.chunk_bytes is None:
            return np.split(
                np.arange(len(self.keys)), range(description.chunk_rows, len(self.keys), description.chunk_rows)
            )
        order = sort_keys(self.keys)
        order = order[np.argsort(-self.size[order], kind="stable")]
        until = np.cumsum(self.size[order])
        found, first = [], 0
        while first < len(order):
            end = int(np.searchsorted(until, until[first] - self.size[order[first]] + description.chunk_bytes, "right"))
            last = min(max(end, first + 1), first + description.chunk_rows)
            found.append(order[first:last])
            first = last
        return found


def distinct_rows(
    transfer: TransferSet, has: Callable[[Keys], npt.NDArray[np.bool_]], scratch: Path, progress: bool
) -> DistinctRows:
    """Reads a transfer set once; the rows that the cache lacks wait in a file under ``scratch``."""
    seen, spool, rows = KeySet(), Spool(scratch), 0
    columns: list[tuple[npt.NDArray[np.generic], ...]] = []
    with tqdm(desc="reading", total=transfer.store.rows(), unit=" rows", unit_scale=True, disable=not progress) as bar:
        for table in _pieces(transfer):
            keys = keys_from_arrow(table["key"])
            new = np.flatnonzero(seen.add(keys))
            lacking = ~has(keys[new])
            place = np.full(len(new), -1)
            place[lacking] = spool.rows + np.arange(lacking.sum())
            fresh = table.take(pa.array(new))
            spool.append(fresh.select(transfer.task.inputs).filter(pa.array(lacking)))
            columns.append((keys[new], _bytes_of_text(transfer.task, fresh), fresh["source"].to_numpy(), place))
            rows += len(table)
            bar.update(len(table))
    spool.finish()
    keys, size, source, place = (np.concatenate(each) for each in zip(*columns, strict=True))
    return DistinctRows(rows, keys, size, source, place, spool)


def sample_rows(transfer: TransferSet, number: int) -> pa.Table:
    """Inputs of some distinct rows at random: those with the least keys in four parts of the transfer set."""
    parts = transfer.store.parts()
    chosen = sorted({len(parts) * quarter // 4 for quarter in range(4)})
    table = pa.concat_tables(transfer.store.read(parts[place], [*transfer.task.inputs, "key"]) for place in chosen)
    keys = keys_from_arrow(table["key"])
    first = np.flatnonzero(KeySet().add(keys))
    return table.select(transfer.task.inputs).take(pa.array(first[sort_keys(keys[first])[:number]]))


def _pieces(transfer: TransferSet, rows: int = 8192) -> Iterator[pa.Table]:
    for table in transfer.tables([*transfer.task.inputs, "key", "source"]):
        for start in range(0, len(table), rows):
            yield table.slice(start, rows)


def _bytes_of_text(task: Task, table: pa.Table) -> Numbers:
    size = np.zeros(len(table), np.int64)
    if task.kind != "features":
        for name in task.inputs:
            size += pc.binary_length(table[name]).to_numpy()
    return size
