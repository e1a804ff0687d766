"""A table of features as one array of floats, and back again in its own types."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ._corpus import Corpus
from ._neighbours import Floats

_WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64())


@dataclass(frozen=True)
class Column:
    """A column whose cells are coded as floats, NaN where missing.

    The code of a nominal cell is the place of its category, that of an integer its distance from ``base``, the least
    one, and that of a float the float itself.

    Attributes:
        low, high: the range of the codes.
        exact: the cells themselves, for integers that no float tells apart.
    """

    name: str
    type: pa.DataType
    low: float = np.nan
    high: float = np.nan
    categories: pa.Array | None = None
    base: int = 0
    exact: pa.Array | None = None

    def decoded(self, codes: Floats, before: Floats) -> pa.Array:
        """The cells of (N,) codes, integers and categories in the smallest type that holds them.

        ``before``, (N,), are the codes of the column as it was.
        """
        missing = np.isnan(codes)
        if self.categories is None and not pa.types.is_integer(self.type):
            return pa.array(codes, mask=missing)
        whole = np.where(missing, 0, codes).astype(np.uint64) + np.uint64(self.base % 2**64)
        cells = pa.array(whole.view(np.int64), mask=missing)
        if self.exact is not None:
            cells = pc.if_else(pa.array((codes == before) | (missing & np.isnan(before))), self.exact, cells)
        cells = _smallest(cells)
        return cells if self.categories is None else pa.DictionaryArray.from_arrays(cells, self.categories)


def coded(corpus: Corpus) -> tuple[list[Column], Floats]:
    """All columns of the source, and their codes as (N, A)."""
    table = corpus.table()
    cells = np.empty((len(table), table.num_columns))
    columns = []
    for number, name in enumerate(table.column_names):
        column = table[number].combine_chunks()
        nominal = name in corpus.task.categorical or not (
            pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        )
        code = _code_nominal if nominal else _code_integers if pa.types.is_integer(column.type) else _code_floats
        found, cells[:, number] = code(name, column)
        columns.append(found)
    return columns, cells


def _code_nominal(name: str, column: pa.Array) -> tuple[Column, Floats]:
    coded = column.dictionary_encode()
    codes = coded.indices.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return Column(name, column.type, categories=coded.dictionary), codes


def _code_floats(name: str, column: pa.Array) -> tuple[Column, Floats]:
    codes = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    known = codes[~np.isnan(codes)]
    ends = (float(known.min()), float(known.max())) if len(known) else ()
    return Column(name, column.type, *ends), codes


def _code_integers(name: str, column: pa.Array) -> tuple[Column, Floats]:
    """From the least one up, so that those above 2**53 are told apart as long as their range is not that large."""
    least, most = pc.min_max(column).as_py().values()
    if least is None:
        return Column(name, column.type), np.full(len(column), np.nan)
    # The largest float that is not beyond the range.
    high = float(most - least)
    high = high if high <= most - least else float(np.nextafter(high, 0))
    whole = column.cast(pa.int64()).fill_null(least).to_numpy().view(np.uint64)
    codes = np.minimum((whole - np.uint64(least % 2**64)).astype(np.float64), high)
    codes[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    exact = column.cast(pa.int64()) if high > 2.0**53 else None
    return Column(name, column.type, 0.0, high, base=least, exact=exact), codes


def _smallest(whole: pa.Array) -> pa.Array:
    """The same integers in the smallest type that holds them."""
    ends = pc.min_max(whole).as_py()
    largest = max(-1 - (ends["min"] or 0), ends["max"] or 0)
    return whole.cast(next(kind for kind in _WHOLE if largest < 2 ** (kind.bit_width - 1)))
