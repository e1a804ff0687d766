"""``stillhouse predict``: a student's answers for a file or for lines of standard input."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

import click
from tqdm import tqdm

from students.predict import STYLES, open_student, written_answers
from transferset import StillhouseError, Task
from transferset.files import whole_file

from ._lines import Lines
from ._options import read_source, source_options


@click.command()
@click.argument("student")
@click.argument("file", default="-")
@click.option(
    "--format",
    "style",
    type=click.Choice(STYLES),
    help="What is written.  [default: what --out ends in, else jsonl]",
)
@click.option("--keep", help="Columns of FILE to put before each answer: COL,COL,... or COL=NAME to rename one.")
@click.option("--out", type=click.Path(dir_okay=False), help="File for the answers, whole or not at all.")
@click.option("--force", is_flag=True, help="Replace the file --out.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads that compute.  [default: cores]")
@source_options
def command(
    student: str,
    file: str,
    style: str | None,
    keep: str | None,
    out: str | None,
    force: bool,
    threads: int | None,
    **reading: Any,
) -> None:
    """Print STUDENT's answer for each row of FILE, or for each line of standard input.

    STUDENT is a directory, or an ONNX file of `stillhouse export`, which needs no torch. A line of standard input is a
    text; for pairs two texts with a tab between them; for features a JSON object.

    \b
    Examples:
      stillhouse predict S data/test.tsv > answers.jsonl
      stillhouse predict S.onnx data/test.tsv --keep sentence,label=gold --out answers.csv
      echo "what a lovely film" | stillhouse predict S
    """
    model = open_student(student, threads)
    rows = _lines(model.config.task, **reading) if file == "-" else read_source(file, **reading)
    style = style or _ending(out)
    with _opened(out, force) as stream, _bar(file, out) as bar:
        for number, piece in written_answers(model, rows, style, keep.split(",") if keep else ()):
            stream.write(piece)
            stream.flush()
            bar.update(number)


def _lines(task: Task, quote: bool | None, no_header: bool, encoding: str) -> Lines:
    if quote is not None or no_header:
        raise StillhouseError("predict: --quote and --no-header must be for a FILE, got standard input")
    return Lines(cast(BufferedReader, sys.stdin.buffer), task, encoding)


def _bar(file: str, out: str | None) -> Any:
    """Progress on a terminal that shows nothing else."""
    busy = (file == "-" and sys.stdin.isatty()) or (out is None and sys.stdout.isatty())
    return tqdm(unit=" rows", unit_scale=True, disable=busy or not sys.stderr.isatty())


def _ending(out: str | None) -> str:
    ending = Path(out).suffix.lower().removeprefix(".") if out else ""
    return ending if ending in STYLES else "jsonl"


@contextlib.contextmanager
def _opened(out: str | None, force: bool) -> Iterator[BinaryIO]:
    """The file of the answers, or standard output."""
    if out is None:
        yield sys.stdout.buffer
        return
    if Path(out).exists() and not force:
        raise StillhouseError(f"{out}: must not be there yet, got a file: use --force to replace it")
    with whole_file(Path(out)) as stream:
        yield stream
