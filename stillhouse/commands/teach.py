"""``stillhouse teach``: a teacher from the labelled rows, for those who have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stillhouse.teach import Taught, Teaching, own_names, teach
from transferset import Source, StillhouseError, Task
from transferset.parameters import build

from ._options import dataclass_options, given_parameters, out_options, read_source, source_options
from ._replacing import replacing


@click.command()
@click.argument("data")
@click.option("--model", required=True, metavar="DIR|NAME", help="A pretrained encoder: a directory, or a hub name.")
@click.option("--text", help="Column of the text.")
@click.option("--text-pair", help="Column of the second text of a pair.")
@click.option("--label", required=True, help="Column of the gold label; rows without one are left out.")
@click.option(
    "--classes", default="", help="Classes in the order wanted, joined by commas.  [default: as found, sorted]"
)
@click.option(
    "--task", "target", default="classification", show_default=True, help="classification, multilabel or regression."
)
@click.option("--dev", help="Labelled file; the epoch that does best on it is kept.")
@click.option("--seed", default=0, show_default=True, help="Seed of the new weights and of the order of rows.")
@click.option("--threads", type=click.IntRange(1), help="Threads of torch.  [default: cores]")
@source_options
@out_options("teacher")
@dataclass_options({"": Teaching})
def command(data: str, model: str, dev: str | None, seed: int, out: str, force: bool, **options: Any) -> None:
    """Fine-tune a pretrained encoder on the labelled rows of DATA: a teacher for `stillhouse label`.

    DATA is a csv, tsv, jsonl or Parquet file, or a directory of Parquet files. An interrupted run goes on with the
    same command.

    \b
    Examples:
      stillhouse teach train.tsv --text sentence --label label --model distilbert/distilroberta-base --out my-teacher
      stillhouse teach train.csv --text a --text-pair b --label same --model ./minilm --holdout 0.1 --out my-teacher
      stillhouse teach train.tsv --text t --label score --task regression --dev dev.tsv --model ./minilm --out R
    """
    reading = {name: options.pop(name) for name in ("quote", "no_header", "encoding")}
    source = read_source(data, **reading)
    task = _task(source, options)
    teaching = build(Teaching, given_parameters("", Teaching, options), "teach")
    watched = read_source(dev, **reading) if dev else None
    if options["threads"] is not None:
        import torch

        torch.set_num_threads(options["threads"])

    def work(place: str) -> Taught:
        return teach(source, task, model, Path(place), teaching, seed, watched, force, progress=True)

    taught = replacing(out, force, own_names(out).__contains__, work)
    for line in _lines(out, taught):
        click.echo(line)


def _task(source: Source, options: dict[str, Any]) -> Task:
    text, pair = options["text"], options["text_pair"]
    if text is None:
        columns = ", ".join(name for name in source.columns() if name != options["label"])
        raise StillhouseError(f"teach: must be told the column of the text, got none: say --text with one of {columns}")
    names = tuple(name.strip() for name in options["classes"].split(",")) if options["classes"] else ()
    inputs = (text,) if pair is None else (text, pair)
    return Task("text" if pair is None else "pair", inputs, options["label"], options["target"], names)


def _lines(out: str, taught: Taught) -> list[str]:
    """What the teacher was made of, and how good it is."""
    what = f" of {len(taught.task.classes)} classes" if taught.task.classes else ""
    left = f" ({taught.unlabelled:,} without a label left out)" if taught.unlabelled else ""
    lines = [f"{out}: fine-tuned on {taught.rows:,} rows{what}{left}"]
    if taught.history:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in taught.history[taught.best_epoch - 1].items())
        lines.append(f"  epoch {taught.best_epoch} of {len(taught.history)}, on {taught.watched:,} rows: {figures}")
    return lines
