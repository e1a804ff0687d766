"""What both parts do alike: say what goes on, ask the teacher, train two students and compare all three."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import pyarrow as pa

from augment import augment_file
from label import Request, Teacher, label
from stillhouse.report import Yardstick, report
from students import Architecture, Training, evaluate, load_objective, train
from transferset import LogitCache, Source, TransferSet

from .table import Line, student_line, teacher_line


@dataclass(frozen=True)
class Plan:
    """How a student is trained: its directory and name in the table, the loss and its settings."""

    name: str
    loss: str
    training: Training


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Says on stderr what begins, and afterwards how long it took."""
    click.echo(title, err=True)
    started = time.monotonic()
    yield
    click.echo(f"   {time.monotonic() - started:.0f} s", err=True)


def compare(
    out: Path,
    teacher: Teacher,
    files: Sequence[Path],
    test: Path,
    architecture: Architecture,
    plans: Sequence[Plan],
    seed: int,
) -> list[Line]:
    """Trains a student for each plan; a line for the teacher, made of ``files``, and one for each of them.

    ``out/report.html`` says more about them.
    """
    transfer, cache = TransferSet.open(out / "T"), LogitCache.open(out / "L")
    lines, accuracy, folders = [], 0.0, []
    for plan in plans:
        folder = out / "students" / plan.name.replace(" ", "-")
        student, _ = train(
            transfer, cache, architecture, load_objective(plan.loss), folder, plan.training, seed=seed, progress=True
        )
        found = evaluate(student, Source(test), cache, resamples=0, place=folder)
        lines.append(student_line(f"student, {plan.name}", found))
        accuracy = found["teacher"]["accuracy"]
        folders.append(folder)
    report(folders, out / "report.html", Yardstick(Source(test), cache), transfer, force=True)
    loaded = teacher.load(Request(transfer.task, made=cache.about, mask_token=transfer.mask_token))
    rows = pa.concat_tables(list(TransferSet.open(out / "T-test").tables(transfer.task.inputs)))
    return [teacher_line("teacher", loaded, files, rows, accuracy), *lines]


def ask(out: Path, teacher: Teacher, name: str, test: Path) -> None:
    """Labels the transfer set ``out/T`` and the rows of the test file into ``out/L``."""
    transfer = TransferSet.open(out / "T")
    label(transfer, teacher, out / "L", name=name, progress=True)
    augment_file(Source(test), transfer.task, out / "T-test", copies=0)
    label(TransferSet.open(out / "T-test"), teacher, out / "L", name=name)
