"""``stillhouse evaluate``: a student's metrics on a labelled file."""

from __future__ import annotations

import json
from typing import Any

import click

from students import Student, evaluate
from transferset import open_cache

from ._options import read_source, source_options


@click.command()
@click.argument("student")
@click.argument("file")
@click.option("--cache", help="Logit cache that has the file's rows: adds the agreement with the teacher.")
@click.option("--label", help="Column of the gold label.  [default: as in training]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@source_options
def command(student: str, file: str, cache: str | None, label: str | None, as_json: bool, **reading: Any) -> None:
    """Measure STUDENT on the labelled FILE.

    \b
    Example:
      stillhouse evaluate S data/test.tsv --json
    """
    logits = open_cache(cache) if cache else None
    found = evaluate(Student.load(student), read_source(file, **reading), logits, label)
    found["rows"] = int(found["rows"])
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name:>10}  {value:,}" if name == "rows" else f"{name:>10}  {value:.4f}")
