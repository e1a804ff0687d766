"""Trains a student on a transfer set and a logit cache; the teacher is not needed.

The batches of an epoch are a function of the seed and the epoch, and a checkpoint is written after each: a run that
was interrupted goes on where the last epoch ended and finds the same weights.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from xxhash import xxh3_128

from transferset import Ensemble, Keys, LogitCache, Source, StillhouseError, Task, TransferSet, keys_from_arrow
from transferset.files import file_lock
from transferset.parameters import check_at_least, describe

from ._gold import Targets, gold_targets
from ._run import Data, Run, Training
from ._vectors import starting_vectors, teacher_words
from ._vocabulary import Tokens, Vocabulary, learn_vocabulary
from .evaluate import read_labelled
from .metrics import main_metric, scores
from .objectives import Objective
from .student import Architecture, Student, architecture_name


def train(
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    architecture: Architecture,
    objective: Objective,
    out: Path | str,
    training: Training | None = None,
    seed: int = 0,
    dev: Source | None = None,
    dev_label: str | None = None,
    progress: bool = False,
) -> tuple[Student, dict[str, Any]]:
    """A student, saved in ``out``, and its metrics: the loss of each epoch, and the dev metrics where there is a file.

    With ``dev`` the weights of the best epoch are kept, by accuracy (regression: Pearson); without, the last.

    Raises:
        StillhouseError: a cache without some of the rows, a dev file that does not fit, a loss that is not
            finite; ``out`` holds something else.
    """
    training, out = training or Training(), Path(out)
    if transfer.task.kind != "text":
        raise StillhouseError(
            f"student {architecture_name(architecture)}: must be given single texts, got {transfer.task.kind!r}"
        )
    check_at_least("seed", seed, 0)
    made_from = _made_from(transfer, cache, architecture, objective, training, seed, dev, dev_label)
    _check_place(out)
    with file_lock(out / "_checkpoint" / "lock", "exclusive"):
        done = _already_done(out, made_from)
        if done is not None:
            return done
        try:
            data = _read(transfer, cache, objective, training)
            student = _start(transfer, cache, architecture, training, data.vocabulary, seed, made_from)
            judge = _Judge(student, dev, dev_label)
        except StillhouseError:
            _leave_nothing(out)
            raise
        run = Run(student.model, training, objective, seed, data)
        run.resume(out / "_checkpoint", made_from)
        while run.epoch < training.epochs:
            run.train_epoch(progress)
            run.note(judge.measure(), f"dev_{main_metric(student.task)}")
            run.checkpoint(out / "_checkpoint", made_from)
        student.model.load_state_dict(run.best)
        metrics = {"history": run.history, "best_epoch": run.best_epoch}
        student.save(out, metrics)
    return student, metrics


def _read(transfer: TransferSet, cache: LogitCache | Ensemble, objective: Objective, training: Training) -> Data:
    task = _task(transfer, cache)
    label = [task.label] if task.label is not None else []
    if objective.needs_gold and not label:
        raise StillhouseError("train: the objective must have gold labels, got a transfer set without a label column")

    def tables(columns: Sequence[str]) -> Iterator[pa.Table]:
        for table in transfer.tables([*columns, *label]):
            yield table.filter(table[task.label].is_valid()) if objective.needs_gold else table

    # Words that only the teacher knows keep its vector: few labelled texts leave most words of new texts unseen.
    more = teacher_words(cache.teacher_folder, training.lowercase) if training.vectors == "teacher" else ()
    texts = (table[task.inputs[0]] for table in tables(task.inputs))
    vocabulary = learn_vocabulary(texts, transfer.mask_token, training.lowercase, training.most_words, more)
    # A second pass, so that of all texts only their numbers are held.
    tokens, keys, gold = list[Tokens](), list[Keys](), list[Targets]()
    for table in tables([*task.inputs, "key"]):
        tokens.append(vocabulary.encode(table[task.inputs[0]]))
        keys.append(keys_from_arrow(table["key"]))
        gold.append(gold_targets(table[task.label], task)[0] if label else np.zeros(len(table), np.int64))
    if not sum(len(each) for each in tokens):
        raise StillhouseError("train: the transfer set must hold rows to train on, got none with a gold label")
    ids = np.concatenate([each.ids for each in tokens])
    first = np.concatenate([[0], np.cumsum(np.concatenate([each.lengths for each in tokens]))])
    logits = torch.from_numpy(cache.logits(np.concatenate(keys), task))
    return Data(Tokens(ids, first), logits, torch.from_numpy(np.concatenate(gold)), vocabulary)


def _task(transfer: TransferSet, cache: LogitCache | Ensemble) -> Task:
    """The transfer set's task; an unlabelled one takes the teacher's classes."""
    return transfer.task if transfer.task.classes else replace(transfer.task, classes=cache.classes)


def _start(
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    architecture: Architecture,
    training: Training,
    vocabulary: Vocabulary,
    seed: int,
    made_from: Mapping[str, Any],
) -> Student:
    task = _task(transfer, cache)
    vectors = starting_vectors(training.vectors, vocabulary, architecture.vector_width, seed, cache.teacher_folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = architecture.build(len(vocabulary), task.outputs)
    table: Any = model.vectors
    with torch.no_grad():
        table.weight.copy_(torch.from_numpy(vectors))
    return Student(task, architecture, vocabulary, model, made_from)


class _Judge:
    """Measures a student on the dev file, read once."""

    def __init__(self, student: Student, dev: Source | None, label: str | None) -> None:
        self.student = student
        if dev is not None:
            task = replace(student.task, label=label or student.task.label)
            table = read_labelled(dev, task)
            self.tokens = student.vocabulary.encode(table[task.inputs[0]])
            self.gold, _ = gold_targets(table[task.label], task)
        self.has_dev = dev is not None

    def measure(self) -> dict[str, float]:
        if not self.has_dev:
            return {}
        found = scores(self.student.token_logits(self.tokens), self.gold, self.student.task)
        return {f"dev_{name}": value for name, value in found.items()}


def _made_from(
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    architecture: Architecture,
    objective: Objective,
    training: Training,
    seed: int,
    dev: Source | None,
    dev_label: str | None,
) -> dict[str, Any]:
    return {
        "transfer": transfer.store.about,
        "cache": cache.about,
        "student": {architecture_name(architecture): describe(architecture)},
        "objective": {type(objective).__name__.lower(): describe(objective)},
        "training": asdict(training),
        "seed": seed,
        "dev": None if dev is None else {"name": dev.path.name, "content": _content(dev.path), "label": dev_label},
        "torch": torch.__version__,
    }


def _content(path: Path) -> str:
    """A hash of a file, or of the files of a directory."""
    digest = xxh3_128()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _check_place(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise StillhouseError(f"{out}: must be a directory, got a file")
    foreign = [each.name for each in sorted(out.iterdir()) if each.name not in OWN_FILES] if out.is_dir() else []
    if foreign:
        raise StillhouseError(f"{out}: must be empty or a student's directory, got {foreign[0]!r} in it")


def _already_done(out: Path, made_from: Mapping[str, Any]) -> tuple[Student, dict[str, Any]] | None:
    if not (out / "config.json").exists():
        return None
    # What is left of the run that made it, or of this one's asking, is no checkpoint.
    shutil.rmtree(out / "_checkpoint", ignore_errors=True)
    student = Student.load(out)
    if student.made_from != json.loads(json.dumps(made_from)):
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


OWN_FILES = ("model.safetensors", "vocabulary.json", "metrics.json", "config.json", "_checkpoint")
