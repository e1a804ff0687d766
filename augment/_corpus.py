"""The source as blocks that any worker can read, with what augmenters learn from it kept beside them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from transferset import StillhouseError, Task
from transferset.files import write_file

from ._block import Block

#: Work that takes less than this is not worth the start of worker processes.
_START_SECONDS = 5.0


@dataclass
class Corpus:
    """All rows of a source, in blocks.

    Attributes:
        task: what the columns are.
        fingerprint: hash of the rows; what was learned from other rows is not reused.
        blocks: the number of blocks.
        folder: where blocks and learned tables lie; None keeps both in memory.
        whole: phrases that count as one word.
        protect: what no augmenter may touch.
        models: where what models said is kept from one run to the next; None keeps none.
        workers: processes for ``map_blocks``.
        progress: whether to draw progress bars.
    """

    task: Task
    fingerprint: str
    blocks: int
    folder: Path | None = None
    whole: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    models: Path | None = None
    workers: int = 1
    progress: bool = False
    _tables: dict[str, pa.Table] = field(default_factory=dict)

    @classmethod
    def in_memory(cls, task: Task, tables: Sequence[pa.Table], **how: Any) -> Corpus:
        """A corpus that touches no disk; each table, with the task's columns and ``source``, is a block."""
        corpus = cls(task, "", len(tables), **how)
        corpus._tables = {f"block-{index:06d}": table for index, table in enumerate(tables)}
        return corpus

    def rows(self, index: int) -> pa.Table:
        """The rows of a block: the task's columns, and ``source``."""
        return self._read(f"block-{index:06d}")

    def block(self, index: int) -> Block:
        """The texts of a block."""
        rows = self.rows(index)
        texts = [rows[name].combine_chunks() for name in self.task.inputs]
        flat = texts[0] if len(texts) == 1 else pa.concat_arrays(texts)
        return Block(index, first_row(rows), flat, len(texts), self.whole, self.protect)

    def table(self) -> pa.Table:
        """The input columns of all rows."""
        return pa.concat_tables([self.rows(index).select(self.task.inputs) for index in range(self.blocks)])

    def learned(self, name: str, make: Callable[[], pa.Table]) -> pa.Table:
        """A table that an augmenter learns from the corpus: made once, then read, also after a restart."""
        file = f"learned-{name}-{self.fingerprint[:16]}"
        if self.folder is None:
            if file not in self._tables:
                self._tables[file] = make()
            return self._tables[file]
        path = self.folder / f"{file}.arrow"
        if not path.exists():
            table, sink = make(), pa.BufferOutputStream()
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table.combine_chunks())
            write_file(path, memoryview(sink.getvalue()))
        return self._read(file)

    def map_blocks(self, function: Callable[[Corpus, Block], pa.Table], doing: str) -> list[pa.Table]:
        """What ``function`` makes of each block, in order; with several workers it must be picklable."""
        task = partial(_on_block, self, function)
        with tqdm(desc=doing, total=self.blocks, unit=" blocks", disable=not self.progress) as bar:
            started = time.monotonic()
            made = [task(0)]
            bar.update()
            seconds = (time.monotonic() - started) * (self.blocks - 1)
            if self.workers == 1 or self.folder is None or seconds < _START_SECONDS:
                made += bar_over(bar, map(task, range(1, self.blocks)))
                return made
            context = multiprocessing.get_context("spawn")
            with worker_errors(), ProcessPoolExecutor(self.workers, context, ignore_interrupts) as pool:
                made += bar_over(bar, pool.map(task, range(1, self.blocks)))
        return made

    def _read(self, name: str) -> pa.Table:
        if self.folder is None:
            return self._tables[name]
        with pa.memory_map(os.fsencode(self.folder / f"{name}.arrow")) as file:
            return pa.ipc.open_file(file).read_all()


def bar_over(bar: tqdm[Any], items: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The items, each counted by a progress bar."""
    for item in items:
        bar.update()
        yield item


def first_row(rows: pa.Table) -> int:
    """The source row of the first row of a block; 0 where it has none."""
    return int(rows["source"][0].as_py()) if len(rows) else 0


def ignore_interrupts() -> None:
    """For worker processes: an interrupt is for the calling process, which then ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class worker_errors:  # noqa: N801 - used like a function
    """Turns the death of a worker process into one line."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BrokenProcessPool):
            raise StillhouseError(
                "workers: each must live to the end, got one that died (out of memory?): what was committed is safe,"
                " run the same command again, with fewer --workers if need be"
            ) from None


def _on_block(corpus: Corpus, function: Callable[[Corpus, Block], pa.Table], index: int) -> pa.Table:
    return function(corpus, corpus.block(index))
