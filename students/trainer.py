"""Trains a student on a transfer set and a logit cache; the teacher is not needed.

A checkpoint is written every two minutes and after each epoch: a run that was interrupted goes on where it was and
finds the same weights as one that was not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from transferset import Ensemble, LogitCache, Source, StillhouseError, Task, TransferSet
from transferset.errors import OccupiedError
from transferset.files import file_lock
from transferset.parameters import check_whole, describe
from transferset.plain import parse_json

from ._config import FILES, Config
from ._dataset import Dataset
from ._judge import Judge
from ._prepare import describe_sources, prepare
from ._run import Run, read_state
from ._vectors import starting_table
from .objectives import Objective
from .reading import Reading
from .student import Architecture, Student, architecture_name, build_network
from .training import Training


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

    With ``dev``, or where ``training`` holds rows out, it has the weights of the best epoch, and those of the last are
    kept too, see ``Student.load``; without, the last.

    Raises:
        StillhouseError: a cache without some of the rows, a dev file that does not fit, a student or an objective
            that is not for the task, a loss that is not finite; ``out`` holds something else.
    """
    training, reading, out = training or Training(), reading or Reading(), Path(out)
    check_whole("seed", seed, 0)
    check_fit(architecture, objective, transfer.task)
    sources = describe_sources(transfer, cache, reading, objective.signal, dev, dev_label)
    made_from = describe_run(sources, architecture, objective, training, seed)
    with claimed(out):
        done = already_done(out, made_from)
        if done is not None:
            return done
        folder = out / "_checkpoint"
        read_state(folder, made_from)  # another run's is refused before the data set is made
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
    tick: Callable[[int], object] = int,
) -> tuple[Student, dict[str, Any]]:
    """A student trained on a data set, from its last checkpoint in ``out`` if there is one.

    With ``until`` it pauses after so many epochs: its checkpoint stays, and no student is saved yet. ``tick`` is told
    of rows as they are seen.
    """
    made_from = describe_run(data.made_from, architecture, objective, training, seed)
    judge = Judge(data, objective, training)
    student = _start(data, architecture, seed, made_from)
    run = Run(student.model, training, objective, seed, data.train, judge.rows_left)
    folder = out / "_checkpoint"
    run.resume(folder, made_from)
    tick(run.epoch * len(judge.rows_left))
    while not run.is_over() and run.epoch < (until or run.epochs):
        run.train_epoch(progress, folder, made_from, tick)
        run.note(judge.measure(student), judge.metric, judge.lower)
        run.checkpoint(folder, made_from)
    metrics = {
        "history": run.history,
        "best_epoch": run.best_epoch,
        "rows": len(judge.rows_left),
        "seconds": round(run.seconds, 1),
        "teacher": data.teacher,
        "stillhouse": _version(),
        "dtype": run.precision,
        "threads": torch.get_num_threads(),
    }
    if run.is_over():
        last = None
        if run.best_epoch != run.epoch:
            last = {name: each.clone() for name, each in student.model.state_dict().items()}
        student.model.load_state_dict(run.best)
        student.save(out, metrics, last)
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


def _version() -> str:
    """Ours; nothing where it runs without being installed."""
    try:
        return version("stillhouse")
    except PackageNotFoundError:
        return ""


def _start(data: Dataset, architecture: Architecture, seed: int, made_from: Mapping[str, Any]) -> Student:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = build_network(architecture, data.encoding, data.task, data.width, "train")
    table: Any = getattr(model, "vectors", None)
    if table is not None:
        words, width = table.weight.shape
        with torch.no_grad():
            table.weight.copy_(torch.from_numpy(starting_table(words, data.known, data.vectors, width, seed)))
    name, sizes = architecture_name(architecture), describe(architecture)
    return Student(Config(data.task, data.encoding, name, sizes, data.signal, data.width, made_from), model)


def own_names(folder: Path | str) -> frozenset[str]:
    """The names in a directory that training may have given.

    There are none beside the ``config.json`` of another model; and where neither that nor a checkpoint is, a
    ``README.md``, say, is somebody else's.
    """
    config = Path(folder) / "config.json"
    try:
        ours = "student" in parse_json(config.read_bytes())
    except FileNotFoundError:
        ours = (Path(folder) / "_checkpoint").is_dir()
    except (OSError, ValueError, TypeError):
        ours = True  # damaged
    return frozenset((*FILES, "_checkpoint") if ours else ())


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """The directory of a student for this process alone.

    Raises:
        StillhouseError: it is a file, holds something else, or another process is at work in it.
    """
    if out.exists() and not out.is_dir():
        raise StillhouseError(f"{out}: must be a directory, got a file")
    ours = own_names(out)
    foreign = [each.name for each in sorted(out.iterdir()) if each.name not in ours] if out.is_dir() else []
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
        raise OccupiedError(
            f"{out}: must be empty or the same training run, got another student: use another --out or --force"
        )
    return student, json.loads((out / "metrics.json").read_bytes())


def _leave_nothing(out: Path) -> None:
    """After an input error takes away a directory that no epoch has been written to."""
    if not (out / "_checkpoint" / "state.json").exists():
        shutil.rmtree(out / "_checkpoint")
        if not any(out.iterdir()):
            out.rmdir()
