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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm
from xxhash import xxh3_128_hexdigest

from transferset import KeySet, Part, Source, StillhouseError, Store, Task, keys_from_arrow
from transferset.files import claim_directory, directory_lock, writing
from transferset.parameters import check_whole
from transferset.transfer_set import KIND
from transferset.words import placeholders

from ._block import Places
from ._choose import Drafted, choose_new
from ._corpus import Corpus, worker_errors
from ._ingest import Ingested, ingest
from ._rows import Copies, all_copies
from ._worker import Line, Worker, lines_of
from .recipe import Augmenter, Recipe, as_recipe


def augment_file(
    source: Source,
    task: Task,
    out: Path | str,
    recipe: Recipe | str | Sequence[Augmenter] | None = None,
    copies: int | None = None,
    seed: int = 0,
    workers: int = 1,
    keep_labels: bool = False,
    exact: bool = False,
    candidates: Path | str | None = None,
    progress: bool = False,
) -> Store:
    """The transfer set of a source: every row, and up to ``copies`` augmented copies of each.

    Copies equal to an original or to an earlier copy are dropped. An interrupted call is continued by the same call.

    Args:
        recipe: ``tang2019`` for texts and ``munge`` for features where None.
        copies: the most copies of a row; the recipe's number where None.
        workers: processes; the output does not depend on it. A script that uses more than one needs the usual
            ``if __name__ == "__main__":`` guard.
        keep_labels: gives augmented rows the gold label of their source instead of null.
        exact: draws a dropped copy again, up to 20 times, so that rows have ``copies`` of them if they can.
        candidates: a directory for what language models and word vectors had to offer; a run that is given the one
            of another run asks them nothing twice. It is ``out/_candidates`` where None.

    Raises:
        StillhouseError: bad input; nothing is left behind. Or ``out`` holds something else.
    """
    plan = as_recipe(recipe if recipe is not None else default_recipe(task))
    copies = plan.copies_of(task.kind) if copies is None else copies
    check_request(plan, task, copies, seed, keep_labels)
    _check_workers(workers, plan)
    out = Path(out)
    existed = out.exists()
    claim_directory(out)
    with directory_lock(out, "exclusive"), _nothing_left_behind(out, existed):
        scratch = out / "_scratch"
        with writing(out):
            scratch.mkdir(exist_ok=True)
            found = ingest(source, task, copies, scratch, progress)
        corpus = Corpus(
            found.task,
            _cut_as(found, plan, copies),
            found.blocks,
            scratch,
            placeholders(plan.mask_token),
            plan.protect,
            Path(candidates) if candidates is not None else out / "_candidates",
            workers,
            progress,
        )
        with worker_errors(), lines_of(min(workers, found.blocks)) as lines:
            if copies and not (out / "_manifest" / "about.json").exists():
                _try_out(corpus, plan, seed)
            about = _about(found, plan, copies, seed, keep_labels, exact)
            store = Store.create(out, KIND, about, {"source": source.path.name})
            if store.missing_slots():
                for line in lines:
                    line.begin(partial(Worker, store, corpus, plan, copies, seed, keep_labels))
                _Writing(store, corpus, copies if exact else 0, found.keys).run(lines, found.rows)
        shutil.rmtree(scratch)
    return store


def _again(line: Line, index: int, row: Places, copy: Copies) -> Drafted:
    return line.more(index, row, copy).result()


def check_request(recipe: Recipe, task: Task, copies: int, seed: int, keep_labels: bool) -> None:
    """Raises StillhouseError unless a recipe can make so many copies of the rows of a task."""
    check_whole("copies", copies, 0)
    check_whole("seed", seed, 0)
    if copies:
        recipe.check_kind(task.kind)
    if keep_labels and task.label is None:
        raise StillhouseError("keep-labels: must be given a label column, got a task without")
    if keep_labels and task.target == "regression":
        raise StillhouseError("keep-labels: must not be used with regression, where an edit changes the score")


def default_recipe(task: Task) -> str:
    """What a task is augmented with when nothing is said."""
    return "munge" if task.kind == "features" else "tang2019"


def _try_out(corpus: Corpus, recipe: Recipe, seed: int) -> None:
    """Fits every step and runs it on no rows, so that a recipe that cannot work fails before anything is written."""
    recipe.fitted(corpus, 1, seed).draw_up(corpus, 0, *all_copies(0, 1))


@dataclass
class _Writing:
    """The parts of a transfer set on their way: which rows are new is decided here, in the order of the blocks.

    Attributes:
        exact: the copies that every row should get; 0 for as many as there happen to be.
        keys: those of all originals and of the copies so far.
    """

    store: Store
    corpus: Corpus
    exact: int
    keys: KeySet

    def run(self, lines: Sequence[Line], rows: int) -> None:
        done = {part.slot: part for part in self.store.parts()}
        workers = len(lines)
        bar = tqdm(desc="augmenting", total=rows, unit=" rows", unit_scale=True, disable=not self.corpus.progress)
        with bar:
            drafts: deque[Future[Drafted] | None] = deque()
            finished: deque[Future[Part]] = deque()
            ahead = 0
            for index in range(self.corpus.blocks):
                # Each worker drafts its next block while this one's keys are looked at.
                while ahead < self.corpus.blocks and len(drafts) < 2 * workers:
                    drafts.append(None if ahead in done else lines[ahead % workers].draft(ahead))
                    ahead += 1
                future = drafts.popleft()
                if future is None:
                    self._remember(done[index])
                else:
                    line = lines[index % workers]
                    more = partial(_again, line, index)
                    rows_here = len(self.corpus.rows(index))
                    keep = choose_new(self.keys, rows_here, self.exact, future.result(), more)
                    finished.append(line.finish(index, keep))
                bar.update(len(self.corpus.rows(index)))
                while finished and (finished[0].done() or len(finished) > 2 * workers):
                    finished.popleft().result()
            for last in finished:
                last.result()

    def _remember(self, part: Part) -> None:
        table = self.store.read(part, ["key", "copy"])
        self.keys.add(keys_from_arrow(table["key"])[table["copy"].to_numpy() > 0])


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
            # What a model was asked may have taken hours: it is kept for the next try.
            if not existed and not any((out / "_candidates").glob("*/part-*")):
                shutil.rmtree(out)
        raise


def _cut_as(found: Ingested, plan: Recipe, copies: int) -> str:
    """A hash of the rows, of how they are cut into blocks, and of what is one word: what learned tables depend on."""
    decides = (found.fingerprint, found.blocks, copies, placeholders(plan.mask_token), plan.protect)
    return xxh3_128_hexdigest(repr(decides).encode())


def _check_workers(workers: int, plan: Recipe) -> None:
    check_whole("workers", workers, 1)
    if workers > 1:
        try:
            pickle.dumps(plan)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise StillhouseError(
                f"workers: must be 1 for a recipe that cannot be sent to other processes, got {workers}: {error}"
            ) from None


def _about(found: Ingested, plan: Recipe, copies: int, seed: int, keep_labels: bool, exact: bool) -> dict[str, Any]:
    return {
        "task": found.task.to_json(),
        "recipe": plan.to_json(),
        "copies": copies,
        "exact": exact,
        "seed": seed,
        "keep_labels": keep_labels,
        "mask_token": plan.mask_token,
        "source": {"rows": found.rows, "fingerprint": found.fingerprint},
        "parts": found.blocks,
    }
