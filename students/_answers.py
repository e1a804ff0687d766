"""A student's answers to rows, as arrays and as lines of jsonl, csv and tsv; nothing here needs torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import StillhouseError, Task
from transferset.tables import LABEL_SEPARATOR

from ._config import Config
from .metrics import decisions

Outputs = npt.NDArray[np.float32]
#: Columns of the input, by the name they have beside the answers: N plain values each.
Kept = Mapping[str, Sequence[Any]]
#: The lines of N rows, from their outputs, what is kept of them, and the number of the first.
Render = Callable[[Config, Outputs, Kept, int], bytes]

STYLES = ("jsonl", "csv", "tsv")
_json_text = json.JSONEncoder(ensure_ascii=False).encode


def probabilities(outputs: Outputs, task: Task) -> npt.NDArray[np.float64]:
    """(N, C) of logits, to six decimals: shares of one over the classes, or for multi-label one by one.

    >>> probabilities(np.array([[0, 0]], np.float32), Task("text", ("a",), "b", classes=("no", "yes")))
    array([[0.5, 0.5]])
    """
    logits = outputs.astype(np.float64)
    if task.target == "multilabel":
        shares = 0.5 * (1 + np.tanh(logits / 2))
    else:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-math.inf))
        shares = powers / powers.sum(axis=1, keepdims=True)
    return np.round(shares, 6)


def check_finite(who: str, outputs: npt.NDArray[np.floating[Any]]) -> None:
    """Raises StillhouseError where the outputs are no numbers: the weights are broken."""
    if not np.isfinite(outputs).all():
        raise StillhouseError(f"{who}: outputs must be finite, got nan or infinity: train it again")


def column_names(config: Config) -> list[str]:
    """The columns of an answer in csv and tsv."""
    if config.output == "embedding":
        return [f"e{place}" for place in range(config.width)]
    if config.task.target == "regression":
        return ["score"]
    label = "labels" if config.task.target == "multilabel" else "label"
    return [label, *(f"probability_{name}" for name in config.task.classes)]


def field_names(config: Config) -> list[str]:
    """The fields of an answer in jsonl."""
    if config.output == "embedding":
        return ["embedding"]
    if config.task.target == "regression":
        return ["score"]
    return ["labels" if config.task.target == "multilabel" else "label", "probabilities"]


def header(config: Config, kept: Sequence[str], style: str) -> bytes:
    """The first line of csv and tsv; nothing of jsonl."""
    if style == "jsonl":
        return b""
    names = pa.array([*kept, *column_names(config)], pa.string())
    separator = "," if style == "csv" else "\t"
    return (separator.join(_cells(names, style, "the header").to_pylist()) + "\n").encode()


def lines(config: Config, outputs: Outputs, kept: Kept, style: str, first_row: int = 1) -> bytes:
    """N lines of N rows; ``first_row`` is what errors call the first.

    >>> config = Config(Task("text", ("a",), "b", "regression"), None, "bag", {}, "logits", 1, {})
    >>> lines(config, np.array([[0.25]], np.float32), {"a": ["well, well"]}, "csv")
    b'"well, well",0.25\\n'
    """
    check_finite("student", outputs)
    if not len(outputs):
        return b""
    if style == "jsonl":
        return _joined([*_kept_fields(kept), *_answer_fields(config, outputs)], "{", ", ", "}\n")
    texts = {name: pa.array(map(_cell, values), pa.large_string()) for name, values in kept.items()}
    cells = [_cells(each, style, f"column {name!r}", first_row) for name, each in texts.items()]
    separator = "," if style == "csv" else "\t"
    return _joined([*cells, *_answer_cells(config, outputs, style)], "", separator, "\n")


def _joined(columns: Sequence[pa.Array], begin: str, separator: str, end: str) -> bytes:
    """The lines of N rows: of each its columns with something before, between and after them."""
    pieces: list[pa.Array | str] = [begin]
    for column in columns:
        pieces += [column, separator]
    rows = _beside(*pieces[:-1], end)
    first, last = np.frombuffer(rows.buffers()[1], np.int64)[[rows.offset, rows.offset + len(rows)]]
    # The strings of a column lie end to end: they are the file.
    return bytes(memoryview(rows.buffers()[2])[first:last])


def _beside(*pieces: pa.Array | str) -> pa.Array:
    """(N,) the pieces of each row as one text; a string is a piece of every row."""
    large = pa.large_string()
    same = [pa.scalar(each, large) if isinstance(each, str) else each.cast(large) for each in pieces]
    return pc.binary_join_element_wise(*same, pa.scalar("", large))


def _kept_fields(kept: Kept) -> list[pa.Array]:
    return [
        pa.array([f"{_json_text(name)}: {_json_value(each)}" for each in values], pa.large_string())
        for name, values in kept.items()
    ]


def _json_value(value: Any) -> str:
    if isinstance(value, str):
        return _json_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value, ensure_ascii=False, default=str)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | list | dict) else str(value)


def _answer_fields(config: Config, outputs: Outputs) -> list[pa.Array]:
    """What stands between the braces of a JSON object, a piece for each field."""
    if config.output == "embedding":
        return [_beside('"embedding": [', _rows(_numbers(outputs), config.width, ", "), "]")]
    if config.task.target == "regression":
        return [_beside('"score": ', _numbers(outputs))]
    names = pa.array([_json_text(name) for name in config.task.classes], pa.string())
    keys = pc.binary_join_element_wise(names, ": ", "").take(_every(len(names), len(outputs)))
    shares = _numbers(probabilities(outputs, config.task))
    each = pc.binary_join_element_wise(keys, shares, "")
    label = (
        _beside('"labels": [', _chosen(outputs, config.task, names, ", "), "]")
        if config.task.target == "multilabel"
        else _beside('"label": ', names.take(pa.array(decisions(outputs, config.task))))
    )
    return [label, _beside('"probabilities": {', _rows(each, config.width, ", "), "}")]


def _answer_cells(config: Config, outputs: Outputs, style: str) -> list[pa.Array]:
    """What stands in the columns of an answer, several of them joined already."""
    separator = "," if style == "csv" else "\t"
    if config.output == "embedding" or config.task.target == "regression":
        return [_rows(_numbers(outputs), config.width, separator)]
    names = pa.array(config.task.classes, pa.string())
    label = (
        _cells(_chosen(outputs, config.task, names, LABEL_SEPARATOR), style, "labels")
        if config.task.target == "multilabel"
        else _cells(names, style, "a class").take(pa.array(decisions(outputs, config.task)))
    )
    return [label, _rows(_numbers(probabilities(outputs, config.task)), config.width, separator)]


def _numbers(values: npt.NDArray[Any]) -> pa.Array:
    """All numbers of an array, row by row, as the shortest text that reads back as the same number."""
    return pa.array(np.ascontiguousarray(values).reshape(-1)).cast(pa.string())


def _every(number: int, rows: int) -> pa.Array:
    return pa.array(np.tile(np.arange(number), rows))


def _rows(texts: pa.Array, width: int, separator: str) -> pa.Array:
    """Every ``width`` texts joined to one."""
    first = np.arange(0, len(texts) + 1, width, dtype=np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(first), texts), separator)


def _chosen(outputs: Outputs, task: Task, names: pa.Array, separator: str) -> pa.Array:
    """The names of the classes that each row has, joined."""
    flags = decisions(outputs, task)
    first = np.concatenate([[0], np.cumsum(flags.sum(axis=1))]).astype(np.int32)
    found = names.take(pa.array(np.nonzero(flags)[1]))
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(first), found), separator)


def _cells(texts: pa.Array, style: str, what: str, first_row: int = 1) -> pa.Array:
    """Texts as they stand in csv, quoted where they must be, or in tsv, which has no quotes.

    Raises:
        StillhouseError: a tab or line break in tsv.
    """
    if style == "csv":
        texts = texts.cast(pa.large_string())
        quoted = _beside('"', pc.replace_substring(texts, '"', '""'), '"')
        return pc.if_else(pc.match_substring_regex(texts, '[",\r\n]'), quoted, texts)
    broken = pc.match_substring_regex(texts, "[\t\r\n]")
    if pc.any(broken).as_py():
        row = first_row + int(pc.index(broken, True).as_py())
        raise StillhouseError(
            f"row {row}: {what} must hold neither tabs nor line breaks to stand in tsv: use csv or jsonl"
        )
    return texts
