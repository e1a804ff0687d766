"""Lines of standard input as rows of a student's task."""

from __future__ import annotations

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
    """

    path = "standard input"

    def __init__(self, stream: BufferedReader, task: Task) -> None:
        self._stream, self._task = stream, task

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
                    rows.append(read(line, f"{self.path}: line {first + offset}", self._task))
            except StillhouseError as error:
                wrong = error
            if rows:
                yield _batch(rows, columns)
            if wrong is not None:
                raise wrong
            first += len(lines)


def _lines(stream: BufferedReader) -> Iterator[list[bytes]]:
    """Lines without what ends them, as many as have arrived."""
    rest, first = b"", True
    while data := stream.read1(_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        if first and lines:
            lines[0], first = lines[0].removeprefix(b"\xef\xbb\xbf"), False
        for start in range(0, len(lines), _ROWS):
            yield [line.rstrip(b"\r") for line in lines[start : start + _ROWS]]
    if rest:
        yield [(rest.removeprefix(b"\xef\xbb\xbf") if first else rest).rstrip(b"\r")]


def _text(line: bytes, where: str) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise StillhouseError(f"{where} must be valid UTF-8: {error.reason}") from None


def _one(line: bytes, where: str, task: Task) -> dict[str, Any]:
    return dict(zip(task.inputs, [_text(line, where)], strict=True))


def _two(line: bytes, where: str, task: Task) -> dict[str, Any]:
    texts = _text(line, where).split("\t")
    if len(texts) != 2:
        raise StillhouseError(f"{where} must be two texts with a tab between them, got {len(texts) - 1} tabs")
    return dict(zip(task.inputs, texts, strict=True))


def _object(line: bytes, where: str, task: Task) -> dict[str, Any]:
    try:
        found = json.loads(_text(line, where))
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
