"""``stillhouse label``: a teacher labels a transfer set once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click

from label import Labelled, label, label_ensemble, load_teachers, teachers
from label.engine import Engine, Storage
from transferset import Mean, Signal, StillhouseError, TransferSet
from transferset.parameters import parameters

from ._options import kinds_options, out_options, store_name
from ._replacing import replacing


@click.command()
@click.argument("transfer")
@click.option(
    "--teacher", "specs", multiple=True, required=True, metavar="SPEC",
    help="DIR or hub name of a Hugging Face classifier, encoder:DIR, sklearn:FILE or python:MODULE:FUNCTION."
    " Several make an ensemble.",
)  # fmt: skip
@click.option("--weight", "weights", multiple=True, type=float, help="How much a teacher of an ensemble counts.")
@click.option("--mean", type=click.Choice(get_args(Mean)), default="logits", help="What an ensemble is the mean of.")
@click.option("--signals", help=f"What to keep: {', '.join(get_args(Signal))}.  [default: logits, or embedding]")
@click.option(
    "--storage", type=click.Choice(get_args(Storage)), default="float32", show_default=True,
    help="Precision in the cache; float16 notes what rounding costs.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(get_args(Engine)), default="local", show_default=True,
    help="Where to ask: on this machine, or on all of a Ray cluster.",
)  # fmt: skip
# What stands after a teacher's kind is no option.
@kinds_options({name: parameters(cls)[1:] for name, cls in teachers().items()})
@out_options("logit cache")
def command(
    transfer: str,
    specs: tuple[str, ...],
    weights: tuple[float, ...],
    mean: Mean,
    signals: str | None,
    storage: Storage,
    engine: Engine,
    out: str,
    force: bool,
    **options: Any,
) -> None:
    """Label every distinct row of TRANSFER with the teacher's logits; rows that the cache has are skipped.

    Several processes may run the same command at once, and an interrupted one goes on where it was.

    \b
    Examples:
      stillhouse label T --teacher ./my-bert --out L
      stillhouse label T --teacher ./my-bert --signals logits,embedding --storage float16 --out L
      stillhouse label T --teacher ./bert-a --teacher ./bert-b --weight 2 --weight 1 --out L
      stillhouse label T --teacher sklearn:forest.skops --out L
      stillhouse label T --teacher python:rules:score --out L
    """
    rows = TransferSet.open(transfer)
    if Path(out).exists() and Path(out).samefile(transfer):
        raise StillhouseError(f"{out}: must be another directory than the transfer set's, got the same")
    given = {name: value for name, value in options.items() if value is not None}
    models = list(zip(specs, load_teachers(specs, given), strict=True))
    asked: Any = tuple(each.strip() for each in signals.split(",")) if signals is not None else None

    def work(place: str) -> list[Labelled]:
        if len(models) > 1:
            return label_ensemble(rows, models, place, weights, mean, storage, engine, progress=True)
        return [label(rows, model, place, asked, storage, name, engine, progress=True) for name, model in models]

    if len(models) == 1 and weights:
        raise StillhouseError("weight: must be given with several teachers, got one")
    if len(models) > 1 and asked not in (None, ("logits",)):
        raise StillhouseError(f"signals: of an ensemble must be logits alone, got {signals}")
    done = replacing(out, force, store_name, work)
    for (name, _), each in zip(models, done, strict=True):
        for line in _lines(out if len(models) == 1 else f"{out}: {name}", each):
            click.echo(line)


def _lines(where: str, done: Labelled) -> Iterator[str]:
    """What was done, how the precision was found, and what was cut."""
    known = done.teacher.identity
    precision = f" in {known['dtype']}" if "dtype" in known else ""
    rate = f"{precision}, {done.labelled / max(done.seconds, 1e-9):,.0f} rows a second" if done.labelled else ""
    saved = 1 - done.distinct / max(1, done.rows)
    yield (
        f"{where}: {done.distinct:,} distinct of {done.rows:,} rows ({saved:.0%} saved as duplicates),"
        f" {done.labelled:,} labelled now{rate}"
    )
    yield from (f"  {line}" for line in done.teacher.made_with.get("precision", ()))
    if done.cut:
        yield f"  {done.cut:,} texts were longer than {known.get('max_length')} tokens and were cut"
