"""``stillhouse show``: what a directory holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from transferset import Store
from transferset.transfer_set import KIND as TRANSFER_SET

from .augment import summary


@click.command()
@click.argument("directory")
def command(directory: str) -> None:
    """Say what DIRECTORY holds: a transfer set, a logit cache or a student.

    \b
    Example:
      stillhouse show T
    """
    if (Path(directory) / "config.json").is_file():
        _show_student(directory)
        return
    store = Store.open(directory)
    if store.kind == TRANSFER_SET:
        click.echo(summary(store))
        _lines({name: store.about.get(name) for name in ("task", "recipe", "copies", "seed", "source")})
    else:
        click.echo(f"{directory}: {store.kind}, {store.rows():,} rows in {len(store.parts())} parts")
        _lines(store.about)
    missing = store.missing_slots()
    if missing:
        click.echo(f"  unfinished: {len(missing)} of {store.about['parts']} parts are missing")


def _show_student(directory: str) -> None:
    from students import Student, architecture_name

    student = Student.load(directory)
    weights = sum(each.numel() for each in student.model.parameters())
    table = student.model.vectors.weight.numel()  # type: ignore[union-attr, operator]
    name = architecture_name(student.architecture)
    click.echo(f"{directory}: {name}, {weights:,} parameters, {weights - table:,} without the word vectors")
    _lines({"task": student.task.to_json(), **student.made_from})


def _lines(values: Any) -> None:
    for name, value in values.items():
        click.echo(f"  {name}: {json.dumps(value)}")
