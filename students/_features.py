"""Rows of features as numbers and codes, for students that read tables; nothing here needs torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import StillhouseError, Task
from transferset.plain import parse_json
from transferset.tables import FeatureTypes

from ._number import Sample, Scaling, scaled
from .encoding import Array, Columns, Rows

#: Categories of a column that get a code; all rarer ones are the unknown one.
MOST_CATEGORIES = 10_000
#: From so many rows the distribution of numbers is learned.
SAMPLE_ROWS = 1 << 16
#: So many distinct categories of a column are counted at once; where there are more, the rarest are forgotten.
_MOST_COUNTED = 1 << 18
_BLOCK = 1 << 13
_NUMERIC = {"bool": pa.bool_(), "int64": pa.int64(), "float64": pa.float64()}
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Numeric:
    """A column of numbers: a scaled one a row, and where any was missing in learning a 1 where one is."""

    name: str
    type: str
    scaling: Scaling
    has_missing: bool


@dataclass(frozen=True)
class Nominal:
    """A column of categories, most frequent first: codes from 1, and 0 for any other and for a missing one."""

    name: str
    categories: tuple[str, ...]
    _set: pa.Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", pa.array(self.categories, pa.string()))

    def codes(self, column: pa.Array | pa.ChunkedArray) -> Codes:
        """(N,) the codes of a column."""
        places: Codes = pc.fill_null(pc.index_in(column, value_set=self._set), -1).to_numpy()
        return places + np.int32(1)


@dataclass(frozen=True)
class FeatureRows:
    """N rows of features: ``Inputs`` of the students that read tables.

    Attributes:
        numbers: (N, F) float32 scaled numbers, finite.
        codes: (N, K) codes of categories.
    """

    numbers: Array
    codes: Array

    names: ClassVar[tuple[str, ...]] = ("numbers", "codes")

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(N,) ones: all rows cost the same."""
        return np.ones(len(self), np.int64)

    def batch(self, rows: Rows) -> tuple[Array, ...]:
        """Numbers, (B, F) float32, and codes, (B, K) int64; F or K may be 0."""
        return self.numbers[rows], self.codes[rows].astype(np.int64)

    def columns(self) -> dict[str, Array]:
        """Numbers and codes, whichever there are."""
        return {name: each for name, each in (("numbers", self.numbers), ("codes", self.codes)) if each.shape[1]}


