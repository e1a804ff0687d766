"""Runs a recipe over a source and writes the transfer set.

Each block of the source becomes one part. Workers draft blocks and hand over only the keys of the rows; the calling
process sees the blocks in order, says which rows are new, and the worker then writes the part. So the parts
are the same bytes whatever the number of workers, and after any restart.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm
from xxhash import xxh3_128_hexdigest

from transferset import Keys, Part, Source, StillhouseError, Store, Task, content_keys, keys_from_arrow, keys_to_arrow
from transferset.parameters import check_at_least
from transferset.store import claim_directory, directory_lock, writing
from transferset.transfer_set import KIND

from ._block import EDIT, Block, Draft, Step
from ._corpus import Corpus, worker_errors
from ._ingest import Ingested, ingest
from ._render import render
from .recipe import Augmenter, Recipe, as_recipe

Flags = npt.NDArray[np.bool_]


def augment_file(
    source: Source,
    task: Task,
    out: Path | str,
    recipe: Recipe | str | Sequence[Augmenter] = "tang2019",
    copies: int | None = None,
    seed: int = 0,
    workers: int = 1,
    keep_labels: bool = False,
    progress: bool = False,
) -> Store:
    """The transfer set of a source: every row, and up to ``copies`` augmented copies of each.

    Copies equal to an original or to an earlier copy are dropped. An interrupted call is continued by the same call.
    With 0 copies it is the originals alone, which is all there is for pairs and features so far.

    Args:
        copies: the most copies of a row; the recipe's number where None.
        workers: processes; the output does not depend on it. A script that uses more than one needs the usual
            ``if __name__ == "__main__":`` guard.
        keep_labels: gives augmented rows the gold label of their source instead of null.

    Raises:
        StillhouseError: bad input; nothing is left behind. Or ``out`` holds something else.
    """
    plan = as_recipe(recipe)
    plan = replace(plan, copies=plan.copies if copies is None else copies)
    _check_workers(workers, plan)
    if plan.copies and task.kind != "text":
        raise StillhouseError(
            f"recipe {plan.name}: must be given single texts, got a task of kind {task.kind!r}:"
            " with 0 copies the transfer set is the originals alone"
        )
    if keep_labels and task.target == "regression":
        raise StillhouseError("keep-labels: must not be used with regression, where an edit changes the score")
    out = Path(out)
    existed = out.exists()
    claim_directory(out)
    with directory_lock(out, "exclusive"), _nothing_left_behind(out, existed):
        scratch = out / "_scratch"
        with writing(out):
            scratch.mkdir(exist_ok=True)
            found = ingest(source, task, plan.copies, scratch, progress)
        corpus = Corpus(found.task, _cut_as(found, plan), found.blocks, scratch, _whole(plan), workers, progress)
        _try_out(corpus, plan, seed)
        store = Store.create(out, KIND, _about(found, plan, seed, keep_labels), {"source": source.path.name})
        _write_parts(store, corpus, plan, seed, found, keep_labels)
        shutil.rmtree(scratch)
    return store


def preview(
    texts: Sequence[str] | pa.Array, recipe: Recipe | str | Sequence[Augmenter], copies: int = 1, seed: int = 0
) -> list[str]:
    """Augmented copies of texts in memory, ``copies`` of each in turn, duplicates and all.

    >>> preview(["a fine film"], "tang2019", copies=0)
    []
    """
    plan = as_recipe(recipe)
    corpus = Corpus.in_memory(pa.array(texts, pa.string()), _whole(plan))
    draft = _draft(corpus.block(0), [step.fit(corpus) for step in plan.steps], copies, seed)
    edited: list[str] = render(draft, np.arange(len(draft.text)))[0].to_pylist()
    return edited


@dataclass(frozen=True)
class _Drafted:
    """The output rows of a block before duplicates are dropped, and which of them are originals."""

    table: pa.Table
    keys: Keys
    original: Flags
    unchanged: int


class _Worker:
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
            draft = _draft(self.corpus.block(index), self.steps, self.plan.copies, self.seed)
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


def _draft(block: Block, steps: Sequence[Step], copies: int, seed: int) -> Draft:
    draft = Draft.of(block, copies, seed)
    for step in steps:
        step(draft)
    return draft


def _try_out(corpus: Corpus, plan: Recipe, seed: int) -> None:
    """Fits every step and runs it on no rows, so that a recipe that cannot work fails before anything is written."""
    if plan.copies:
        _draft(corpus.block(0), [step.fit(corpus) for step in plan.steps], 0, seed)


def _write_parts(store: Store, corpus: Corpus, plan: Recipe, seed: int, found: Ingested, keep_labels: bool) -> None:
    done = {part.slot: part for part in store.parts()}
    workers = min(corpus.workers, max(1, len(store.missing_slots())))
    make = partial(_Worker, store, corpus, plan, seed, keep_labels)
    bar = tqdm(desc="augmenting", total=found.rows, unit=" rows", unit_scale=True, disable=not corpus.progress)
    with bar, worker_errors(), _lines(make, workers) as lines:
        drafts: deque[tuple[int, Future[tuple[Keys, Flags]] | None]] = deque()
        finished: deque[Future[Part]] = deque()
        ahead = 0
        for index in range(found.blocks):
            # Each worker drafts its next block while this one's keys are looked at.
            while ahead < found.blocks and len(drafts) < 2 * workers:
                line = lines[ahead % workers]
                drafts.append((ahead, None if ahead in done else line.submit(_draft_block, ahead)))
                ahead += 1
            _, future = drafts.popleft()
            if future is None:
                table = store.read(done[index], ["key", "copy"])
                found.keys.add(keys_from_arrow(table["key"])[table["copy"].to_numpy() > 0])
            else:
                keys, original = future.result()
                keep = original.copy()
                keep[~original] = found.keys.add(keys[~original])
                finished.append(lines[index % workers].submit(_finish_block, index, keep))
            bar.update(len(corpus.rows(index)))
            while finished and (finished[0].done() or len(finished) > 2 * workers):
                finished.popleft().result()
        for last in finished:
            last.result()


_worker: _Worker


def _start_worker(make: partial[_Worker]) -> None:
    global _worker  # noqa: PLW0603 - what a worker process is for
    _worker = make()


def _draft_block(index: int) -> tuple[Keys, Flags]:
    return _worker.draft(index)


def _finish_block(index: int, keep: Flags) -> Part:
    return _worker.finish(index, keep)


class _Inline(Executor):
    """Runs what it is given at once, in this process."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return future


