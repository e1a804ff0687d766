"""``stillhouse verify``: re-reads a directory and checks it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from transferset import Ensemble, LogitCache, Store, TransferSet
from transferset.ensemble import KIND as ENSEMBLE
from transferset.logit_cache import KIND as LOGIT_CACHE
from transferset.transfer_set import KIND as TRANSFER_SET


@click.command()
@click.argument("directory")
def command(directory: str) -> None:
    """Re-read DIRECTORY and check it: checksums, row counts, keys. Exit status 1 when something is wrong.

    \b
    Example:
      stillhouse verify T
    """
    if (Path(directory) / "config.json").is_file():
        from students import Student

        Student.load(directory)
        Student.load(directory, "last")
        click.echo(f"{directory}: sound, a student whose weights fit its configuration")
        return
    store = Store.open(directory)
    problems = _problems(store)
    for problem in problems:
        click.echo(problem)
    if problems:
        sys.exit(1)
    if store.kind == ENSEMBLE:
        members = Ensemble(store).members
        click.echo(f"{directory}: sound, an ensemble of {len(members)} caches")
        return
    click.echo(f"{directory}: sound, {store.rows():,} rows in {len(store.parts())} parts")


def _problems(store: Store) -> list[str]:
    if store.kind == TRANSFER_SET:
        return TransferSet(store).verify()
    if store.kind == LOGIT_CACHE:
        return LogitCache(store).verify()
    return Ensemble(store).verify() if store.kind == ENSEMBLE else store.verify()
