"""Runs a recipe over a source and writes the transfer set.

Each block of the source becomes one part. Workers draft blocks and hand over only the keys of the rows; the calling
process sees the blocks in order, says which rows are new, and the worker then writes the part. So the parts
are the same bytes whatever the number of workers, and after any restart.
"""

from __future__ import annotations

import contextlib
import pickle
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm
from xxhash import xxh3_128_hexdigest

from transferset import Keys, Part, Source, StillhouseError, Store, Task, keys_from_arrow
from transferset.files import claim_directory, directory_lock, writing
from transferset.parameters import check_at_least
from transferset.transfer_set import KIND

from ._corpus import Corpus, worker_errors
from ._ingest import Ingested, ingest
from ._render import render
from ._worker import Flags, Worker, draft_block, lines_of
from .recipe import Augmenter, Recipe, as_recipe


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
    check_at_least("seed", seed, 0)
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
        if not (out / "_manifest" / "about.json").exists():
            _try_out(corpus, plan, seed)
        store = Store.create(out, KIND, _about(found, plan, seed, keep_labels), {"source": source.path.name})
        if store.missing_slots():
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
    draft = draft_block(corpus.block(0), [step.fit(corpus) for step in plan.steps], copies, seed)
    edited: list[str] = render(draft, np.arange(len(draft.text)))[0].to_pylist()
    return edited


def _try_out(corpus: Corpus, plan: Recipe, seed: int) -> None:
    """Fits every step and runs it on no rows, so that a recipe that cannot work fails before anything is written."""
    if plan.copies:
        draft_block(corpus.block(0), [step.fit(corpus) for step in plan.steps], 0, seed)


def _write_parts(store: Store, corpus: Corpus, plan: Recipe, seed: int, found: Ingested, keep_labels: bool) -> None:
    done = {part.slot: part for part in store.parts()}
    workers = min(corpus.workers, max(1, len(store.missing_slots())))
    make = partial(Worker, store, corpus, plan, seed, keep_labels)
    bar = tqdm(desc="augmenting", total=found.rows, unit=" rows", unit_scale=True, disable=not corpus.progress)
    with bar, worker_errors(), lines_of(make, workers) as lines:
        drafts: deque[tuple[int, Future[tuple[Keys, Flags]] | None]] = deque()
        finished: deque[Future[Part]] = deque()
        ahead = 0
        for index in range(found.blocks):
            # Each worker drafts its next block while this one's keys are looked at.
            while ahead < found.blocks and len(drafts) < 2 * workers:
                line = lines[ahead % workers]
                drafts.append((ahead, None if ahead in done else line.draft(ahead)))
                ahead += 1
            _, future = drafts.popleft()
            if future is None:
                table = store.read(done[index], ["key", "copy"])
                found.keys.add(keys_from_arrow(table["key"])[table["copy"].to_numpy() > 0])
            else:
                keys, original = future.result()
                keep = original.copy()
                keep[~original] = found.keys.add(keys[~original])
                finished.append(lines[index % workers].finish(index, keep))
            bar.update(len(corpus.rows(index)))
            while finished and (finished[0].done() or len(finished) > 2 * workers):
                finished.popleft().result()
        for last in finished:
            last.result()


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
