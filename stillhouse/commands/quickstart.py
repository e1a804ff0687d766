"""``stillhouse quickstart``: the main job from end to end on a small sample."""

from __future__ import annotations

from pathlib import Path

import click

from stillhouse.quickstart import MADE, run, table

from ._replacing import replacing


@click.command()
@click.option("--out", default="quickstart", show_default=True, type=click.Path(), help="Directory for all of it.")
@click.option("--seed", default=0, show_default=True, help="Seed of every stage.")
@click.option("--force", is_flag=True, help="Replace what is in --out when the new is whole.")
def command(out: str, seed: int, force: bool) -> None:
    """Augment, label once and train a student on a sample of reviews, in a few minutes; ends in a table.

    \b
    Example:
      stillhouse quickstart --out quickstart
    """
    rows = replacing(out, force, MADE.__contains__, lambda place: run(Path(place), seed))
    click.echo(f"\n{table(rows)}\n\nThe same with a file of your own:")
    click.echo("  stillhouse augment FILE --text COLUMN --label COLUMN --out T")
    click.echo("  stillhouse label T --teacher MODEL --out L")
    click.echo("  stillhouse train T L --out S")