@contextlib.contextmanager
def _lines(make: partial[_Worker], workers: int) -> Iterator[list[Executor]]:
    """One executor of one worker each: a block is finished by the worker that drafted it."""
    if workers == 1:
        _start_worker(make)
        yield [_Inline()]
        return
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(ProcessPoolExecutor(1, context, _start_worker, (make,))) for _ in range(workers)]


@contextlib.contextmanager
def _nothing_left_behind(out: Path, existed: bool) -> Iterator[None]:
    """After an input error takes away what was made of a directory that holds no transfer set, or a whole one."""
    try:
        yield
    except StillhouseError:
        begun = (out / "_manifest" / "about.json").exists()
        if not begun or not Store.open(out).missing_slots():
            shutil.rmtree(out / "_scratch", ignore_errors=True)
        if not begun:
            shutil.rmtree(out / "_manifest", ignore_errors=True)
            if not existed:
                out.rmdir()
        raise


def _cut_as(found: Ingested, plan: Recipe) -> str:
    """A hash of the rows, of how they are cut into blocks, and of what is one word: what learned tables depend on."""
    return xxh3_128_hexdigest(repr((found.fingerprint, found.blocks, plan.copies, _whole(plan))).encode())


def _check_workers(workers: int, plan: Recipe) -> None:
    check_at_least("workers", workers, 1)
    if workers > 1:
        try:
            pickle.dumps(plan)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise StillhouseError(
                f"workers: must be 1 for a recipe that cannot be sent to other processes, got {workers}: {error}"
            ) from None


def _whole(plan: Recipe) -> tuple[str, ...]:
    return (plan.mask_token,) if plan.mask_token is not None else ()


def _about(found: Ingested, plan: Recipe, seed: int, keep_labels: bool) -> dict[str, Any]:
    return {
        "task": found.task.to_json(),
        "recipe": plan.to_json(),
        "copies": plan.copies,
        "seed": seed,
        "keep_labels": keep_labels,
        "mask_token": plan.mask_token,
        "source": {"rows": found.rows, "fingerprint": found.fingerprint},
        "parts": found.blocks,
    }


def _count_edits(table: pa.Table) -> dict[str, int]:
    rules = pc.list_flatten(table["edits"].combine_chunks()).field("rule")
    counts = pc.value_counts(rules).to_pylist()
    return {each["values"]: each["counts"] for each in sorted(counts, key=lambda each: str(each["values"]))}
