"""``stillhouse sweep``: many students from one transfer set and one cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from students.grid import candidates, read_grid
from students.search import sweep
from transferset import StillhouseError, TransferSet, open_cache

from ._options import read_source, source_options
from ._sweep_lines import sweep_lines


@click.command()
@click.argument("transfer")
@click.argument("cache")
@click.option("--grid", required=True, metavar="FILE", help="TOML file of options of `train`, each with its values.")
@click.option("--out", required=True, type=click.Path(), help="Directory of the students and results.parquet.")
@click.option("--dev", help="Labelled file; each student's best epoch on it is kept.")
@click.option("--test", help="Labelled file that every finished student is measured on.")
@click.option("--label", help="Column of the gold label in these files.  [default: as in the transfer set]")
@click.option("--random", "draws", type=int, help="Draw so many students of each grid at random, in place of all.")
@click.option("--seed", default=0, show_default=True, help="Seed of --random.")
@click.option("--halving", type=int, metavar="N", help="Stop all but the best Nth after a while, and again.")
@click.option("--workers", type=int, help="Processes that train.  [default: cores]")
@source_options
def command(transfer: str, cache: str, grid: str, out: str, **options: Any) -> None:
    """Train all students of a grid on TRANSFER with the teacher's signals in CACHE, which are read once.

    The same command continues an interrupted sweep; students that are there already are not trained again.

    \b
    Example: a file grid.toml
      student = ["bilstm", "bag"]
      temperature = [1.0, 3.0]
      loss = "kl"
      seed = [0, 1, 2]
    and then
      stillhouse sweep T L --grid grid.toml --dev data/dev.tsv --out RUNS

    With --random, a value may be a range: learning-rate = {low = 1e-4, high = 1e-2, log = true}.
    """
    rows, logits = TransferSet.open(transfer), open_cache(cache)
    chosen = candidates(read_grid(grid), options["draws"], options["seed"])
    reading = (options["quote"], options["no_header"], options["encoding"])
    dev, test = (read_source(options[name], *reading) if options[name] else None for name in ("dev", "test"))
    records = sweep(
        rows, logits, chosen, out, dev, options["label"], test, options["halving"], options["workers"], progress=True
    )
    for line in sweep_lines(Path(out)):
        click.echo(line)
    failed = [record for record in records if record.status == "failed"]
    if failed:
        raise StillhouseError(f"{out}: {len(failed)} of {len(records)} students failed, the first: {failed[0].error}")
