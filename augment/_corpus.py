"""The source as blocks that any worker can read, with what augmenters learn from it kept beside them."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from transferset import StillhouseError, Task
from transferset.files import write_file

from ._block import Block


@dataclass
class Corpus:
    """All rows of a source, in blocks.

    Attributes:
        task: what the columns are.
        fingerprint: hash of the rows; what was learned from other rows is not reused.
        blocks: the number of blocks.
        folder: where blocks and learned tables lie; None keeps both in memory.
        whole: phrases that count as one word.
        workers: processes for ``map_blocks``.
        progress: whether to draw progress bars.
    """

    task: Task
    fingerprint: str
    blocks: int
    folder: Path | None = None
    whole: tuple[str, ...] = ()
    workers: int = 1
    progress: bool = False
    _tables: dict[str, pa.Table] = field(default_factory=dict)

    @classmethod
    def in_memory(cls, texts: pa.Array, whole: tuple[str, ...] = ()) -> Corpus:
        """A corpus of one block that touches no disk."""
        corpus = cls(Task("text", ("text",)), "", 1, whole=whole)
        corpus._tables["block-000000"] = pa.table({"text": texts, "source": pa.array(range(len(texts)), pa.int64())})
        return corpus

    def rows(self, index: int) -> pa.Table:
        """The rows of a block: the task's columns, and ``source``."""
        return self._read(f"block-{index:06d}")

    def block(self, index: int) -> Block:
        """The texts of a block."""
        rows = self.rows(index)
        texts = rows[self.task.inputs[0]].combine_chunks()
        return Block(index, rows["source"][0].as_py() if len(rows) else 0, texts, self.whole)

    def learned(self, name: str, make: Callable[[], pa.Table]) -> pa.Table:
        """A table that an augmenter learns from the corpus: made once, then read, also after a restart."""
        file = f"learned-{name}-{self.fingerprint[:16]}"
        if self.folder is None:
            if file not in self._tables:
                self._tables[file] = make()
            return self._tables[file]
        path = self.folder / f"{file}.parquet"
        if not path.exists():
            sink = pa.BufferOutputStream()
            pq.write_table(make(), sink)
            write_file(path, memoryview(sink.getvalue()))
        return pq.read_table(path, use_threads=False, pre_buffer=False)

    def map_blocks(self, function: Callable[[Corpus, Block], pa.Table], doing: str) -> list[pa.Table]:
        """What ``function`` makes of each block, in order; with several workers it must be picklable."""
        bar = partial(tqdm, desc=doing, total=self.blocks, unit=" blocks", disable=not self.progress)
        task = partial(_on_block, self, function)
        if self.workers == 1 or self.blocks == 1 or self.folder is None:
            return [task(index) for index in bar(range(self.blocks))]
        context = multiprocessing.get_context("spawn")
        with worker_errors(), ProcessPoolExecutor(self.workers, context, ignore_interrupts) as pool:
            return list(bar(pool.map(task, range(self.blocks))))

    def _read(self, name: str) -> pa.Table:
        if self.folder is None:
            return self._tables[name]
        with pa.memory_map(str(self.folder / f"{name}.arrow")) as file:
            return pa.ipc.open_file(file).read_all()


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