@dataclass(frozen=True)
class Features:
    """The columns of a table as a student knows them, in the order of the task.

    >>> task = Task("features", ("height", "kind"))
    >>> features = learn_features([pa.table({"height": [1, 2, 3], "kind": ["b", "a", "b"]})], task)
    >>> rows = features.encode([pa.array([3, 2, None]), pa.array(["a", "b", "?"])])
    >>> rows.numbers.round(2).T, rows.codes.T
    (array([[1.22, 0.  , 0.  ]], dtype=float32), array([[2, 1, 0]], dtype=int32))
    """

    columns: tuple[Numeric | Nominal, ...]

    kind: ClassVar[str] = "features"

    @property
    def types(self) -> FeatureTypes:
        """The types of the columns by name."""
        return {each.name: _NUMERIC[each.type] if isinstance(each, Numeric) else pa.string() for each in self.columns}

    @property
    def numbers(self) -> int:
        """F, how many numbers a row has: a scaled one for each column of numbers, and then whether it was missing."""
        return len(self._numeric) + sum(each.has_missing for each in self._numeric)

    @property
    def _numeric(self) -> list[Numeric]:
        return [each for each in self.columns if isinstance(each, Numeric)]

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """(K,) how many codes each column of categories has, with the 0."""
        return tuple(len(each.categories) + 1 for each in self.columns if isinstance(each, Nominal))

    def encode(self, columns: Columns) -> FeatureRows:
        """N rows as numbers and codes; what is missing or infinite is fine.

        Raises:
            StillhouseError: a column of another type.
        """
        pairs = list(zip(self.columns, columns, strict=True))
        codes = [of.codes(_cast(of.name, column, pa.string())) for of, column in pairs if isinstance(of, Nominal)]
        numbers = [_floats(of.name, column) for of, column in pairs if isinstance(of, Numeric)]
        return FeatureRows(self._numbers(numbers, len(columns[0])), _matrix(codes, len(columns[0]), np.int32))

    def _numbers(self, columns: Sequence[Array], rows: int) -> npt.NDArray[np.float32]:
        scalings = [each.scaling for each in self._numeric]
        some_missing = [place for place, each in enumerate(self._numeric) if each.has_missing]
        found = np.empty((rows, self.numbers), np.float32)
        # So many rows at a time as stay near the processor.
        for start in range(0, rows, _BLOCK):
            block = found[start : start + _BLOCK]
            values = _matrix([column[start : start + _BLOCK] for column in columns], len(block))
            block[:, : len(scalings)] = scaled(values, scalings)
            block[:, len(scalings) :] = np.isnan(values[:, some_missing])
        return found

    def inputs(self, columns: Mapping[str, Array]) -> FeatureRows:
        """The rows whose columns these are."""
        rows = len(next(iter(columns.values())))
        return FeatureRows(
            columns.get("numbers", np.zeros((rows, 0), np.float32)), columns.get("codes", np.zeros((rows, 0), np.int32))
        )

    def settings(self) -> dict[str, Any]:
        """Nothing: all that is known of the columns stands in the file."""
        return {}

    def files(self) -> dict[str, bytes]:
        """The columns, as JSON."""
        columns = [
            asdict(each) if isinstance(each, Numeric) else {"name": each.name, "categories": list(each.categories)}
            for each in self.columns
        ]
        return {"features.json": (json.dumps(columns, indent=1, ensure_ascii=False) + "\n").encode()}

    @classmethod
    def read(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Features:
        """The features that gave these settings and files."""
        stored = parse_json(files["features.json"])
        if settings or not isinstance(stored, list) or not stored:
            raise ValueError("features.json must hold a JSON list of columns, and no settings stand beside it")
        return cls(tuple(_read_column(dict(each)) for each in stored))


def learn_features(tables: Iterable[pa.Table], task: Task) -> Features:
    """What a student must know of the task's features, from one pass over tables that have them.

    Booleans, integers and floats are numbers, all else are categories. Memory is bounded: the distribution of numbers
    is that of ``SAMPLE_ROWS`` rows, and of more than a quarter of a million categories the rarest are forgotten as one
    goes. Where there are no more, the order of rows makes no difference.

    Raises:
        StillhouseError: no rows.
    """
    learning: _Learning | None = None
    for table in tables:
        if len(table):
            learning = learning or _Learning(task, table.schema)
            learning.add(table)
    if learning is None:
        raise StillhouseError("train: the transfer set must hold rows, got none")
    return learning.features()


class _Learning:
    """What has been seen of the columns of a task."""

    def __init__(self, task: Task, schema: pa.Schema) -> None:
        self.names = task.inputs
        types = {name: _numeric_type(schema.field(name).type) for name in task.inputs}
        self.numeric = {name: kind for name, kind in types.items() if kind is not None}
        self.sample = Sample(len(self.numeric), SAMPLE_ROWS)
        self.missing = np.zeros(len(self.numeric), np.bool_)
        none = pa.table({"name": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
        self.counts = {name: none for name in task.inputs if name not in self.numeric}

    def add(self, table: pa.Table) -> None:
        values = _matrix([_floats(name, table[name]) for name in self.numeric], len(table))
        self.sample.add(values)
        self.missing |= np.isnan(values).any(0)
        for name, counts in self.counts.items():
            self.counts[name] = _counted(counts, _cast(name, table[name], pa.string()))

    def features(self) -> Features:
        columns: dict[str, Numeric | Nominal] = {}
        for values, missing, (name, kind) in zip(self.sample.values.T, self.missing, self.numeric.items(), strict=True):
            columns[name] = Numeric(name, kind, Scaling.learned(values), bool(missing))
        for name, counts in self.counts.items():
            columns[name] = Nominal(name, tuple(_ranked(counts)["name"][:MOST_CATEGORIES].to_pylist()))
        return Features(tuple(columns[name] for name in self.names))


def _counted(counts: pa.Table, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    """How often each category was met, with those of a further column."""
    new = pa.table({"name": column.drop_null()}).group_by("name").aggregate([([], "count_all")])
    both = pa.concat_tables([counts, new.rename_columns(["name", "count"])])
    counts = both.group_by("name").aggregate([("count", "sum")]).rename_columns(["name", "count"])
    return _ranked(counts)[: _MOST_COUNTED // 2] if len(counts) > _MOST_COUNTED else counts


def _ranked(counts: pa.Table) -> pa.Table:
    return counts.sort_by([("count", "descending"), ("name", "ascending")])


def _numeric_type(kind: pa.DataType) -> str | None:
    """The name of the type that a column of numbers is read as; None for categories."""
    numeric = {pa.types.is_boolean: "bool", pa.types.is_integer: "int64", pa.types.is_floating: "float64"}
    return next((name for of_kind, name in numeric.items() if of_kind(kind)), None)


def _matrix(columns: Sequence[Array], rows: int, dtype: npt.DTypeLike = np.float64) -> Array:
    """(rows, columns) of columns, of which there may be none."""
    found = np.empty((rows, len(columns)), dtype)
    for place, column in enumerate(columns):
        found[:, place] = column
    return found


def _floats(name: str, column: pa.Array | pa.ChunkedArray) -> Array:
    """A column of numbers, with NaN where missing."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        column = _cast(name, column, pa.float64())
    # Whole numbers come as they are where none is missing.
    numbers: Array = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(False)
    return numbers


def _cast(name: str, column: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if column.type == kind:
        return column
    try:
        return column.cast(kind, safe=False)
    except pa.ArrowException:
        what = "category names" if kind == pa.string() else "numbers"
        raise StillhouseError(f"student: column {name!r} must hold {what}, got values of type {column.type}") from None


def _read_column(stored: dict[str, Any]) -> Numeric | Nominal:
    if not isinstance(stored["name"], str):
        raise ValueError(f"a column's name must be a text, got {stored['name']!r}")
    if "categories" in stored:
        found = Nominal(stored["name"], tuple(stored["categories"]))
        if len(set(found.categories)) != len(found.categories):
            raise ValueError(f"the categories of {found.name!r} must differ")
        return found
    if stored["type"] not in _NUMERIC or not isinstance(stored["has_missing"], bool):
        raise ValueError(f"column {stored['name']!r} must be of a known type, got {stored['type']!r}")
    return Numeric(**{**stored, "scaling": Scaling(**stored["scaling"])})
