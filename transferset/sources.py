"""Reads csv, tsv, jsonl, txt and Parquet files, and data sets of Hugging Face, as a stream of record batches.

Nothing is guessed: text formats give strings, and ``tables`` makes of them what the task asks for.
A row is named by its number in the file, counted from 1 without the header.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from . import huggingface
from .errors import StillhouseError, unknown
from .files import hash_path

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")
#: Longest quoted field; a lone quote mark would otherwise swallow the rest of the file.
MAX_FIELD_CHARS = 16 * 1024 * 1024
Row = Sequence[Any]


@dataclass(frozen=True)
class Source:
    """A file, a directory of Parquet files, or a data set of Hugging Face, to be read in batches.

    ``quote`` says whether ``"`` encloses fields; by default it does in csv and does not in tsv.
    Without ``header`` the columns are called ``1``, ``2``, ...; a txt file has the one column ``text``.
    A byte-order mark and CRLF are read through; columns past those of the header are left out.

    A data set is a name of the hub (``OWNER/NAME``, ``OWNER/NAME/CONFIGURATION``, ``glue/TASK``), a folder of files, or
    one that ``save_to_disk`` wrote. ``:SPLIT`` after it says which split; without, it is ``split``, or the only one.

    Raises:
        StillhouseError: no such file, an unknown ending, an unknown encoding; no such data set or split.
    """

    path: Path
    quote: bool | None = None
    header: bool = True
    encoding: str = "utf-8"
    split: str | None = None
    data: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if self.data is None and huggingface.names_set(self.path, FORMATS):
            object.__setattr__(self, "data", huggingface.load_set(str(self.path), self.split))
        if self.data is None:
            self._check_file()

    @classmethod
    def of(cls, data: Any, name: str = "data") -> Source:
        """The source of a ``datasets.Dataset``, or of an ``IterableDataset``, which is read anew for each pass.

        Raises:
            StillhouseError: something else, or a dict of several splits.
        """
        if not huggingface.is_set(data):
            raise StillhouseError(f"{name}: must be a data set of the library datasets, got {type(data).__name__}")
        return cls(Path(name), data=huggingface.one_split(data, name))

    def _check_file(self) -> None:
        if not self.path.exists():
            raise StillhouseError(f"{self.path}: must be a file or a directory of Parquet, got nothing there")
        if self.format not in FORMATS:
            raise StillhouseError(f"{self.path}: must end in one of {', '.join(FORMATS)}, got {self.path.suffix!r}")
        try:
            "a".encode(self.encoding).decode(self.encoding, "surrogateescape")
        except (LookupError, ValueError):
            raise StillhouseError(f"encoding: must be a text encoding of Python, got {self.encoding!r}") from None

    @property
    def format(self) -> str:
        """The ending that says how the file is read; a directory counts as ``.parquet``, a data set has none."""
        if self.data is not None:
            return ""
        return ".parquet" if self.path.is_dir() else self.path.suffix.lower()

    def columns(self) -> list[str]:
        """The names of the columns, in file order.

        Raises:
            StillhouseError: the file is empty or cannot be read in its format.
        """
        if self.data is not None:
            return self._distinct(huggingface.column_names(self.data, str(self.path)))
        if self.format == ".parquet":
            return self._distinct(_parquet_schema(_parquet_files(self.path)[0]).names)
        if self.format == ".txt":
            return ["text"]
        with self._open() as stream, self._decoding():
            first = next(self._rows(stream), None)
        if first is None:
            raise StillhouseError(f"{self.path}: must hold at least one row, got an empty file")
        if self.format == ".jsonl":
            return list(_as_object(self.path, 1, first))
        return self._distinct(first if self.header else [str(i + 1) for i in range(len(first))])

    def classes(self, column: str) -> tuple[str, ...]:
        """The classes of a column in the order that the data set gives them; none where it does not."""
        return () if self.data is None else huggingface.class_names(self.data, column)

    def content(self) -> str:
        """A hash of what is read: of the bytes of the files, of all rows of a data set."""
        if self.data is not None:
            return huggingface.hash_of(self.data, str(self.path))
        return hash_path(self.path)

    def batches(self, columns: Sequence[str], rows: int = 8192) -> Iterator[pa.RecordBatch]:
        """The wanted columns, ``rows`` rows at a time, as strings (jsonl and Parquet: as they are).

        Raises:
            StillhouseError: a missing column, a short row, bytes that are not text; file and row named.
        """
        known = self.columns()
        for column in columns:
            if column not in known:
                raise unknown(f"{self.path}: column", column, known)
            if not column.isprintable():
                raise StillhouseError(f"{self.path}: a column's name must be printable, got {column!r}")
        if self.data is not None:
            yield from huggingface.batches_of(self.data, columns, rows, str(self.path))
        elif self.format == ".parquet":
            yield from _parquet_batches(self.path, columns, rows)
        else:
            yield from self._text_batches(columns, known, rows)

    def _text_batches(self, columns: Sequence[str], known: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        with self._open() as stream, self._decoding():
            records = self._rows(stream)
            if self.header and self.format in (".csv", ".tsv"):
                next(records)
            first_row = 1
            families: dict[str, str] = {}
            while chunk := list(islice(records, rows)):
                if self.format == ".jsonl":
                    cells = self._object_cells(chunk, columns, first_row)
                else:
                    cells = self._field_cells(chunk, [known.index(c) for c in columns], len(known), first_row)
                arrays = [_to_arrow(self.path, c, values, first_row) for c, values in zip(columns, cells, strict=True)]
                for column, array in zip(columns, arrays, strict=True):
                    family = families.setdefault(column, _family(array.type))
                    if _family(array.type) not in (family, "null") and family != "null":
                        raise StillhouseError(
                            f"{self.path}: from row {first_row}, column {column!r} must hold a {family} as before,"
                            f" got a {_family(array.type)}"
                        )
                    if family == "null":
                        families[column] = _family(array.type)
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))
                first_row += len(chunk)

    def _field_cells(self, chunk: list[Row], positions: list[int], width: int, first_row: int) -> list[list[Any]]:
        for offset, row in enumerate(chunk):
            if len(row) < width:
                raise StillhouseError(
                    f"{self.path}: row {first_row + offset} must have {width} columns, got {len(row)}"
                )
        return [[row[position] for row in chunk] for position in positions]

    def _object_cells(self, chunk: list[Row], columns: Sequence[str], first_row: int) -> list[list[Any]]:
        objects = [_as_object(self.path, first_row + i, row) for i, row in enumerate(chunk)]
        return [[each.get(column) for each in objects] for column in columns]

    def _open(self) -> IO[str]:
        encoding = "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
        # Bad bytes become lone surrogates, which Arrow refuses: so the row can be named.
        newline = "" if self._quoted else "\n"
        return self.path.open(encoding=encoding, errors="surrogateescape", newline=newline)

    @property
    def _quoted(self) -> bool:
        return self.format in (".csv", ".tsv") and (self.format == ".csv" if self.quote is None else self.quote)

    def _rows(self, stream: IO[str]) -> Iterator[Row]:
        if self.format in (".txt", ".jsonl"):
            return ([line.rstrip("\r\n")] for line in stream)
        delimiter = "," if self.format == ".csv" else "\t"
        if not self._quoted:
            return (line.rstrip("\r\n").split(delimiter) for line in stream)
        return _quoted_rows(self.path, stream, delimiter)

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise StillhouseError(f"{self.path}: must be text in {self.encoding}: {error}") from None

    def _distinct(self, names: Sequence[str]) -> list[str]:
        for name in names:
            if list(names).count(name) > 1:
                raise StillhouseError(f"{self.path}: column names must differ, got {name!r} twice")
        return list(names)


def _quoted_rows(path: Path, stream: IO[str], delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        # A blank line is no record of a csv file.
        yield from (row for row in reader if row)
    except csv.Error as error:
        raise StillhouseError(f"{path}: line {reader.line_num} must be well-formed csv: {error}") from None


def _as_object(path: Path, row: int, line: Row) -> dict[str, Any]:
    try:
        value = json.loads(line[0])
    except (ValueError, RecursionError) as error:
        raise StillhouseError(f"{path}: row {row} must be one JSON object on a line: {error}") from None
    if not isinstance(value, dict):
        raise StillhouseError(f"{path}: row {row} must be a JSON object, got {type(value).__name__}")
    return value


def _to_arrow(path: Path, column: str, values: list[Any], first_row: int) -> pa.Array:
    try:
        return pa.array(values)
    except (UnicodeEncodeError, pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        for offset, value in enumerate(values):
            _check_value(f"{path}: row {first_row + offset}, column {column!r}", value)
        odd = _first_odd(values)
        raise StillhouseError(
            f"{path}: row {first_row + odd}, column {column!r} must hold a value of the type of those before it,"
            f" got {str(values[odd])[:40]!r}"
        ) from None


def _family(kind: pa.DataType) -> str:
    """What a JSON column holds: text, number, list, ..."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    return {"string": "text", "bool": "truth value"}.get(str(kind), str(kind).partition("<")[0])


