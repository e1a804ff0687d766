"""A teacher that remembers what it was asked, transfer sets for it, and caches compared to the bit."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from zlib import crc32

import numpy as np
import pyarrow as pa

from augment import augment_file
from label.teacher import Answers, Description, Request, Signal
from transferset import LogitCache, Source, Task, TransferSet, sort_keys

TASK = Task("text", ("text",), "label", classes=("neg", "pos"))
#: 40 different texts of 1 to 7 words.
TEXTS = [" ".join(f"w{n}" for n in range(first, first + (3, 1, 7, 2, 5)[first % 5])) for first in range(40)]


@dataclass(frozen=True)
class Counting:
    """Its numbers depend in their last digits on the rows asked about together, so that other chunks show.

    Attributes:
        fail_at: the call, from 1, at which it fails.
        answers: logits of its own for some texts.
        classes: in its order; by default the task's.
        log: a file to which each text is added that it is asked about, for several processes.
        seconds: how long a call takes.
        seen: each text that it was asked about; ``calls``, those of each call.
    """

    gives: ClassVar[tuple[Signal, ...]] = ("logits", "embedding")

    name: str = "counting"
    chunk_bytes: int | None = 40
    chunk_rows: int = 1000
    workers: int = 1
    fail_at: int = 0
    answers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    scale: float = 1.0
    log: str = ""
    seconds: float = 0.0
    seen: list[str] = field(default_factory=list, compare=False, repr=False)
    calls: list[list[str]] = field(default_factory=list, compare=False, repr=False)

    def load(self, request: Request) -> LoadedCounting:
        return LoadedCounting(self, request)


class LoadedCounting:
    def __init__(self, teacher: Counting, request: Request) -> None:
        self._teacher, self._lock = teacher, threading.Lock()
        is_score = request.task.target == "regression"
        classes = () if is_score or "logits" not in request.signals else teacher.classes or request.task.classes
        widths = {"logits": len(classes) or 1, "embedding": 5}
        self.description = Description(
            {"teacher": teacher.name, "max_length": 512, "dtype": "float32", **teacher.settings},
            classes,
            {name: widths[name] for name in request.signals},
            chunk_rows=teacher.chunk_rows,
            chunk_bytes=teacher.chunk_bytes,
            workers=teacher.workers,
        )

    def answer(self, rows: pa.Table) -> Answers:
        teacher = self._teacher
        texts = ["\t".join(map(str, cells)) for cells in zip(*(each.to_pylist() for each in rows.columns), strict=True)]
        with self._lock:
            teacher.calls.append(texts)
            teacher.seen.extend(texts)
            call = len(teacher.calls)
        if teacher.log:
            with open(teacher.log, "a") as file:
                file.write("".join(f"{text}\n" for text in texts))
        time.sleep(teacher.seconds)
        if call == teacher.fail_at:
            raise ConnectionError("the teacher is gone")
        sums = np.array([crc32(text.encode()) for text in texts], np.float64)
        signals = {}
        for name, width in self.description.widths.items():
            numbers = np.sin(sums[:, None] / np.arange(7, 7 + width)) + 1e-4 * len(texts)
            numbers += 1e-5 * np.arange(len(texts))[:, None]
            signals[name] = (teacher.scale * numbers).astype(np.float32)
        for place, text in enumerate(texts):
            if text in teacher.answers:
                signals["logits"][place] = teacher.answers[text]
        return Answers(signals, sum(len(text) > 25 for text in texts))

    def kept(self) -> Mapping[str, bytes]:
        return {"tokenizer.json": b"{}", "notes.txt": b"kept"}


def transfer_set(folder: Path, texts, recipe="tang2019", copies=0, seed=0, task=TASK, scores=None) -> TransferSet:
    """The transfer set of some texts, by default the texts themselves alone."""
    folder.mkdir(parents=True, exist_ok=True)
    gold = scores or [("neg", "pos")[n % 2] for n in range(len(texts))]
    rows = [json.dumps({"text": text, "label": each}) for text, each in zip(texts, gold, strict=True)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    augment_file(Source(folder / "rows.jsonl"), task, folder / "T", recipe, copies, seed)
    return TransferSet.open(folder / "T")


def texts_in(transfer: TransferSet) -> list[str]:
    return [text for table in transfer.tables(["text"]) for text in table["text"].to_pylist()]


def by_key(path: Path, signal="logits"):
    """Keys and numbers in order of the keys."""
    cache = LogitCache.open(path)
    keys = cache.keys()
    order = sort_keys(keys)
    return keys[order], cache.signal(signal, keys[order])


def assert_same_cache(one: Path, other: Path, signal="logits") -> None:
    for a, b in zip(by_key(one, signal), by_key(other, signal), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_whole(path: Path, rows: int) -> None:
    """So many rows, no key twice, nothing damaged."""
    cache = LogitCache.open(path)
    assert len(cache.keys()) == len(np.unique(cache.keys(), axis=0)) == rows
    assert cache.verify() == []


def environment(root: Path) -> dict[str, str]:
    """For a process that imports the project and its tests."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")]), "OMP_NUM_THREADS": "1"}
