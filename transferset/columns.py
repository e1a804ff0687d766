"""What the columns of a part must be, so that an edited file is found out where it is read."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """A column of one of some types, without nulls unless it may have them."""

    types: tuple[pa.DataType, ...]
    nulls: bool = False

    def check(self, name: str, column: pa.ChunkedArray) -> None:
        """Nothing where a column of that name is such a one.

        >>> Column((pa.int64(), pa.bool_())).check("rows", pa.chunked_array([["a"]]))
        Traceback (most recent call last):
        ...
        ValueError: column 'rows' must be int64 or bool, got string

        Raises:
            ValueError: another type, nulls, or bytes that are called text and are none.
        """
        # Types are compared by what they hold: the name of the inner field differs among writers.
        if not any(column.type.equals(each) for each in self.types):
            raise ValueError(f"column {name!r} must be {' or '.join(map(str, self.types))}, got {column.type}")
        if column.null_count and not self.nulls:
            raise ValueError(f"column {name!r} must hold no nulls, got {column.null_count}")
        if pa.types.is_string(column.type):
            column.validate(full=True)
