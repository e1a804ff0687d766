"""A table as the bytes of a Parquet file."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def parquet_bytes(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    repeating = [leaf for field in table.schema if _repeats(table[field.name]) for leaf in _leaves(field)]
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
