"""``stillhouse join``: a transfer set and the teacher's answers as one Parquet file."""

from __future__ import annotations

import click

from transferset import TransferSet, join, open_cache

from ._cache_lines import size_text


@click.command()
@click.argument("transfer")
@click.argument("cache")
@click.option("--out", required=True, type=click.Path(), help="The Parquet file.")
@click.option("--signals", help="Signals of the teacher's, such as logits,embedding.  [default: all that CACHE has]")
@click.option("--force", is_flag=True, help="Replace the file in --out.")
def command(transfer: str, cache: str, out: str, signals: str | None, force: bool) -> None:
    """Write the rows of TRANSFER and what the teacher says of them in CACHE to one Parquet file.

    For tools that train elsewhere: pandas, polars, datasets or DuckDB read it as it is. Its columns are the inputs,
    the gold label, source and copy, logit_CLASS for each class (or teacher_score), and a list for any other signal.

    \b
    Example:
      stillhouse join T L --out joined.parquet --signals logits
    """
    names = None if signals is None else [name.strip() for name in signals.split(",")]
    found = join(TransferSet.open(transfer), open_cache(cache), out, names, force, progress=True)
    click.echo(f"{out}: {found.rows:,} rows, {len(found.columns):,} columns, {size_text(found.bytes)}")
