"""``stillhouse report``: a page about students and sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from transferset import StillhouseError, TransferSet, open_cache

from ._cache_lines import size_text
from ._options import read_source, source_options


@click.command()
@click.argument("runs", nargs=-1, required=True)
@click.option("--out", required=True, type=click.Path(), help="HTML file for the report.")
@click.option("--test", metavar="FILE", help="Labelled file to measure the students on.")
@click.option("--cache", help="Logit cache that has the rows of --test: adds the teacher, and where students differ.")
@click.option("--transfer", help="Transfer set of the students: adds what each augmenter did.")
@click.option("--label", help="Column of the gold label in --test.  [default: as in training]")
@click.option("--examples", default=20, show_default=True, help="Rows to show on which student and teacher differ.")
@click.option("--resamples", default=1000, show_default=True, help="Bootstrap resamples for intervals; 0 for none.")
@click.option("--seed", default=0, show_default=True, help="Seed of the resamples.")
@click.option("--speed/--no-speed", default=True, show_default=True, help="Measure latency and throughput.")
@click.option("--threads", type=click.IntRange(1), help="Threads that compute.  [default: cores]")
@click.option("--force", is_flag=True, help="Replace the file --out.")
@source_options
def command(runs: tuple[str, ...], out: str, test: str | None, force: bool, **options: Any) -> None:
    """Write one HTML file about RUNS, directories of students and of sweeps, that needs nothing but a browser.

    It has the results as a table to sort, quality against latency and size, learning curves, calibration, confusion,
    what each augmenter contributed, rows on which student and teacher differ, and how all was made. With --no-speed
    the same students give the same file.

    \b
    Examples:
      stillhouse report S --out report.html
      stillhouse report RUNS S2 --test data/test.tsv --cache L --transfer T --out report.html
    """
    import torch

    from ..report import Yardstick, report

    if options["threads"] is not None:
        torch.set_num_threads(options["threads"])
    if test is None and options["cache"]:
        raise StillhouseError("report: --cache must be given with --test FILE, got it alone")
    measured = None
    if test is not None:
        measured = Yardstick(
            read_source(test, options["quote"], options["no_header"], options["encoding"]),
            open_cache(options["cache"]) if options["cache"] else None,
            options["label"],
            options["resamples"],
            options["seed"],
            options["speed"],
        )
    transfer = TransferSet.open(options["transfer"]) if options["transfer"] else None
    number = report(runs, out, measured, transfer, options["examples"], force, progress=True)
    click.echo(f"{out}: {number:,} student{'' if number == 1 else 's'}, {size_text(Path(out).stat().st_size)}")
