"""The processes that train the students of a sweep."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from transferset import StillhouseError
from transferset.cores import cores

from ._dataset import Dataset, open_dataset
from ._sealed import read_sealed, write_sealed
from .grid import Candidate


@dataclass(frozen=True)
class Record:
    """What became of one student of a sweep.

    Attributes:
        status: ``done``, ``stopped`` by successive halving, ``failed``; ``paused`` while halving is at work.
        history: what ``train`` notes of each epoch.
        rows: to train on.
        seconds: what training took.
        error: why it failed.
    """

    name: str
    options: Mapping[str, Any]
    status: str
    history: Sequence[Mapping[str, float]] = ()
    best_epoch: int = 0
    rows: int = 0
    seconds: float = 0.0
    error: str = ""


class Pool:
    """Processes that each train one student at a time; one that fails leaves the others alone.

    Of each candidate, by name: the folder of its data set, the rows that it trains on, and its epochs.
    """

    def __init__(
        self,
        out: Path,
        folders: Mapping[str, Path],
        rows: Mapping[str, int],
        epochs: Mapping[str, int],
        workers: int,
        progress: bool,
    ) -> None:
        self.out, self.folders, self.rows, self.epochs, self.progress = out, folders, rows, epochs, progress
        threads = max(1, cores() // workers)
        context = multiprocessing.get_context("spawn")
        self._seen = context.Value("q", 0)
        self._pool = ProcessPoolExecutor(workers, context, _begin, (threads, self._seen))

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            # Training takes minutes: nobody waits for it after an error or Ctrl-C, and checkpoints lose little.
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def train(self, chosen: Sequence[Candidate], until: Mapping[str, int] | None = None) -> list[Record]:
        """Trains students to the end, or for so many epochs in all; those that went so far before are not asked."""
        known = {each.name: self._known(each, until) for each in chosen}
        found = {name: record for name, record in known.items() if record is not None}
        self._seen.value = 0
        epochs = self.epochs if until is None else until
        # The longest first, so that no process is left with one at the end.
        waiting = [each for each in chosen if each.name not in found]
        waiting.sort(key=lambda each: -epochs[each.name] * self.rows[each.name])
        futures = {self._submit(each, None if until is None else until[each.name]): each.name for each in waiting}
        total = sum(epochs[each.name] * self.rows[each.name] for each in waiting)
        title = "training" if until is None else f"training to epoch {max(until.values())}"
        with tqdm(desc=title, total=total, unit=" rows", unit_scale=True, disable=not self.progress) as bar:
            while futures:
                done, _ = wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    name = futures.pop(future)
                    found[name] = self._result(future)
                    self._note(found[name])
                # Without its lock: a process that was killed may have had it.
                bar.update(self._seen.get_obj().value - bar.n)
                bar.set_postfix_str(f"{len(found)}/{len(chosen)} students")
        return [found[each.name] for each in chosen]

    def _submit(self, candidate: Candidate, until: int | None) -> Future[Record]:
        # A process is started here, and is to be deaf to Ctrl-C from its first moment: it inherits what is blocked.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(_train, candidate, self.folders[candidate.name], self.out / candidate.name, until)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _result(self, future: Future[Record]) -> Record:
        try:
            return future.result()
        except BrokenProcessPool:
            raise StillhouseError(
                f"{self.out}: a process that trains must not be killed, got one that was (out of memory?): run"
                " the same command again, with fewer --workers"
            ) from None

    def stop(self, record: Record) -> Record:
        """Notes that a student goes no further, and throws its checkpoint away."""
        stopped = replace(record, status="stopped")
        self._note(stopped)
        shutil.rmtree(self.out / record.name, ignore_errors=True)
        return stopped

    def _known(self, candidate: Candidate, until: Mapping[str, int] | None) -> Record | None:
        """What was noted of a student, if it went as far as is asked."""
        record = _read_record(self._file(candidate.name))
        if record is None:
            return None
        record = replace(record, options=candidate.options)
        if record.status == "done" and _is_there(self.out, record):
            return record
        went_so_far = until is not None and len(record.history) >= until[candidate.name]
        return record if record.status == "stopped" and went_so_far else None

    def _note(self, record: Record) -> None:
        if record.status in ("done", "stopped"):
            write_sealed(self._file(record.name), asdict(record))

    def _file(self, name: str) -> Path:
        return self.out / "_sweep" / f"{name}.json"


def noted(out: Path) -> list[Record]:
    """What is known of the students of all sweeps in a directory, by name."""
    records = (_read_record(file) for file in sorted((out / "_sweep").glob("*.json")))
    return [each for each in records if each is not None and (each.status == "stopped" or _is_there(out, each))]


def _read_record(file: Path) -> Record | None:
    try:
        return Record(**read_sealed(file))
    except (OSError, ValueError, TypeError):
        return None


def _is_there(out: Path, record: Record) -> bool:
    return (out / record.name / "config.json").exists()


#: In a process that trains: the rows that all of them have seen.
_seen: Any


def _tick(rows: int) -> None:
    with _seen.get_lock():
        _seen.value += rows


def _begin(threads: int, seen: Any) -> None:
    """What a process does first: it sees to it that it ends when the one does that started it."""
    global _seen  # noqa: PLW0603 - what the process counts in
    import torch

    _seen = seen
    # By default it is a semaphore of the system's, which a process that is terminated leaves behind.
    tqdm.set_lock(threading.RLock())
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


@lru_cache(2)
def _data(folder: Path) -> Dataset:
    return open_dataset(folder)


def _train(candidate: Candidate, folder: Path, out: Path, until: int | None) -> Record:
    from .trainer import already_done, claimed, describe_run, fit

    each = candidate
    try:
        data = _data(folder)
        with claimed(out):
            made_from = describe_run(data.made_from, each.architecture, each.objective, each.training, each.seed)
            _, metrics = already_done(out, made_from) or fit(
                data, each.architecture, each.objective, each.training, each.seed, out, until, tick=_tick
            )
    except StillhouseError as error:
        return Record(each.name, each.options, "failed", error=str(error))
    except (MemoryError, RuntimeError, OSError) as error:
        # Torch raises RuntimeError where memory is short; the others may be smaller.
        said = str(error).splitlines() or [""]
        return Record(each.name, each.options, "failed", error=f"{type(error).__name__}: {said[0]}")
    status = "done" if (out / "config.json").exists() else "paused"
    return Record(
        each.name,
        each.options,
        status,
        metrics["history"],
        metrics["best_epoch"],
        metrics["rows"],
        metrics["seconds"],
    )
