"""``stillhouse verify``: re-reads a directory and checks it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from transferset import LogitCache, Store, TransferSet
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
        click.echo(f"{directory}: sound, a student whose weights fit its configuration")
        return
    store = Store.open(directory)
    if store.kind == TRANSFER_SET:
        problems = TransferSet(store).verify()
    else:
        problems = LogitCache(store).verify() if store.kind == LOGIT_CACHE else store.verify()
    for problem in problems:
        click.echo(problem)
    if problems:
        sys.exit(1)
    click.echo(f"{directory}: sound, {store.rows():,} rows in {len(store.parts())} parts")
