"""Augmenting what is in memory: texts, or a table, in; an Arrow table out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from transferset import Keys, KeySet, Task, content_keys, feature_types, read_rows
from transferset.cores import cores
from transferset.in_memory import InMemory, is_table
from transferset.words import placeholders

from ._block import Places
from ._choose import choose_new
from ._corpus import Corpus, first_row
from ._ingest import cut, even
from ._rows import Copies, Plan, all_copies, in_order, originals
from .engine import check_request, default_recipe
from .recipe import Augmenter, Recipe, as_recipe


def augment(
    data: Any,
    recipe: Recipe | str | Sequence[Augmenter] | None = None,
    copies: int | None = None,
    seed: int = 0,
    task: Task | None = None,
    keep_labels: bool = False,
    exact: bool = False,
    candidates: Path | str | None = None,
) -> pa.Table:
    """The rows of a transfer set, in memory: each original (copy 0) followed by its augmented copies.

    The same rows as ``augment_file`` makes of a file with the same contents, recipe and seed.

    Args:
        data: texts (a list, an Arrow array, a pandas or polars column), or a table (Arrow, pandas, polars).
        recipe: ``tang2019`` for texts and ``munge`` for features where None.
        copies: the most copies of a row; the recipe's number where None. Duplicates are dropped.
        task: what the columns of a table are; all of them are features where None.
        keep_labels: gives augmented rows the gold label of their source instead of null.
        exact: draws a dropped copy again, up to 20 times, so that rows have ``copies`` of them if they can.
        candidates: a directory that keeps what language models offer from one call to the next.

    Returns:
        The columns of the task (``text`` for bare texts), ``source`` (place in ``data``), ``copy`` and ``edits``.

    >>> from augment import Mask
    >>> augment(["a fine film"], [Mask(rate=0.5)], copies=3, seed=2).select(["text", "copy"]).to_pylist()[:2]
    [{'text': 'a fine film', 'copy': 0}, {'text': '[MASK] fine [MASK]', 'copy': 1}]

    Raises:
        StillhouseError: nulls or other than texts, a recipe for something else, a table without the columns.
    """
    source = InMemory.of(data, task.inputs[0] if task is not None else "text")
    task = task or _guessed(source, data)
    made = as_recipe(recipe if recipe is not None else default_recipe(task))
    copies = made.copies_of(task.kind) if copies is None else copies
    check_request(made, task, copies, seed, keep_labels)
    corpus = _corpus(source, task, made, copies, None if candidates is None else Path(candidates))
    seen = KeySet()
    for index in range(corpus.blocks):
        seen.add(content_keys(task, corpus.rows(index)))
    plan = made.fitted(corpus, copies, seed, keep_labels)
    blocks = _each_block(corpus, partial(_draw_block, plan, corpus, copies))
    chosen = [_choose(plan, corpus, index, seen, copies if exact else 0, drawn) for index, drawn in enumerate(blocks)]
    return pa.concat_tables(chosen).combine_chunks()


def preview(
    texts: Any, recipe: Recipe | str | Sequence[Augmenter] = "tang2019", copies: int = 1, seed: int = 0
) -> pa.Array:
    """Augmented copies of texts and nothing else: ``copies`` of each in turn, unchanged ones and duplicates and all.

    >>> from augment import Mask
    >>> preview(["a fine film"], [Mask(rate=0.5)], copies=2, seed=2).to_pylist()
    ['[MASK] fine [MASK]', '[MASK] [MASK] film']
    """
    made, task = as_recipe(recipe), Task("text", ("text",))
    check_request(made, task, copies, seed, keep_labels=False)
    corpus = _corpus(InMemory.of(texts, "text"), task, made, copies, None)
    plan = made.fitted(corpus, copies, seed)
    return pa.concat_arrays(_each_block(corpus, lambda index: plan.texts(corpus, index, copies)))


def _each_block(corpus: Corpus, function: Callable[[int], Any]) -> Iterator[Any]:
    """What a function makes of each block, in order; blocks are worked on in threads."""
    # Features are edited a pass at a time, which blocks share.
    threads = 1 if corpus.task.kind == "features" else min(corpus.blocks, cores())
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, range(corpus.blocks))


def _draw_block(plan: Plan, corpus: Corpus, copies: int, index: int) -> tuple[pa.Table, Keys]:
    """The copies of a block's rows, and their keys."""
    drawn = plan.draw_up(corpus, index, *all_copies(len(corpus.rows(index)), copies))
    return drawn, content_keys(corpus.task, drawn)


def _choose(plan: Plan, corpus: Corpus, index: int, seen: KeySet, exact: int, drawn: tuple[pa.Table, Keys]) -> pa.Table:
    """The originals of a block and its new copies, in order."""
    tables, first = [drawn[0]], first_row(corpus.rows(index))

    def drafted(table: pa.Table, keys: Keys) -> tuple[Keys, Places]:
        return keys, table["source"].to_numpy() - first

    def more(row: Places, copy: Copies) -> tuple[Keys, Places]:
        tables.append(plan.draw_up(corpus, index, row, copy))
        return drafted(tables[-1], content_keys(corpus.task, tables[-1]))

    keep = choose_new(seen, len(corpus.rows(index)), exact, drafted(*drawn), more)
    table, chosen = in_order(originals(corpus, index), tables, keep)
    return table.take(pa.array(chosen))


def _guessed(source: InMemory, data: Any) -> Task:
    """The task of data that nobody described: texts, or a table of features."""
    if not is_table(data):
        return Task("text", ("text",))
    categories = (field.name for field in source.table.schema if pa.types.is_dictionary(field.type))
    return Task("features", tuple(source.columns()), categorical=tuple(categories))


def _corpus(source: InMemory, task: Task, recipe: Recipe, copies: int, models: Path | None) -> Corpus:
    """The rows, read and cut into blocks as those of a file are."""
    types = feature_types(source, task) if task.kind == "features" and len(source.table) else None
    if types is None and task.kind == "features":
        types = {name: source.table[name].type for name in task.inputs}
    tables, rows = [], 0
    for table in cut(even(read_rows(source, task, types)), copies + 1):
        tables.append(table.append_column("source", pa.array(np.arange(rows, rows + len(table)))).combine_chunks())
        rows += len(table)
    if not tables:
        columns = {name: pa.array([], types[name] if types else pa.string()) for name in task.inputs}
        label = {} if task.label is None else {task.label: pa.array([], task.label_type)}
        tables = [pa.table({**columns, **label, "source": pa.array([], pa.int64())})]
    return Corpus.in_memory(task, tables, whole=placeholders(recipe.mask_token), protect=recipe.protect, models=models)
