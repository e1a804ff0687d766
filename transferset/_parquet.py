"""A table as the bytes of a Parquet file, and back, with its columns checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .columns import Column


def read_parquet(data: pa.Buffer, names: Sequence[str] | None, known: Mapping[str, Column]) -> pa.Table:
    """The columns asked for, or all; raises ValueError for one that is missing, or is not what is known of it."""
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    there = file.schema_arrow.names
    for name in (*there, *known) if names is None else names:
        if there.count(name) != 1:
            raise ValueError(f"column {name!r} must be there once, got it {there.count(name)} times")
    table = file.read(None if names is None else list(names), use_threads=False)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in known:
            known[name].check(name, column)
    return table


def parquet_bytes(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    fields = zip(table.schema, table.columns, strict=True)
    repeating = [leaf for field, column in fields if _repeats(column) for leaf in _leaves(field)]
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=repeating)
    return memoryview(sink.getvalue())


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a dictionary of the values is worth making: of keys, logits and texts all differ, and it takes time."""
    kind = column.type
    if pa.types.is_string(kind):
        some = column.slice(0, 1000)
        return bool(2 * pc.count_distinct(some).as_py() <= len(some))
    return not pa.types.is_fixed_size_binary(kind) and not pa.types.is_fixed_size_list(kind)


def _leaves(field: pa.Field, above: str = "") -> list[str]:
    """The names that Parquet gives to the columns of a field."""
    name = f"{above}{field.name}"
    if pa.types.is_struct(field.type):
        return [leaf for inner in field.type for leaf in _leaves(inner, f"{name}.")]
    if pa.types.is_list(field.type):
        return _leaves(field.type.value_field.with_name("element"), f"{name}.list.")
    return [name]
