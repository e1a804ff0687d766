"""Reads a source once: checks every row, cuts it into blocks, and learns the classes and the originals' keys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm
from xxhash import xxh3_128

from transferset import KeySet, Source, StillhouseError, Task, content_keys, feature_types, read_rows
from transferset.tables import classes_in, learn_classes

#: A block is cut so that its output rows, originals and copies, stay below both.
PART_ROWS = 65_536
PART_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Ingested:
    """What the pass over the source found out."""

    task: Task
    fingerprint: str
    rows: int
    blocks: int
    keys: KeySet


def ingest(source: Source, task: Task, copies: int, folder: Path, progress: bool) -> Ingested:
    """Writes the rows of a source into ``folder`` as blocks; classes that it puts in an order keep it.

    Raises:
        StillhouseError: a bad row, named; no rows at all; no two classes.
    """
    if task.label is not None and not task.classes and task.target != "regression":
        task = replace(task, classes=source.classes(task.label))
    types = feature_types(source, task) if task.kind == "features" else None
    digest, label_digest, keys, classes = xxh3_128(), xxh3_128(), KeySet(), set[str]()
    rows = blocks = 0

    def watched() -> Iterator[pa.RecordBatch]:
        for batch in even(read_rows(source, task, types)):
            batch_keys = content_keys(task, batch)
            keys.add(batch_keys)
            digest.update(batch_keys.tobytes())
            classes.update(classes_in(batch, task))
            if task.label is not None:
                for each in batch.column(task.label).to_pylist():
                    label_digest.update(f"{json.dumps(each)}\n".encode())
            yield batch

    with tqdm(desc="reading", unit=" rows", unit_scale=True, disable=not progress) as bar:
        for table in cut(watched(), copies + 1):
            numbers = pa.array(range(rows, rows + len(table)), pa.int64())
            _write_block(folder / f"block-{blocks:06d}.arrow", table.append_column("source", numbers))
            blocks, rows = blocks + 1, rows + len(table)
            bar.update(len(table))
    if not rows:
        raise StillhouseError(f"{source.path}: must hold at least one row, got none")
    # Two digests, so that it does not matter where the batches were cut.
    fingerprint = digest.hexdigest() + label_digest.hexdigest()
    return Ingested(learn_classes(task, tuple(classes)), fingerprint, rows, blocks, keys)


def even(batches: Iterator[pa.RecordBatch], rows: int = 8192) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of one size, so that nothing depends on how the source was laid out."""
    waiting, held = list[pa.RecordBatch](), 0
    for batch in batches:
        start = 0
        while held + batch.num_rows - start >= rows:
            waiting.append(batch.slice(start, rows - held))
            start += rows - held
            yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()
            waiting, held = [], 0
        if start < batch.num_rows:
            waiting.append(batch.slice(start))
            held += batch.num_rows - start
    if waiting:
        yield from pa.Table.from_batches(waiting).combine_chunks().to_batches()


def cut(batches: Iterator[pa.RecordBatch], rows_each: int) -> Iterator[pa.Table]:
    """Tables whose rows times ``rows_each`` stay below the bounds; where they are cut depends on the rows alone."""
    most_rows = max(1, PART_ROWS // rows_each)
    most_bytes = PART_BYTES // rows_each
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        # Pieces small enough that one more never takes a block far past its bound in bytes.
        step = max(1, min(most_rows // 8, most_bytes // 8 * batch.num_rows // max(1, batch.nbytes)))
        for start in range(0, batch.num_rows, step):
            piece = batch.slice(start, step)
            rows, size = (
                sum(x) for x in zip(*((each.num_rows, each.nbytes) for each in [*waiting, piece]), strict=True)
            )
            if waiting and (rows > most_rows or size > most_bytes):
                yield pa.Table.from_batches(waiting)
                waiting = []
            waiting.append(piece)
    if waiting:
        yield pa.Table.from_batches(waiting)


def _write_block(path: Path, table: pa.Table) -> None:
    with pa.OSFile(os.fsencode(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())
