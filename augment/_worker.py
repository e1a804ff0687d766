"""What a worker does with a block: drafts its rows, waits to hear which are new, writes them as a part."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import Keys, Part, Store, content_keys, keys_to_arrow

from ._block import EDIT, Block, Draft, Step
from ._corpus import Corpus, ignore_interrupts
from ._render import render
from .recipe import Recipe

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Drafted:
    """The output rows of a block before duplicates are dropped, and which of them are originals."""

    table: pa.Table
    keys: Keys
    original: Flags
    unchanged: int


class Worker:
    """Drafts blocks, and finishes each when it is told which rows to keep."""

    def __init__(self, store: Store, corpus: Corpus, plan: Recipe, seed: int, keep_labels: bool) -> None:
        self.store, self.corpus, self.plan, self.seed, self.keep_labels = store, corpus, plan, seed, keep_labels
        self.steps = [step.fit(corpus) for step in plan.steps] if plan.copies else []
        self.waiting: dict[int, _Drafted] = {}

    def draft(self, index: int) -> tuple[Keys, Flags]:
        drafted = self._drafted(index)
        self.waiting[index] = drafted
        return drafted.keys, drafted.original

    def finish(self, index: int, keep: Flags) -> Part:
        drafted = self.waiting.pop(index)
        table = drafted.table.append_column("key", keys_to_arrow(drafted.keys))
        table = table.select([*self.corpus.task.columns, "source", "copy", "key", "edits"]).filter(pa.array(keep))
        originals = int(drafted.original.sum())
        notes = {
            "originals": originals,
            "augmented": len(table) - originals,
            "unchanged": drafted.unchanged,
            "duplicates": int((~keep).sum()),
            "edits": _count_edits(table),
        }
        return self.store.commit(table.combine_chunks(), notes, slot=index)

    def _drafted(self, index: int) -> _Drafted:
        rows = self.corpus.rows(index)
        count, task = len(rows), self.corpus.task
        table = rows.append_column("copy", pa.array(np.zeros(count, np.int32)))
        table = table.append_column("edits", pa.array([[]], pa.list_(EDIT)).take(pa.array(np.zeros(count, np.int64))))
        unchanged = 0
        if self.plan.copies:
            draft = draft_block(self.corpus.block(index), self.steps, self.plan.copies, self.seed)
            changed = np.flatnonzero(draft.changed())
            unchanged = len(draft.text) - len(changed)
            table = pa.concat_tables([table, self._copies(rows, draft, changed)])
            source = np.concatenate([np.arange(count), draft.text[changed]])
            table = table.take(pa.array(np.argsort(source, kind="stable")))
        original = table["copy"].to_numpy() == 0
        return _Drafted(table, content_keys(task, table), original, unchanged)

    def _copies(self, rows: pa.Table, draft: Draft, changed: npt.NDArray[np.int64]) -> pa.Table:
        task = self.corpus.task
        texts, edits = render(draft, changed)
        text = draft.text[changed]
        columns: dict[str, Any] = {task.inputs[0]: texts.cast(pa.string())}
        if task.label is not None:
            nothing = pa.nulls(len(changed), task.label_type)
            columns[task.label] = rows[task.label].take(pa.array(text)) if self.keep_labels else nothing
        columns["source"] = pa.array(draft.block.first_row + text)
        columns["copy"] = pa.array(draft.copy[changed])
        columns["edits"] = edits
        return pa.table(columns)


def draft_block(block: Block, steps: Sequence[Step], copies: int, seed: int) -> Draft:
    draft = Draft.of(block, copies, seed)
    for step in steps:
        step(draft)
    return draft


class InlineLine:
    """Does a block's work at once, in this process."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def draft(self, index: int) -> Future[tuple[Keys, Flags]]:
        return _done(self.worker.draft(index))

    def finish(self, index: int, keep: Flags) -> Future[Part]:
        return _done(self.worker.finish(index, keep))


class ProcessLine:
    """Sends a block's work to a process of its own: a block is finished by the worker that drafted it."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool

    def draft(self, index: int) -> Future[tuple[Keys, Flags]]:
        return self.pool.submit(_draft_here, index)

    def finish(self, index: int, keep: Flags) -> Future[Part]:
        return self.pool.submit(_finish_here, index, keep)


Line = InlineLine | ProcessLine


@contextlib.contextmanager
def lines_of(make: Callable[[], Worker], workers: int) -> Iterator[Sequence[Line]]:
    """One line for each worker; ``make`` must be picklable for more than one."""
    if workers == 1:
        yield [InlineLine(make())]
        return
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        pools = [ProcessPoolExecutor(1, context, _start_here, (make,)) for _ in range(workers)]
        yield [ProcessLine(stack.enter_context(pool)) for pool in pools]


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


#: The worker of a worker process.
_worker: Worker


def _start_here(make: Callable[[], Worker]) -> None:
    global _worker  # noqa: PLW0603 - what a worker process is for
    ignore_interrupts()
    _worker = make()


def _draft_here(index: int) -> tuple[Keys, Flags]:
    return _worker.draft(index)


def _finish_here(index: int, keep: Flags) -> Part:
    return _worker.finish(index, keep)


def _count_edits(table: pa.Table) -> dict[str, int]:
    rules = pc.list_flatten(table["edits"].combine_chunks()).field("rule")
    counts = pc.value_counts(rules).to_pylist()
    return {each["values"]: each["counts"] for each in sorted(counts, key=lambda each: str(each["values"]))}
