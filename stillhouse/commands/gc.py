"""``stillhouse gc``: removes what interrupted writers left."""

from __future__ import annotations

import click

from transferset import Ensemble, Store
from transferset.ensemble import KIND as ENSEMBLE


@click.command()
@click.argument("directory")
def command(directory: str) -> None:
    """Remove files in DIRECTORY that no committed part names: the leavings of writers that were killed.

    \b
    Example:
      stillhouse gc L
    """
    store = Store.open(directory)
    removed = Ensemble(store).gc() if store.kind == ENSEMBLE else store.gc()
    for path in removed:
        click.echo(f"removed {path}")
    click.echo(f"{directory}: {len(removed)} removed")
