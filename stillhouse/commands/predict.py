"""``stillhouse predict``: a student's answers for a file or for lines of standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click
import pyarrow as pa

from students import Student, answers, inputs_of
from transferset import StillhouseError, read_rows

from ._options import read_source, source_options

#: Lines of standard input answered together.
_LINES = 256


@click.command()
@click.argument("student")
@click.argument("file", default="-")
@source_options
def command(student: str, file: str, **reading: Any) -> None:
    """Print STUDENT's answer for each row of FILE, or for each line of standard input, as one JSON object a line.

    \b
    Examples:
      stillhouse predict S data/test.tsv > answers.jsonl
      echo "what a lovely film" | stillhouse predict S
    """
    model = Student.load(student)
    for rows in _standard_input(model) if file == "-" else _file(model, file, reading):
        for answer in answers(model, rows):
            click.echo(json.dumps(answer, ensure_ascii=False))


def _file(model: Student, file: str, reading: dict[str, Any]) -> Iterator[pa.RecordBatch]:
    source = read_source(file, **reading)
    for batch in read_rows(source, inputs_of(model.task, source)):
        yield batch.rename_columns(list(model.task.inputs))


def _standard_input(model: Student) -> Iterator[pa.RecordBatch]:
    if model.task.kind != "text":
        raise StillhouseError(f"predict: standard input must be for single texts, got a student of {model.task.kind}")
    first = 1
    together = 1 if sys.stdin.isatty() else _LINES
    while lines := list(islice(sys.stdin.buffer, together)):
        texts = []
        for offset, line in enumerate(lines):
            try:
                texts.append(line.decode("utf-8-sig" if first + offset == 1 else "utf-8").rstrip("\r\n"))
            except UnicodeDecodeError as error:
                raise StillhouseError(
                    f"standard input: line {first + offset} must be valid UTF-8: {error.reason}"
                ) from None
        yield pa.record_batch({model.task.inputs[0]: pa.array(texts, pa.string())})
        first += len(lines)
