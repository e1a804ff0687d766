"""``stillhouse gc``: removes what interrupted writers left."""

from __future__ import annotations

import click

from transferset import Store


@click.command()
@click.argument("directory")
def command(directory: str) -> None:
    """Remove files in DIRECTORY that no committed part names: the leavings of writers that were killed.

    \b
    Example:
      stillhouse gc L
    """
    removed = Store.open(directory).gc()
    for path in removed:
        click.echo(f"removed {path}")
    click.echo(f"{directory}: {len(removed)} removed")
