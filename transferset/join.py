"""One flat table of a transfer set and what its teacher said, for tools that know nothing of keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from ._signals import Matrix, to_column
from .ensemble import Ensemble
from .errors import StillhouseError
from .files import whole_file
from .keys import Keys, keys_from_arrow
from .logit_cache import LogitCache
from .task import Task
from .transfer_set import TransferSet

#: Rows, and bytes of signals, that are in memory at once; they are a row group of the file.
GROUP_ROWS = 1 << 16
GROUP_BYTES = 1 << 26


@dataclass(frozen=True)
class Joined:
    """What was written: rows, names of the columns, bytes."""

    rows: int
    columns: tuple[str, ...]
    bytes: int


def join(
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    out: Path | str,
    signals: Sequence[str] | None = None,
    force: bool = False,
    progress: bool = False,
) -> Joined:
    """Writes a Parquet file of the rows of a transfer set with the teacher's signals beside them.

    Its columns: the inputs, the gold label, ``source`` and ``copy`` as in the transfer set; ``logit_CLASS`` (float32)
    for each class, or ``teacher_score`` for regression; each other signal as a fixed-size list of float32 under its
    own name.
    ``signals`` are all that the cache has where they are not given. Memory is bounded, but for 16 bytes a row.

    Raises:
        StillhouseError: rows or signals that the cache lacks, other classes, two columns of one name, a file that is
            there and no ``force``. Nothing is written then.
    """
    out, task = Path(out), transfer.task
    if out.is_dir() or (out.exists() and not force):
        got, advice = ("a directory", "name a file") if out.is_dir() else ("a file", "use another --out or --force")
        raise StillhouseError(f"{out}: must be a new file, got {got}: {advice}")
    names = tuple(dict.fromkeys(cache.widths if signals is None else signals))
    cache.check_signals(names)
    order = cache.order(task) if "logits" in names else []
    kept = [*task.columns, "source", "copy"]
    added = [column for name in names for column in _columns_of(name, task, cache.classes)]
    _check_names(kept, added)
    keys = np.concatenate([np.zeros((0, 2), np.uint64), *(keys_from_arrow(t["key"]) for t in transfer.tables(["key"]))])
    if not len(keys):
        raise StillhouseError(f"{transfer.store.path}: must hold rows to join, got none")
    with whole_file(out) as file:
        reader = cache.reader(names, out.parent)
        reader.check(keys)
        rows = max(1, min(GROUP_ROWS, GROUP_BYTES // (4 * sum(reader.widths.values()) or 1)))
        pieces = _pieces(transfer.tables(kept), keys, rows)
        tables = (_with_signals(table, reader.rows(those), order, added) for table, those in pieces)
        with tqdm(desc="joining", total=len(keys), unit=" rows", unit_scale=True, disable=not progress) as bar:
            _write(file, tables, kept, bar)
    return Joined(len(keys), (*kept, *added), out.stat().st_size)


def _columns_of(signal: str, task: Task, classes: Sequence[str]) -> list[str]:
    if signal != "logits":
        return [signal]
    return [f"logit_{name}" for name in task.classes or classes] or ["teacher_score"]


def _check_names(kept: Sequence[str], added: Sequence[str]) -> None:
    twice = next((name for name in added if name in kept), None)
    if twice is not None:
        raise StillhouseError(
            f"join: each column must have a name of its own, got {twice!r} in the transfer set and of the teacher:"
            " rename the source's and augment again, or leave the signal out with --signals"
        )


def _pieces(tables: Iterable[pa.Table], keys: Keys, rows: int) -> Iterator[tuple[pa.Table, Keys]]:
    """The rows of a transfer set, so many at a time, with their keys."""
    first = 0
    for table in tables:
        for start in range(0, len(table), rows):
            piece = table.slice(start, rows)
            yield piece, keys[first : first + len(piece)]
            first += len(piece)


def _with_signals(
    table: pa.Table, signals: Mapping[str, Matrix], order: Sequence[int], names: Sequence[str]
) -> pa.Table:
    columns: list[pa.Array] = []
    for signal, matrix in signals.items():
        if signal == "logits":
            columns += [pa.array(np.ascontiguousarray(matrix[:, place])) for place in order]
        else:
            columns.append(to_column(matrix, "float32"))
    for name, column in zip(names, columns, strict=True):
        table = table.append_column(name, column)
    return table


def _write(file: BinaryIO, tables: Iterator[pa.Table], repeating: list[str], bar: tqdm) -> None:
    first = next(tables)
    # Numbers of the teacher's all differ: a dictionary of them would take time and save nothing.
    with pq.ParquetWriter(file, first.schema, compression="zstd", use_dictionary=repeating) as writer:
        for table in chain([first], tables):
            writer.write_table(table)
            bar.update(len(table))
