"""What scikit-learn hands to an estimator, as Arrow tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import StillhouseError
from transferset.in_memory import InMemory, is_table

_TEXTS = ("text", "text_pair")


def text_table(data: Any) -> pa.Table:
    """Texts (a list, a column, an array) or pairs of them (two columns) as one or two columns.

    A data frame's columns keep their names.

    >>> text_table([("is it good ?", "was it any good ?")]).column_names
    ['text', 'text_pair']

    Raises:
        StillhouseError: neither texts nor pairs.
    """
    if isinstance(data, str | bytes):
        raise StillhouseError(f"X: must be a list or column of texts, got {type(data).__name__}")
    if is_table(data):
        table, columns = InMemory.of(data, "text").table, None
    else:
        array = np.asarray(data if hasattr(data, "__array__") else list(data), dtype=object)
        columns = [array] if array.ndim == 1 else list(array.T)
        table = pa.table({str(place): InMemory.of(each, "text").table["text"] for place, each in enumerate(columns)})
    if table.num_columns not in (1, 2):
        raise StillhouseError(
            f"X: must be texts, or pairs of texts, got {table.num_columns} columns: for a table say student='mlp'"
        )
    if not table.num_rows:
        raise StillhouseError("X: must hold at least one row, got none")
    return table if columns is None else table.rename_columns(list(_TEXTS[: len(columns)]))


def feature_table(data: Any) -> pa.Table:
    """Features as columns: those of a data frame under their names, those of an array of numbers as x0, x1, ...

    Raises:
        StillhouseError: a number that is infinite; what is missing is NaN or null.
    """
    if is_table(data):
        table = InMemory.of(data, "x").table
    else:
        table = pa.table({f"x{place}": np.ascontiguousarray(column) for place, column in enumerate(data.T)})
    for name in table.column_names:
        column = table[name]
        if pa.types.is_floating(column.type) and pc.any(pc.is_inf(column)).as_py():
            raise StillhouseError(f"X: must hold finite numbers, or NaN where one is missing, got inf in {name!r}")
    return table


def categories_of(table: pa.Table) -> tuple[str, ...]:
    """The columns that hold categories even where these are numbers."""
    return tuple(field.name for field in table.schema if pa.types.is_dictionary(field.type))


def class_names(values: npt.ArrayLike) -> tuple[str, ...]:
    """Classes as labels of such values are spelt in a file.

    >>> class_names([1.0, 2.0]), class_names([False, True]), class_names(["neg", "pos"])
    (('1', '2'), ('false', 'true'), ('neg', 'pos'))

    Raises:
        StillhouseError: fewer than two, or one without a name.
    """
    plain = np.asarray(values).tolist()
    names = tuple(_spelt(value) for value in plain)
    if len(names) < 2:
        raise StillhouseError(f"y: must have at least 2 classes, got 1 class: {names[0]}")
    if "" in names:
        raise StillhouseError("y: must name a class for every row, got an empty name")
    return names


def _spelt(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) else str(value)
