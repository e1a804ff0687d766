"""Trains a student on a transfer set and a logit cache; the teacher is not needed.

A checkpoint is written every two minutes and after each epoch: a run that was interrupted goes on where it was and
finds the same weights as one that was not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferset import Ensemble, LogitCache, Source, StillhouseError, Task, TransferSet
from transferset.files import file_lock
from transferset.parameters import check_at_least, describe

from ._config import Config
from ._dataset import Dataset, Examples, describe_sources, prepare, rows_to_train
from ._run import Run
from ._vectors import starting_table
from .encoding import Rows
from .metrics import agreement, main_metric, scores
from .objectives import Objective
from .reading import Reading
from .student import Architecture, Student, architecture_name
from .training import Training

OWN_FILES = (
    "model.safetensors",
    "vocabulary.json",
    "tokenizer.json",
    "features.json",
    "metrics.json",
    "config.json",
    "README.md",
    "_checkpoint",
)


def train(
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    architecture: Architecture,
    objective: Objective,
    out: Path | str,
    training: Training | None = None,
    reading: Reading | None = None,
    seed: int = 0,
    dev: Source | None = None,
    dev_label: str | None = None,
    progress: bool = False,
) -> tuple[Student, dict[str, Any]]:
    """A student, saved in ``out``, and its metrics: the loss of each epoch, and the dev metrics where rows are watched.

    With ``dev``, or where ``training`` holds rows out, the weights of the best epoch are kept; without, the last.

    Raises:
        StillhouseError: a cache without some of the rows, a dev file that does not fit, a student or an objective
            that is not for the task, a loss that is not finite; ``out`` holds something else.
    """
    training, reading, out = training or Training(), reading or Reading(), Path(out)
    check_at_least("seed", seed, 0)
    check_fit(architecture, objective, transfer.task)
    sources = describe_sources(transfer, cache, reading, objective.signal, dev, dev_label)
    made_from = describe_run(sources, architecture, objective, training, seed)
    with claimed(out):
        done = already_done(out, made_from)
        if done is not None:
            return done
        folder = out / "_checkpoint"
        try:
            data = prepare(
                folder / "data", transfer, cache, reading, objective.signal, dev, dev_label, progress=progress
            )
            trained = fit(data, architecture, objective, training, seed, out, progress=progress)
        except StillhouseError:
            _leave_nothing(out)
            raise
    return trained


def fit(
    data: Dataset,
    architecture: Architecture,
    objective: Objective,
    training: Training,
    seed: int,
    out: Path,
    until: int | None = None,
    progress: bool = False,
) -> tuple[Student, dict[str, Any]]:
    """A student trained on a data set, from its last checkpoint in ``out`` if there is one.

    With ``until`` it pauses after so many epochs: its checkpoint stays, and no student is saved yet.
    """
    made_from = describe_run(data.made_from, architecture, objective, training, seed)
    judge = _Judge(data, objective, training, seed)
    student = _start(data, architecture, seed, made_from)
    run = Run(student.model, training, objective, seed, data.train, judge.rows_left(data, objective, training))
    folder = out / "_checkpoint"
    run.resume(folder, made_from)
    while not run.is_over() and run.epoch < (until or training.epochs):
        run.train_epoch(progress, folder, made_from)
        run.note(judge.measure(student), judge.metric, judge.lower)
        run.checkpoint(folder, made_from)
    metrics = {"history": run.history, "best_epoch": run.best_epoch}
    if run.is_over():
        student.model.load_state_dict(run.best)
        student.save(out, metrics)
    return student, metrics


def check_fit(architecture: Architecture, objective: Objective, task: Task) -> None:
    """Raises StillhouseError where a student does not read the task's inputs, or an objective not its target."""
    name, loss = architecture_name(architecture), type(objective).__module__.rpartition(".")[2]
    if task.kind not in architecture.kinds:
        raise StillhouseError(f"student {name}: must be given {' or '.join(architecture.kinds)}, got {task.kind!r}")
    if task.target not in objective.targets:
        raise StillhouseError(f"loss {loss}: must be given {' or '.join(objective.targets)}, got {task.target}")
    if task.label is None and (objective.needs_gold or getattr(objective, "alpha", 0.0) > 0):
        raise StillhouseError(f"loss {loss}: must have gold labels, got a transfer set without a label column")
    if objective.signal == "embedding" and task.kind == "pair":
        raise StillhouseError(f"loss {loss}: must be given single texts or features, got pairs")


def describe_run(
    sources: Mapping[str, Any], architecture: Architecture, objective: Objective, training: Training, seed: int
) -> dict[str, Any]:
    """What a student is made from, as plain values; the same values mean the same weights."""
    return {
        **sources,
        "student": {architecture_name(architecture): describe(architecture)},
        "objective": {type(objective).__module__.rpartition(".")[2]: describe(objective)},
        "training": asdict(training),
        "seed": seed,
        "torch": torch.__version__,
    }


def _start(data: Dataset, architecture: Architecture, seed: int, made_from: Mapping[str, Any]) -> Student:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = architecture.build(data.encoding, data.task, data.width)
    table: Any = getattr(model, "vectors", None)
    if table is not None:
        words, width = table.weight.shape
        with torch.no_grad():
            table.weight.copy_(torch.from_numpy(starting_table(words, data.known, data.vectors, width, seed)))
    name, sizes = architecture_name(architecture), describe(architecture)
    return Student(Config(data.task, data.encoding, name, sizes, data.signal, data.width, made_from), model)


