"""What is in memory, read as a file is: texts or a table of any library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from .errors import StillhouseError, unknown
from .huggingface import is_set, one_split, table_of


@dataclass(frozen=True)
class InMemory:
    """A table that stands in for a source; ``path`` is what errors call it."""

    table: pa.Table
    path: str = "data"

    @classmethod
    def of(cls, data: Any, name: str) -> InMemory:
        """A table (Arrow, pandas, polars, a data set), or texts as a table of one column called ``name``.

        Raises:
            StillhouseError: neither of them.
        """
        if is_set(data):
            return cls(table_of(one_split(data, cls.path), cls.path))
        if is_table(data):
            try:
                return cls(pa.table(data))
            except (pa.ArrowException, TypeError, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise StillhouseError(f"data: must be a table Arrow can read, got {reason}") from None
        return cls(pa.table({name: _column(data)}))

    def columns(self) -> list[str]:
        """The names of the columns.

        Raises:
            StillhouseError: a name that stands twice.
        """
        names: list[str] = self.table.column_names
        for name in names:
            if names.count(name) > 1:
                raise StillhouseError(f"{self.path}: each column must have a name of its own, got {name!r} twice")
        return names

    def batches(self, columns: Sequence[str], rows: int = 8192) -> Iterator[pa.RecordBatch]:
        """The wanted columns, ``rows`` rows at a time.

        Raises:
            StillhouseError: a missing column.
        """
        known = self.columns()
        for column in columns:
            if column not in known:
                raise unknown(f"{self.path}: column", column, known)
        plain = pa.table({name: _without_dictionary(self.table[name]) for name in columns})
        yield from plain.to_batches(max_chunksize=rows)


def is_table(data: Any) -> bool:
    """Whether it is a table, of Arrow or of another library, and not a column."""
    arrow = isinstance(data, pa.Table | pa.RecordBatch)
    return arrow or is_set(data) or (hasattr(data, "columns") and hasattr(data, "__arrow_c_stream__"))


def _column(data: Any) -> pa.ChunkedArray:
    if isinstance(data, str | bytes | Mapping | Set) or not hasattr(data, "__len__"):
        raise StillhouseError(f"data: must be a list or column of texts, or a table, got {type(data).__name__}")
    try:
        if hasattr(data, "__arrow_c_stream__") or isinstance(data, pa.ChunkedArray):
            return pa.chunked_array(data)
        plain = data if hasattr(data, "__array__") or isinstance(data, pa.Array) else list(data)
        return pa.chunked_array([pa.array(plain)])
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise StillhouseError(f"data: must be texts, got {str(error).splitlines()[0]}") from None


def _without_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values themselves; Arrow casts few of the dictionaries that other libraries make."""
    if not pa.types.is_dictionary(column.type):
        return column
    kind = column.type.value_type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    kind = pa.string() if text else kind
    chunks = [each.dictionary.cast(kind).take(each.indices) for each in column.chunks]
    return pa.chunked_array(chunks, kind)
