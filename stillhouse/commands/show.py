"""``stillhouse show``: what a directory holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import tomli_w

from augment import summarize
from transferset import Ensemble, LogitCache, Store, TransferSet
from transferset.ensemble import KIND as ENSEMBLE
from transferset.logit_cache import KIND as LOGIT_CACHE
from transferset.transfer_set import KIND as TRANSFER_SET

from ._cache_lines import cache_facts, cache_lines, ensemble_facts, ensemble_lines
from ._examples import changed_cells, examples, marked_text
from ._summary_lines import summary_lines, task_line
from ._sweep_lines import sweep_lines

_COLOURS = ("green", "yellow", "cyan", "magenta", "blue", "red")


@click.command()
@click.argument("directory")
@click.option("--examples", "number", type=click.IntRange(0), default=5, show_default=True, help="Examples to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(directory: str, number: int, as_json: bool) -> None:
    """Say what DIRECTORY holds: a transfer set, a logit cache, an ensemble, a student or a sweep.

    Of a transfer set: what each rule did, how far the copies are from their originals, and examples. On a terminal
    new words have the colour of their rule; elsewhere they read {old|new:rule}. Of a cache: its teacher, signals,
    rows and how exact they are.

    \b
    Example:
      stillhouse show T --examples 10
    """
    if (Path(directory) / "config.json").is_file():
        _show_student(directory, as_json)
        return
    if (Path(directory) / "results.parquet").is_file():
        _show_sweep(directory, as_json)
        return
    store = Store.open(directory)
    if store.kind == TRANSFER_SET:
        _show_transfer_set(TransferSet(store), number, as_json)
    elif store.kind == LOGIT_CACHE:
        cache = cache_facts(LogitCache(store))
        click.echo(json.dumps(cache) if as_json else "\n".join(cache_lines(directory, cache)))
    elif store.kind == ENSEMBLE:
        ensemble = ensemble_facts(Ensemble(store))
        click.echo(json.dumps(ensemble) if as_json else "\n".join(ensemble_lines(directory, ensemble)))
    else:
        _show_store(store, as_json)


def _show_store(store: Store, as_json: bool) -> None:
    rows, parts = store.rows(), len(store.parts())
    if as_json:
        click.echo(json.dumps({"kind": store.kind, "rows": rows, "parts": parts, "about": store.about}))
        return
    click.echo(f"{store.path}: {store.kind}, {rows:,} rows in {parts} parts")
    _lines(store.about)
    _say_missing(store)


def _show_student(directory: str, as_json: bool) -> None:
    from students import Student
    from students.cost import parameters

    config, counts = Student.load(directory).config, parameters(Path(directory))
    name = config.student
    about = {"task": config.task.to_json(), "output": config.output, **config.made_from}
    if as_json:
        click.echo(json.dumps({"kind": "student", "architecture": name, **counts, **about}))
        return
    every, others = counts.values()
    click.echo(f"{directory}: {name}, {every:,} parameters, {others:,} without the word vectors")
    _lines(about)


def _show_sweep(directory: str, as_json: bool) -> None:
    lines = sweep_lines(Path(directory))
    rows = pq.read_table(Path(directory) / "results.parquet").to_pylist() if as_json else []
    click.echo(json.dumps({"kind": "sweep", "students": rows}) if as_json else "\n".join(lines))


def _lines(values: Any) -> None:
    for name, value in values.items():
        click.echo(f"  {name}: {json.dumps(value)}")


def _say_missing(store: Store) -> None:
    missing = store.missing_slots()
    if missing:
        click.echo(f"  unfinished: {len(missing)} of {store.about['parts']} parts are missing")


def _show_transfer_set(transfer: TransferSet, number: int, as_json: bool) -> None:
    found = summarize(transfer, progress=True)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    rules = list(found.rules)
    is_terminal = sys.stdout.isatty()
    colours = {rule: _COLOURS[n % len(_COLOURS)] for n, rule in enumerate(rules)} if is_terminal else {}
    click.echo(f"{transfer.store.path}: {found.rows:,} rows in {found.parts} parts")
    _say_missing(transfer.store)
    source = transfer.store.about["source"]
    click.echo(f"  {task_line(transfer.task)}")
    click.echo(f"  source: {source['rows']:,} rows, fingerprint {source['fingerprint']}")
    for lines in (*summary_lines(found, colours), _made_with(transfer.store.about)):
        click.echo("\n" + "\n".join(lines))
    for rows in examples(transfer, number):
        click.echo("\n" + "\n".join(_example(transfer, rows, colours)))


def _made_with(about: Mapping[str, Any]) -> list[str]:
    """The recipe and what else decides the rows, as TOML."""
    others = {name: about[name] for name in ("copies", "exact", "seed", "keep_labels")}
    recipe = {name: value for name, value in about["recipe"].items() if name != "name"}
    lines = [f"# recipe {about['recipe']['name']}", *tomli_w.dumps(_given({**others, **recipe})).splitlines()]
    return [f"  {line}".rstrip() for line in lines]


def _given(value: Any) -> Any:
    """A value without the nulls in it, for which TOML has no word."""
    if isinstance(value, dict):
        return {name: _given(each) for name, each in value.items() if each is not None}
    return [_given(each) for each in value] if isinstance(value, list) else value


def _example(transfer: TransferSet, rows: Sequence[Mapping[str, Any]], colours: Mapping[str, str]) -> list[str]:
    """An original and its copies, each with the words before its first line."""
    task, original = transfer.task, rows[0]
    lines = [f"row {original['source'] + 1:,}"]
    for row in rows:
        name = f"copy {row['copy']}" if row["copy"] else "original"
        if task.kind == "features":
            shown = changed_cells(row["edits"], task.inputs, colours) if row["copy"] else []
        else:
            shown = [
                marked_text(
                    original[column],
                    [edit for edit in row["edits"] if edit["input"] == side],
                    transfer.mask_token,
                    colours,
                )
                for side, column in enumerate(task.inputs)
            ]
        lines += [f"  {name if not n else '':<9} {line}" for n, line in enumerate(shown)]
    return lines if len(rows) > 1 else [*lines, "  no copies"]