class _Judge:
    """Measures a student on the dev file, or on rows that were held out of the transfer set."""

    def __init__(self, data: Dataset, objective: Objective, training: Training, seed: int) -> None:
        self.objective, self.task, self.signal = objective, data.task, data.signal
        self.held = _held_out(data, training.holdout, seed)
        self.examples: Examples | None = data.dev
        self.rows: Rows = np.arange(len(data.dev.inputs)) if data.dev is not None else np.zeros(0, np.int64)
        if data.dev is None and training.holdout:
            self.examples, self.rows = data.train, np.flatnonzero(self.held & (data.copy == 0))
            if not len(self.rows):
                raise StillhouseError("train: holdout must hold out a row, got none: give a larger share")
        self.metric = f"dev_{training.monitor}" if training.monitor else self._metric()
        self.lower = self.metric == "dev_loss"
        self._check(training)

    def measure(self, student: Student) -> dict[str, float]:
        """The metrics that there are labels or a teacher for."""
        if self.examples is None:
            return {}
        outputs = student.run(self.examples.inputs, self.rows)
        found: dict[str, float] = {}
        teacher, gold, has_gold = self.examples.targets(self.rows)
        if self.examples.teacher is not None or self.objective.needs_gold:
            found["dev_loss"] = float(self.objective.loss(torch.from_numpy(outputs), teacher, gold, has_gold))
        if self.signal == "embedding":
            found["dev_cosine"] = float(torch.cosine_similarity(torch.from_numpy(outputs), teacher).mean())
            return found
        if has_gold.any():
            there = has_gold.numpy()
            measured = scores(outputs[there], gold.numpy()[there], self.task)
            found |= {f"dev_{name}": value for name, value in measured.items()}
        if self.examples.teacher is not None:
            found["dev_agreement"] = agreement(outputs, teacher.numpy(), self.task)
        return found

    def rows_left(self, data: Dataset, objective: Objective, training: Training) -> Rows:
        """The rows to train on: those asked for, but none whose source row is watched."""
        rows = rows_to_train(data, objective.needs_gold, training.copies, training.augmenters)
        left = rows if data.dev is not None else rows[~self.held[rows]]
        if not len(left):
            raise StillhouseError("train: holdout must leave rows to train on, got none")
        return left

    def _metric(self) -> str:
        if self.signal == "embedding":
            return "dev_cosine"
        has_gold = self.examples is not None and self.examples.has_gold[self.rows].any()
        return f"dev_{main_metric(self.task)}" if has_gold else "dev_agreement"

    def _check(self, training: Training) -> None:
        """A metric that will not be there is said now, and not after an epoch."""
        if self.examples is None:
            if training.patience is not None or training.monitor:
                raise StillhouseError(
                    "train: patience and monitor must have rows to watch, got none: give --dev FILE or --holdout SHARE"
                )
            return
        known = set()
        if self.examples.teacher is not None or self.objective.needs_gold:
            known.add("dev_loss")
        if self.signal == "embedding":
            known.add("dev_cosine")
        else:
            if self.examples.has_gold[self.rows].any():
                few = self.rows[self.examples.has_gold[self.rows]][:1]
                gold = self.examples.gold[few]
                known |= {f"dev_{name}" for name in scores(np.zeros((1, self.task.outputs), np.float32), gold, self.task)}
            if self.examples.teacher is not None:
                known.add("dev_agreement")
        if self.metric not in known:
            names = ", ".join(sorted(name.removeprefix("dev_") for name in known))
            raise StillhouseError(
                f"train: monitor must be one of {names}, got {self.metric.removeprefix('dev_')!r}"
                + (
                    ": for agreement and loss the cache must have the dev file's rows, label them too"
                    if self.examples.teacher is None
                    else ""
                )
            )


def _held_out(data: Dataset, share: float, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(N,) the rows of a share of the sources, so that no copy of a watched row is trained on."""
    if not share or data.dev is not None:
        return np.zeros(len(data.source), np.bool_)
    sources = int(data.source.max(initial=-1)) + 1
    return (np.random.default_rng((seed, 1)).random(sources) < share)[data.source]


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """The directory of a student for this process alone.

    Raises:
        StillhouseError: it is a file, holds something else, or another process is at work in it.
    """
    if out.exists() and not out.is_dir():
        raise StillhouseError(f"{out}: must be a directory, got a file")
    foreign = [each.name for each in sorted(out.iterdir()) if each.name not in OWN_FILES] if out.is_dir() else []
    if foreign:
        raise StillhouseError(f"{out}: must be empty or a student's directory, got {foreign[0]!r} in it")
    with file_lock(out / "_checkpoint" / "lock", "exclusive"):
        yield


def already_done(out: Path, made_from: Mapping[str, Any]) -> tuple[Student, dict[str, Any]] | None:
    """The student in a directory and its metrics, if the same run has made it; raises where another has."""
    if not (out / "config.json").exists():
        return None
    # What is left of the run that made it, or of this one's asking, is no checkpoint.
    shutil.rmtree(out / "_checkpoint", ignore_errors=True)
    student = Student.load(out)
    if student.config.made_from != json.loads(json.dumps(made_from)):
        raise StillhouseError(
            f"{out}: must be empty or the same training run, got another student: use another --out or --force"
        )
    return student, json.loads((out / "metrics.json").read_bytes())


def _leave_nothing(out: Path) -> None:
    """After an input error takes away a directory that no epoch has been written to."""
    if not (out / "_checkpoint" / "state.json").exists():
        shutil.rmtree(out / "_checkpoint")
        if not any(out.iterdir()):
            out.rmdir()
