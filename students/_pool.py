"""The processes that train the students of a sweep."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from transferset import StillhouseError
from transferset.files import write_file

from ._dataset import Dataset, open_dataset
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
    """Processes that each train one student at a time; one that fails leaves the others alone."""

    def __init__(self, out: Path, folders: Mapping[str, Path], workers: int, progress: bool) -> None:
        self.out, self.folders, self.progress = out, folders, progress
        threads = max(1, (os.cpu_count() or 1) // workers)
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, context, _begin, (threads,))

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            # Training takes minutes: nobody waits for it after an error or Ctrl-C, and checkpoints lose little.
            for process in multiprocessing.active_children():
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def train(self, chosen: Sequence[Candidate], until: Mapping[str, int] | None = None) -> list[Record]:
        """Trains students to the end, or for so many epochs in all; those that went so far before are not asked."""
        known = {each.name: self._known(each, until) for each in chosen}
        waiting = [each for each in chosen if known[each.name] is None]
        futures = {
            self._pool.submit(
                _train, each, self.folders[each.name], self.out / each.name, None if until is None else until[each.name]
            ): each
            for each in waiting
        }
        found = {name: record for name, record in known.items() if record is not None}
        title = "training" if until is None else f"training to epoch {max(until.values())}"
        with tqdm(
            desc=title, total=len(chosen), initial=len(found), unit=" students", disable=not self.progress
        ) as bar:
            for future in as_completed(futures):
                name = futures[future].name
                try:
                    found[name] = future.result()
                except BrokenProcessPool:
                    raise StillhouseError(
                        f"{self.out}: a process that trains must not be killed, got one that was (out of memory?): run"
                        " the same command again, with fewer --workers"
                    ) from None
                self._note(found[name])
                bar.update()
                bar.set_postfix_str(_said(found[name]))
        return [found[each.name] for each in chosen]

    def stop(self, record: Record) -> Record:
        """Notes that a student goes no further, and throws its checkpoint away."""
        stopped = Record(**{**asdict(record), "status": "stopped"})
        self._note(stopped)
        shutil.rmtree(self.out / record.name, ignore_errors=True)
        return stopped

    def _known(self, candidate: Candidate, until: Mapping[str, int] | None) -> Record | None:
        """What was noted of a student, if it went as far as is asked."""
        try:
            record = Record(**json.loads(self._file(candidate.name).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        if record.status == "done" and (self.out / candidate.name / "config.json").exists():
            return record
        went_so_far = until is not None and len(record.history) >= until[candidate.name]
        return record if record.status == "stopped" and went_so_far else None

    def _note(self, record: Record) -> None:
        if record.status in ("done", "stopped"):
            write_file(self._file(record.name), json.dumps(asdict(record)).encode())

    def _file(self, name: str) -> Path:
        return self.out / "_sweep" / f"{name}.json"


def _said(record: Record) -> str:
    best = record.history[record.best_epoch - 1] if record.history else {}
    return f"{record.name} {record.status} " + " ".join(
        f"{name} {value:.3f}" for name, value in best.items() if name in ("loss", "dev_accuracy", "dev_pearson")
    )


def _begin(threads: int) -> None:
    """What a process does first: it leaves Ctrl-C to the one that started it, and ends when that one does."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
                data, each.architecture, each.objective, each.training, each.seed, out, until
            )
    except StillhouseError as error:
        return Record(each.name, each.options, "failed", error=str(error))
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
