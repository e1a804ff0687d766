"""``stillhouse init``: a commented pipeline for a file of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stillhouse.draft import draft
from transferset import StillhouseError
from transferset.files import write_file

from ._options import read_source, source_options


@click.command()
@click.argument("file")
@click.option("--out", default="pipeline.toml", show_default=True, type=click.Path(), help="The file to write.")
@click.option("--teacher", metavar="SPEC", help="The teacher, as for `stillhouse label`.  [default: one is fine-tuned]")
@click.option("--force", is_flag=True, help="Replace the file --out.")
@source_options
def command(file: str, out: str, teacher: str | None, force: bool, **reading: Any) -> None:
    """Write a pipeline for FILE, with comments, after looking at its columns.

    Text, pair or features, the label and its kind are guessed from the first 20,000 rows; the comments say why, and
    what to change. `stillhouse run` takes the file as it is, once the teacher is there.

    \b
    Examples:
      stillhouse init train.csv
      stillhouse init train.csv --teacher ./my-bert --out films.toml
    """
    if Path(out).exists() and not force:
        raise StillhouseError(f"{out}: must not be there yet, got a file: use --force to replace it, or another --out")
    proposed = draft(read_source(file, **reading), out, teacher)
    write_file(Path(out), proposed.text.encode())
    click.echo(f"{out}: {_task(proposed.roles.task)}")
    for why in proposed.roles.why:
        click.echo(f"  {why}")
    if proposed.teacher is not None:
        click.echo(f"  the teacher {proposed.teacher} has to be put there first, or another named: see [label]")
    click.echo(f"\nLook it through, then run:\n  stillhouse run {out}")


def _task(task: Any) -> str:
    inputs = ", ".join(task.inputs[:4]) + (", ..." if len(task.inputs) > 4 else "")
    return f"{task.target} of {task.kind} ({inputs})" + (f" by {task.label}" if task.label is not None else "")
