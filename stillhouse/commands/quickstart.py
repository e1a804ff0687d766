"""``stillhouse quickstart``: the main job from end to end on two small samples."""

from __future__ import annotations

from pathlib import Path

import click

from ._replacing import replacing


@click.command()
@click.option("--out", default="quickstart", show_default=True, type=click.Path(), help="Directory for all of it.")
@click.option("--seed", default=0, show_default=True, help="Seed of every stage.")
@click.option("--force", is_flag=True, help="Replace what is in --out when the new is whole.")
def command(out: str, seed: int, force: bool) -> None:
    """From few labels to a small student, on reviews and on a table, in a few minutes; ends in a table of both.

    A pretrained encoder is fine-tuned on the labelled reviews and labels their augmented copies, from which a small
    student learns; another learns from the gold labels alone. The same with a table of numbers, MUNGE and a forest.

    \b
    Example:
      stillhouse quickstart --out quickstart
    """
    from stillhouse.quickstart import MADE, run, table

    parts = replacing(out, force, MADE.__contains__, lambda place: run(Path(place), seed))
    click.echo(f"\n{table(parts)}\n")
    for name in parts:
        click.echo(f"{Path(out) / name / 'report.html'} says more about the students of the {name}.")
    click.echo("\nThe same with a file of your own, and a teacher that you have:")
    click.echo("  stillhouse augment FILE --text COLUMN --label COLUMN --out T")
    click.echo("  stillhouse label T --teacher MODEL --out L")
    click.echo("  stillhouse train T L --out S")
    click.echo("and for those who have none:")
    click.echo("  stillhouse teach FILE --text COLUMN --label COLUMN --model ENCODER --out MODEL")
