"""Augmenting what is in memory: texts, or a table, in; an Arrow table out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transferset import Keys, KeySet, StillhouseError, Task, content_keys
from transferset.parameters import check_at_least

from ._block import Places
from ._choose import choose_new
from ._corpus import Corpus, first_row
from ._rows import Copies, Plan, all_copies, originals
from .engine import default_recipe, whole_words
from .recipe import Augmenter, Recipe, as_recipe

#: The output rows drawn up at once.
_BLOCK_ROWS = 65_536


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
    rows, task = _as_rows(data, task)
    made = as_recipe(recipe if recipe is not None else default_recipe(task))
    copies = made.copies_of(task.kind) if copies is None else copies
    check_at_least("copies", copies, 0)
    check_at_least("seed", seed, 0)
    if copies:
        made.check_kind(task.kind)
    if keep_labels and task.target == "regression":
        raise StillhouseError("keep_labels: must not be used with regression, where an edit changes the score")
    corpus = _corpus(rows, task, made, copies, None if candidates is None else Path(candidates))
    seen = KeySet()
    for index in range(corpus.blocks):
        seen.add(content_keys(task, corpus.rows(index)))
    plan = Plan([step.fit(corpus) for step in made.steps] if copies else [], made.pairs, seed, keep_labels)
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
    rows, task = _as_rows(texts, None)
    made = as_recipe(recipe)
    corpus = _corpus(rows, task, made, copies, None)
    plan = Plan([step.fit(corpus) for step in made.steps], made.pairs, seed)
    return pa.concat_arrays(_each_block(corpus, lambda index: plan.texts(corpus, index, copies)))


def _each_block(corpus: Corpus, function: Callable[[int], Any]) -> Iterator[Any]:
    """What a function makes of each block, in order; blocks are worked on in threads."""
    # Features are edited a pass at a time, which blocks share.
    threads = 1 if corpus.task.kind == "features" else min(corpus.blocks, os.cpu_count() or 1)
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
    own = originals(corpus, index)
    kept = np.concatenate([np.arange(len(own)), len(own) + np.flatnonzero(keep)])
    table = pa.concat_tables([own, *tables])
    return table.take(pa.array(kept[np.argsort(table["source"].to_numpy()[kept], kind="stable")]))


def _corpus(rows: pa.Table, task: Task, recipe: Recipe, copies: int, models: Path | None) -> Corpus:
    rows = rows.append_column("source", pa.array(np.arange(len(rows)))).combine_chunks()
    each = max(1, _BLOCK_ROWS // (copies + 1)) if copies else max(1, len(rows))
    blocks = [rows.slice(start, each) for start in range(0, max(1, len(rows)), each)]
    return Corpus.in_memory(task, blocks, whole=whole_words(recipe), protect=recipe.protect, models=models)


def _as_rows(data: Any, task: Task | None) -> tuple[pa.Table, Task]:
    table = _as_table(data)
    if table is None:
        texts = _as_texts(data, "texts")
        return pa.table({"text": texts}), task or Task("text", ("text",))
    task = task or Task("features", tuple(table.column_names))
    for name in task.columns:
        if name not in table.column_names:
            raise StillhouseError(f"data: must have column {name!r}, got {', '.join(table.column_names)}")
    columns = {name: table[name] for name in task.columns}
    if task.kind == "features":
        columns |= {name: _as_feature(table[name], name, name in task.categorical) for name in task.inputs}
    else:
        columns |= {name: _as_texts(table[name], f"column {name!r}") for name in task.inputs}
    if task.label is not None:
        columns[task.label] = table[task.label].cast(task.label_type)
    return pa.table(columns), task


def _as_table(data: Any) -> pa.Table | None:
    """A table of any library as an Arrow table; None for a single column."""
    if isinstance(data, pa.Table | pa.RecordBatch):
        return pa.table(data)
    if hasattr(data, "columns") and hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    return None


def _as_texts(data: Any, where: str) -> pa.Array:
    try:
        if hasattr(data, "__arrow_c_stream__") or isinstance(data, pa.ChunkedArray):
            texts = pa.chunked_array(data).combine_chunks()
        else:
            texts = pa.array(data if hasattr(data, "__array__") or isinstance(data, pa.Array) else list(data))
        texts = texts.cast(pa.string())
    except (pa.ArrowException, TypeError) as error:
        raise StillhouseError(f"{where}: must be strings, got {str(error).splitlines()[0]}") from None
    if texts.null_count:
        row = int(np.argmax(texts.is_null().to_numpy(zero_copy_only=False)))
        raise StillhouseError(f"{where}: must be strings, got none in row {row + 1}")
    return texts


def _as_feature(column: pa.ChunkedArray, name: str, categorical: bool) -> pa.Array:
    column = column.combine_chunks()
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if categorical or pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64())
        return pc.if_else(pc.is_finite(numbers), numbers, None)
    raise StillhouseError(f"column {name!r}: must be numbers, booleans or strings, got {kind}")
