"""What a worker does with a block: drafts its rows, waits to hear which are new, writes them as a part."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transferset import Keys, Part, Store, content_keys, keys_to_arrow

from ._block import Flags, Places
from ._choose import Drafted
from ._corpus import Corpus, first_row, ignore_interrupts
from ._rows import Copies, all_copies, in_order, originals
from .recipe import Recipe


class Worker:
    """Drafts copies of a block's rows, once or several times, and finishes the block with those it is told to keep."""

    def __init__(self, store: Store, corpus: Corpus, recipe: Recipe, copies: int, seed: int, keep_labels: bool) -> None:
        self.store, self.corpus, self.copies = store, corpus, copies
        self.plan = recipe.fitted(corpus, copies, seed, keep_labels)
        self.waiting: dict[int, list[tuple[pa.Table, Keys]]] = {}
        self.drawn: dict[int, int] = {}

    def draft(self, index: int) -> Drafted:
        """All copies of all rows."""
        return self.more(index, *all_copies(len(self.corpus.rows(index)), self.copies))

    def more(self, index: int, row: Places, copy: Copies) -> Drafted:
        """Certain copies of certain rows."""
        table = self.plan.draw_up(self.corpus, index, row, copy)
        keys = content_keys(self.corpus.task, table)
        self.waiting.setdefault(index, []).append((table, keys))
        self.drawn[index] = self.drawn.get(index, 0) + len(row)
        return keys, table["source"].to_numpy() - first_row(self.corpus.rows(index))

    def finish(self, index: int, keep: Flags) -> Part:
        """Commits the originals and the copies to keep, flagged in the order in which they were drafted."""
        own = originals(self.corpus, index)
        drafts = self.waiting.pop(index)
        table, chosen = in_order(own, [each for each, _ in drafts], keep)
        keys = np.concatenate([content_keys(self.corpus.task, own), *(each for _, each in drafts)])
        table = table.append_column("key", keys_to_arrow(keys)).take(pa.array(chosen))
        table = table.select([*self.corpus.task.columns, "source", "copy", "key", "edits"])
        notes = {
            "originals": len(own),
            "augmented": len(table) - len(own),
            "unchanged": self.drawn.pop(index) - len(keep),
            "duplicates": int((~keep).sum()),
            "incomplete": int((np.unique(table["source"], return_counts=True)[1] <= self.copies).sum()),
            "edits": _count_edits(table),
        }
        return self.store.commit(table.combine_chunks(), notes, slot=index)


class InlineLine:
    """Does a block's work at once, in this process."""

    worker: Worker

    def begin(self, make: Callable[[], Worker]) -> None:
        self.worker = make()

    def draft(self, index: int) -> Future[Drafted]:
        return _done(self.worker.draft(index))

    def more(self, index: int, row: Places, copy: Copies) -> Future[Drafted]:
        return _done(self.worker.more(index, row, copy))

    def finish(self, index: int, keep: Flags) -> Future[Part]:
        return _done(self.worker.finish(index, keep))


class ProcessLine:
    """Sends a block's work to a process of its own: a block is finished by the worker that drafted it."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool
        # The process starts, and imports what it needs, while the calling one learns from the corpus.
        pool.submit(ignore_interrupts)

    def begin(self, make: Callable[[], Worker]) -> None:
        self.pool.submit(_begin_here, make).result()

    def draft(self, index: int) -> Future[Drafted]:
        return self.pool.submit(_draft_here, index)

    def more(self, index: int, row: Places, copy: Copies) -> Future[Drafted]:
        return self.pool.submit(_more_here, index, row, copy)

    def finish(self, index: int, keep: Flags) -> Future[Part]:
        return self.pool.submit(_finish_here, index, keep)


Line = InlineLine | ProcessLine


@contextlib.contextmanager
def lines_of(workers: int) -> Iterator[Sequence[Line]]:
    """One line for each worker; what they begin with must be picklable for more than one."""
    if workers == 1:
        yield [InlineLine()]
        return
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        pools = [ProcessPoolExecutor(1, context, ignore_interrupts) for _ in range(workers)]
        yield [ProcessLine(stack.enter_context(pool)) for pool in pools]


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


#: The worker of a worker process.
_worker: Worker


def _begin_here(make: Callable[[], Worker]) -> None:
    global _worker  # noqa: PLW0603 - what a worker process is for
    _worker = make()


def _draft_here(index: int) -> Drafted:
    return _worker.draft(index)


def _more_here(index: int, row: Places, copy: Copies) -> Drafted:
    return _worker.more(index, row, copy)


def _finish_here(index: int, keep: Flags) -> Part:
    return _worker.finish(index, keep)


def _count_edits(table: pa.Table) -> dict[str, int]:
    rules = pc.list_flatten(table["edits"].combine_chunks()).field("rule")
    counts = pc.value_counts(rules).to_pylist()
    return {each["values"]: each["counts"] for each in sorted(counts, key=lambda each: str(each["values"]))}
