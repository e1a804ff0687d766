"""Lines of standard input as rows of a student's task."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from io import BufferedReader
from typing import Any

import pyarrow as pa

from transferset import StillhouseError, Task

#: The most lines answered together, and the most bytes read at once.
_ROWS, _BYTES = 8192, 1 << 20


class Lines:
    """A text a line; for pairs two texts with a tab between them; for features a JSON object a line.

    Whatever has arrived is handed on at once, so that who types a line, or another program, need not wait.

    Raises:
        StillhouseError: an unknown encoding, or one in which a line does not end in the byte of a line break.
    """

    path = "standard input"

    def __init__(self, stream: BufferedReader, task: Task, encoding: str = "utf-8") -> None:
        self._stream, self._task, self._encoding = stream, task, _checked(encoding)

    def columns(self) -> Sequence[str] | None:
        """The inputs; of features None, for the objects may have any fields."""
        return None if self._task.kind == "features" else self._task.inputs

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The wanted columns; of texts there are only the inputs, of features any field of the objects."""
        read = {"text": _one, "pair": _two, "features": _object}[self._task.kind]
        first = 1
        for lines in _lines(self._stream):
            rows, wrong = [], None
            try:
                for offset, line in enumerate(lines):
                    where = f"{self.path}: line {first + offset}"
                    rows.append(read(_text(line, where, self._encoding), where, self._task))
            except StillhouseError as error:
                wrong = error
            if rows:
                yield _batch(rows, columns)
            if wrong is not None:
                raise wrong
            first += len(lines)


def _lines(stream: BufferedReader) -> Iterator[list[bytes]]:
    """Lines without what ends them and without a byte-order mark of UTF-8, as many as have arrived."""
    rest, first = b"", True
    while data := stream.read1(_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        if first and lines:
            lines[0], first = lines[0].removeprefix(b"\xef\xbb\xbf"), False
        for start in range(0, len(lines), _ROWS):
            yield [line.rstrip(b"\r") for line in lines[start : start + _ROWS]]
    if rest:
        yield [(rest.removeprefix(b"\xef\xbb\xbf") if first else rest).rstrip(b"\r")]


def _checked(encoding: str) -> str:
    """The name of an encoding in which lines can be told apart before they are decoded."""
    try:
        ends_in_a_byte = b"a\n".decode(encoding, "replace") == "a\n"
    except (LookupError, ValueError):
        raise StillhouseError(f"encoding: must be a text encoding of Python, got {encoding!r}") from None
    if not ends_in_a_byte:
        raise StillhouseError(
            f"encoding: of standard input must be one in which a line ends in one byte, got {encoding!r}: give a file"
        )
    return codecs.lookup(encoding).name


def _text(line: bytes, where: str, encoding: str) -> str:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        name = "UTF-8" if encoding == "utf-8" else encoding
        raise StillhouseError(f"{where} must be valid {name}: {error.reason}") from None


def _one(line: str, _where: str, task: Task) -> dict[str, Any]:
    return dict(zip(task.inputs, [line], strict=True))


def _two(line: str, where: str, task: Task) -> dict[str, Any]:
    texts = line.split("\t")
    if len(texts) != 2:
        raise StillhouseError(f"{where} must be two texts with a tab between them, got {len(texts) - 1} tabs")
    return dict(zip(task.inputs, texts, strict=True))


def _object(line: str, where: str, task: Task) -> dict[str, Any]:
    try:
        found = json.loads(line)
        # JSON can name halves of characters, which no text can hold.
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise StillhouseError(f"{where} must hold text, got half a character") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise StillhouseError(f"{where} must be a JSON object: {error}") from None
    if not isinstance(found, dict):
        raise StillhouseError(f"{where} must be a JSON object, got {type(found).__name__}")
    for name in task.inputs:
        if name not in found:
            raise StillhouseError(f"{where} must have the field {name!r}, got none: null says that it is missing")
        if isinstance(found[name], list | dict):
            raise StillhouseError(f"{where}, field {name!r} must be a plain value, got {str(found[name])[:40]!r}")
    return found


def _batch(rows: list[dict[str, Any]], columns: Sequence[str]) -> pa.RecordBatch:
    return pa.record_batch({name: _array([row.get(name) for row in rows]) for name in columns})


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        # Of several types, as only JSON can be: as text, as all values of csv are.
        return pa.array([None if each is None else _cell(each) for each in values], pa.string())


def _cell(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # what the text of a whole number looks like
    return value if isinstance(value, str) else json.dumps(value)
