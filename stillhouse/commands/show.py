"""``stillhouse show``: what a directory holds."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import tomli_w

from augment import summarize
from augment.summary import Summary
from transferset import Ensemble, LogitCache, StillhouseError, Store, TransferSet
from transferset.ensemble import KIND as ENSEMBLE
from transferset.logit_cache import KIND as LOGIT_CACHE
from transferset.transfer_set import KIND as TRANSFER_SET

from ._cache_lines import cache_facts, cache_lines, ensemble_facts, ensemble_lines, visible
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
    with _as_written(store):
        lines = list(_store_lines(store, number, as_json))
    click.echo("\n".join(lines))


@contextlib.contextmanager
def _as_written(store: Store) -> Iterator[None]:
    """All that is said is looked up in records, and is there and of its type unless somebody edited them."""
    try:
        yield
    except StillhouseError:
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise StillhouseError(
            f"{store.path}: _manifest must say what stillhouse wrote there, got what does not fit"
            f" ({type(error).__name__}: {error}): run `stillhouse verify` on it"
        ) from None


def _store_lines(store: Store, number: int, as_json: bool) -> Iterator[str]:
    if store.kind == TRANSFER_SET:
        transfer = TransferSet(store)
        found = summarize(transfer, progress=True)
        yield from [json.dumps(asdict(found))] if as_json else _transfer_set_lines(transfer, found, number)
    elif store.kind == LOGIT_CACHE:
        cache = cache_facts(LogitCache(store))
        yield from [json.dumps(cache)] if as_json else cache_lines(str(store.path), cache)
    elif store.kind == ENSEMBLE:
        ensemble = ensemble_facts(Ensemble(store))
        yield from [json.dumps(ensemble)] if as_json else ensemble_lines(str(store.path), ensemble)
    else:
        yield from _other_lines(store, as_json)


def _other_lines(store: Store, as_json: bool) -> Iterator[str]:
    rows, parts = store.rows(), len(store.parts())
    if as_json:
        yield json.dumps({"kind": store.kind, "rows": rows, "parts": parts, "about": store.about})
        return
    yield visible(f"{store.path}: {store.kind}, {rows:,} rows in {parts} parts")
    yield from _named(store.about)
    yield from _missing(store)


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
    click.echo("\n".join(_named(about)))


def _show_sweep(directory: str, as_json: bool) -> None:
    lines = sweep_lines(Path(directory))
    rows = pq.read_table(Path(directory) / "results.parquet").to_pylist() if as_json else []
    click.echo(json.dumps({"kind": "sweep", "students": rows}) if as_json else "\n".join(lines))


def _named(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield visible(f"  {name}: {json.dumps(value)}")


def _missing(store: Store) -> Iterator[str]:
    missing = store.missing_slots()
    if missing:
        yield f"  unfinished: {len(missing)} of {store.about['parts']} parts are missing"


def _transfer_set_lines(transfer: TransferSet, found: Summary, number: int) -> Iterator[str]:
    rules = list(found.rules)
    is_terminal = sys.stdout.isatty()
    colours = {rule: _COLOURS[n % len(_COLOURS)] for n, rule in enumerate(rules)} if is_terminal else {}
    yield f"{transfer.store.path}: {found.rows:,} rows in {found.parts} parts"
    yield from _missing(transfer.store)
    source = transfer.store.about["source"]
    yield visible(f"  {task_line(transfer.task)}")
    yield visible(f"  source: {source['rows']:,} rows, fingerprint {source['fingerprint']}")
    for lines in (*summary_lines(found, colours), _made_with(transfer.store.about)):
        yield from ("", *lines)
    for rows in examples(transfer, number):
        yield from ("", *_example(transfer, rows, colours))


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