def _first_odd(values: list[Any]) -> int:
    """The place of the first value that does not go into one array with those before it."""
    fits, fails = 0, len(values)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        try:
            pa.array(values[:middle])
            fits = middle
        except (pa.ArrowException, OverflowError):
            fails = middle
    return fails - 1


def _check_value(where: str, value: Any) -> None:
    try:
        pa.array([value])
    except UnicodeEncodeError as error:
        raise StillhouseError(
            f"{where} must be valid text in the file's encoding, got an undecodable byte at character {error.start + 1}"
        ) from None
    except (pa.ArrowException, OverflowError) as error:
        raise StillhouseError(f"{where} must be a plain value, got {str(value)[:40]!r}: {error}") from None


def _parquet_files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise StillhouseError(f"{path}: must hold .parquet files, got none")
    return files


def _parquet_schema(file: Path) -> pa.Schema:
    return _reading(file, lambda: pq.read_schema(file))


def _parquet_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    for file in _parquet_files(path):
        names = _parquet_schema(file).names
        for column in columns:
            if column not in names:
                raise unknown(f"{file}: column", column, names)
            if names.count(column) > 1:
                raise StillhouseError(f"{file}: column names must differ, got {column!r} twice")
        parquet = _reading(file, lambda file=file: pq.ParquetFile(file))
        with parquet:
            batches: Iterable[pa.RecordBatch] = parquet.iter_batches(batch_size=rows, columns=list(columns))
            stream = iter(batches)
            while (batch := _reading(file, lambda stream=stream: next(stream, None))) is not None:
                yield batch.select(list(columns))


def _reading(file: Path, action: Any) -> Any:
    try:
        return action()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise StillhouseError(f"{file}: must be a readable Parquet file: {reason}") from None
