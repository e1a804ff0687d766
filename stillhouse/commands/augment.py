"""``stillhouse augment``: from a small data set to a transfer set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from augment import PAIRS, RETRIES, Recipe, augment_file, default_recipe, load_recipe, published
from augment.summary import drawn
from transferset import Source, StillhouseError, Store, Task
from transferset.cores import cores
from transferset.glue import glue_task
from transferset.parameters import discover

from ._options import (
    dataclass_options,
    given_parameters,
    out_options,
    read_source,
    source_options,
    store_name,
)
from ._replacing import replacing

_AUGMENTERS = discover("augment", "fit")


@click.command()
@click.argument("source")
@click.option("--text", help="Column of the text.")
@click.option("--text-pair", help="Column of the second text of a pair.")
@click.option("--features", help="Columns of features, joined by commas, or all.")
@click.option("--categorical", default="", help="Features that are categories even where they are numbers.")
@click.option("--label", help="Column of the gold label.")
@click.option(
    "--classes", default="", help="Classes in the order wanted, joined by commas.  [default: as found, sorted]"
)
@click.option(
    "--task", "target", default="classification", show_default=True, help="classification, multilabel or regression."
)
@click.option("--recipe", help=f"{', '.join(published())}, or a TOML file.  [default: tang2019; munge for features]")
@click.option("--copies", type=int, help="Most augmented copies of a row.  [default: the recipe's]")
@click.option("--exact", is_flag=True, help="Draw dropped copies again until each row has them all, or 20 times.")
@click.option("--pairs", help=f"Which texts of a pair are edited: {', '.join(PAIRS)}.  [default: the recipe's]")
@click.option(
    "--protect", multiple=True, help="A word or phrase, /REGEX/, :stop-words: or :non-alphabetic:; repeatable."
)
@click.option("--candidates", type=click.Path(), help="Keeps what models offer, for other runs.  [default: in --out]")
@click.option("--seed", default=0, show_default=True, help="Seed of every draw.")
@click.option(
    "--workers",
    type=int,
    default=cores(),
    help="Processes; the output does not depend on them.  [default: cores]",
)
@click.option("--keep-labels", is_flag=True, help="Give augmented rows the gold label of their source.")
@source_options
@out_options("transfer set")
@dataclass_options(_AUGMENTERS)
def command(source: str, out: str, force: bool, **options: Any) -> None:
    """Make a transfer set: SOURCE and augmented copies of its rows.

    SOURCE is a csv, tsv, jsonl, txt or Parquet file, a directory of Parquet files, or a data set of Hugging Face: a
    name of the hub, a folder of files, or one that was saved to disk. NAME:SPLIT is one of its splits, by default
    train. The columns of GLUE's tasks are known.

    \b
    Examples:
      stillhouse augment data/reviews.tsv --text text --label label --pos-tagger classes --out T
      stillhouse augment pairs.tsv --text a --text-pair b --recipe tinybert --mlm-model DIR --vectors-source DIR --out P
      stillhouse augment table.csv --features all --label class --copies 10 --out F
      stillhouse augment glue/mrpc --out M
    """
    reading = {name: options.pop(name) for name in ("quote", "no_header", "encoding")}
    data = read_source(source, **reading, split="train")
    task = _task(data, options)

    def work(place: str) -> Store:
        return augment_file(
            data,
            task,
            place,
            _recipe(task, options),
            options["copies"],
            options["seed"],
            options["workers"],
            options["keep_labels"],
            options["exact"],
            options["candidates"],
            progress=True,
        )

    replacing(out, force, store_name, work)
    click.echo(summary(Store.open(out)))


def _recipe(task: Task, options: dict[str, Any]) -> Recipe:
    """The recipe that was named, with what the options change in it."""
    recipe = load_recipe(options["recipe"] or default_recipe(task))
    changes = {name: given_parameters(name, cls, options) for name, cls in _AUGMENTERS.items()}
    recipe = recipe.adjusted({name: given for name, given in changes.items() if given})
    protect = (*recipe.protect, *options["protect"])
    return replace(recipe, pairs=options["pairs"] or recipe.pairs, protect=protect)


def _task(source: Source, options: dict[str, Any]) -> Task:
    text, pair, features, label = (options[name] for name in ("text", "text_pair", "features", "label"))
    names = _split(options["classes"])
    categorical = _split(options["categorical"])
    if features is not None and text is None and pair is None:
        every = [name for name in source.columns() if name != label]
        inputs = tuple(every) if features == "all" else _split(features)
        return Task("features", inputs, label, options["target"], names, categorical)
    known = glue_task(source.path, source.columns()) if text is None and pair is None and features is None else None
    if known is not None and not categorical:
        target = known.target if label in (None, known.label) else options["target"]
        return replace(known, label=label or known.label, target=target, classes=names)
    if text is None and source.format == ".txt":
        text = "text"
    if text is None or features is not None or categorical:
        got = [name for name in ("text", "text_pair", "features", "categorical") if options[name]]
        raise StillhouseError(
            "augment: must be given --text (with or without --text-pair) or --features,"
            f" got {', '.join('--' + name.replace('_', '-') for name in got) or 'neither'}"
        )
    inputs = (text,) if pair is None else (text, pair)
    return Task("text" if pair is None else "pair", inputs, label, options["target"], names)


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",")) if names else ()


def summary(store: Store) -> str:
    """What a transfer set holds, in a few lines."""
    noted = drawn(store)
    edits = ", ".join(f"{rule} {number:,}" for rule, number in noted.edits.items()) or "none"
    missing = (
        f"\n  short of --copies by {noted.short:,} rows: {noted.incomplete:,} originals have too few different copies,"
        f" though each missing one was drawn {RETRIES} times again"
        if noted.short
        else ""
    )
    return (
        f"{store.path}: {store.rows():,} rows in {len(store.parts())} parts\n"
        f"  originals {noted.originals:,}, augmented {noted.augmented:,}"
        f" (dropped: {noted.unchanged:,} unchanged, {noted.duplicates:,} duplicates)\n"
        f"  edits: {edits}{missing}"
    )
