"""The typed rows of a task, read from a source and checked.

Texts become strings without nulls, features float64, int64, bool or string, gold labels what the target
asks for. Every complaint names the file, the row (from 1, header not counted) and the column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import StillhouseError
from .in_memory import InMemory
from .sources import Source
from .task import Task, sort_classes

#: Cells of a text format that stand for a missing feature.
MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")
#: What separates the classes of a multi-label cell in a text format.
LABEL_SEPARATOR = "|"
FeatureTypes = dict[str, pa.DataType]
#: Where rows come from: a file, or what is in memory.
Rows = Source | InMemory


def read_rows(source: Rows, task: Task, types: FeatureTypes | None = None) -> Iterator[pa.RecordBatch]:
    """The columns of the task, typed; labels are checked against ``task.classes`` where it has any.

    ``types`` are those of the features, from ``feature_types``; texts need none.

    Raises:
        StillhouseError: a missing column, a null or undecodable text, a label that is not one.
    """
    first_row = 1
    for batch in source.batches(task.columns):
        arrays = []
        for column in task.inputs:
            where = _Where(source, column, first_row)
            values = batch.column(column)
            arrays.append(_features(values, types[column], where) if types else _texts(values, where))
        if task.label is not None:
            arrays.append(_labels(batch.column(task.label), task, _Where(source, task.label, first_row)))
        yield pa.RecordBatch.from_arrays(arrays, names=list(task.columns))
        first_row += batch.num_rows


def feature_types(source: Rows, task: Task) -> FeatureTypes:
    """The type of each feature column, from one pass: bool, int64, float64, or string if nominal.

    A column is nominal when it is named in ``task.categorical`` or holds a cell that is no number.
    """
    found: FeatureTypes = {}
    for batch in source.batches(task.inputs):
        for column in task.inputs:
            old = found.get(column, pa.null())
            found[column] = (
                pa.string() if column in task.categorical else _wider(old, _type_of(_known_cells(batch.column(column))))
            )
    for column, each in found.items():
        if each == pa.null():
            raise StillhouseError(f"{source.path}: column {column!r} must hold a value, got only missing ones")
    return found


def learn_classes(task: Task, seen: Sequence[str]) -> Task:
    """The task with its classes: those given, or the ones seen in standard order.

    Raises:
        StillhouseError: fewer than two classes to tell apart.
    """
    if task.target == "regression" or task.classes:
        return task
    classes = sort_classes(seen)
    fewest = 1 if task.target == "multilabel" else 2
    if task.label is not None and len(classes) < fewest:
        raise StillhouseError(
            f"label {task.label!r}: must have at least {fewest} classes, got {', '.join(classes) or 'none'}"
        )
    return replace(task, classes=classes)


def classes_in(batch: pa.RecordBatch, task: Task) -> list[str]:
    """The distinct class names among the gold labels of a batch."""
    if task.label is None or task.target == "regression":
        return []
    labels = batch.column(task.label)
    flat = pc.list_flatten(labels) if task.target == "multilabel" else labels
    names: list[str] = pc.unique(flat.drop_null()).to_pylist()
    return names


class _Where:
    """A place in a source, spelt only when there is something to complain about."""

    def __init__(self, source: Rows, column: str, first_row: int) -> None:
        self.source, self.column, self.first_row = source, column, first_row

    def row(self, offset: int) -> str:
        return f"{self.source.path}: row {self.first_row + offset}, column {self.column!r}"

    def first(self, wrong: pa.Array) -> int:
        return int(pc.index(wrong, True).as_py())


def _texts(values: pa.Array, where: _Where) -> pa.Array:
    if not _is_text(values.type):
        raise StillhouseError(f"{where.row(0)} must hold text, got {_plain(values.type)}")
    texts = _decoded(values, where)
    if texts.null_count:
        offset = where.first(texts.is_null())
        raise StillhouseError(f"{where.row(offset)} must hold text, got null")
    return texts


def _decoded(values: pa.Array, where: _Where) -> pa.Array:
    """Text of any Arrow type as strings that are known to be UTF-8; Parquet does not promise it."""
    texts = values.cast(pa.string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        for offset in range(len(texts)):
            try:
                texts[offset].as_py()
            except UnicodeDecodeError:
                raise StillhouseError(f"{where.row(offset)} must be valid UTF-8, got other bytes") from None
        raise
    return texts


def _labels(values: pa.Array, task: Task, where: _Where) -> pa.Array:
    if task.target == "regression":
        return _numbers(values, where)
    if task.target == "multilabel":
        labels = _label_lists(values, where)
        flat, parents = pc.list_flatten(labels), pc.list_parent_indices(labels)
        if flat.null_count:
            offset = parents[where.first(flat.is_null())].as_py()
            raise StillhouseError(f"{where.row(offset)} must hold a list of class names, got a null in it")
    else:
        flat = labels = _class_names(values, where)
        parents = None
    if task.classes:
        wrong = pc.invert(pc.is_in(flat.drop_null(), value_set=pa.array(task.classes)))
        if pc.any(wrong).as_py():
            _refuse_class(flat, parents, task, where)
    return labels


def _refuse_class(flat: pa.Array, parents: pa.Array | None, task: Task, where: _Where) -> None:
    known = pc.is_in(flat, value_set=pa.array([*task.classes, None], pa.string()))
    position = where.first(pc.invert(known))
    offset = parents[position].as_py() if parents is not None else position
    raise StillhouseError(
        f"{where.row(offset)} must hold one of the classes {', '.join(task.classes)}, got {flat[position].as_py()!r}"
    )


def _class_names(values: pa.Array, where: _Where) -> pa.Array:
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_floating(kind):
        values = values.cast(pa.float64())
        # Beyond 2**53 not every whole number is a float.
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53))
        fraction = pc.fill_null(pc.invert(whole), False)
        if pc.any(fraction).as_py():
            offset = where.first(fraction)
            raise StillhouseError(
                f"{where.row(offset)} must hold a class, got {values[offset].as_py()}: is this --task regression?"
            )
        values = values.cast(pa.int64())
    elif not (_is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise StillhouseError(f"{where.row(0)} must hold a class name or number, got {_plain(kind)}")
    names = _decoded(values, where) if _is_text(kind) else values.cast(pa.string())
    return pc.if_else(pc.equal(names, ""), pa.scalar(None, pa.string()), names)


def _label_lists(values: pa.Array, where: _Where) -> pa.Array:
    if pa.types.is_null(values.type):
        return values.cast(pa.list_(pa.string()))
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        try:
            return values.cast(pa.list_(pa.string()))
        except pa.ArrowException:
            pass
    elif _is_text(values.type):
        texts = _decoded(values, where)
        doubled = pc.match_substring_regex(texts, r"^\||\|\||\|$")
        if pc.any(doubled).as_py():
            offset = where.first(pc.fill_null(doubled, False))
            raise StillhouseError(
                f"{where.row(offset)} must hold names joined by {LABEL_SEPARATOR!r}, got {texts[offset].as_py()!r}"
            )
        filled = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
        lists = pc.split_pattern(pc.fill_null(filled, LABEL_SEPARATOR), LABEL_SEPARATOR)
        empty = pa.array([[]], pa.list_(pa.string())).take(pa.array(np.zeros(len(texts), np.int64)))
        return pc.if_else(filled.is_null(), empty, lists)
    raise StillhouseError(
        f"{where.row(0)} must hold a list of class names, or names joined by {LABEL_SEPARATOR!r},"
        f" got {_plain(values.type)}"
    )


def _numbers(values: pa.Array, where: _Where) -> pa.Array:
    if _is_text(values.type):
        values = pc.if_else(pc.equal(values.cast(pa.string()), ""), pa.scalar(None, pa.string()), values)
    try:
        numbers = values.cast(pa.float64())
    except pa.ArrowException:
        offset = next(i for i in range(len(values)) if not _casts_to(values[i], pa.float64()))
        raise StillhouseError(
            f"{where.row(offset)} must hold a number, got {str(values[offset].as_py())[:40]!r}"
        ) from None
    finite = pc.fill_null(pc.is_finite(numbers), True)
    if not pc.all(finite).as_py():
        offset = where.first(pc.invert(finite))
        raise StillhouseError(f"{where.row(offset)} must hold a finite number, got {numbers[offset].as_py()}")
    return numbers


def _features(values: pa.Array, kind: pa.DataType, where: _Where) -> pa.Array:
    known = _known_cells(values)
    try:
        return _without_bitmap(_decoded(known, where) if kind == pa.string() else known.cast(kind))
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise StillhouseError(f"{where.row(0)} and on must hold {_plain(kind)}: {reason}") from None


def _without_bitmap(values: pa.Array) -> pa.Array:
    """The same cells without a record of nulls where there are none: their size must not tell where they came from."""
    if values.null_count or values.buffers()[0] is None:
        return values
    return pa.Array.from_buffers(values.type, len(values), [None, *values.buffers()[1:]], offset=values.offset)


def _known_cells(values: pa.Array) -> pa.Array:
    """The cells with every way of writing "missing" made null."""
    if _is_text(values.type):
        texts = values.cast(pa.string())
        missing = pc.is_in(pc.utf8_trim_whitespace(texts), value_set=pa.array(MISSING))
        return pc.if_else(missing, pa.scalar(None, pa.string()), pc.utf8_trim_whitespace(texts))
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))
    return values


def _type_of(values: pa.Array) -> pa.DataType:
    kind = values.type
    if values.null_count == len(values):
        return pa.null()
    if not _is_text(kind):
        stored = {pa.types.is_boolean: pa.bool_(), pa.types.is_integer: pa.int64(), pa.types.is_floating: pa.float64()}
        return next((each for of_kind, each in stored.items() if of_kind(kind)), pa.string())
    if pc.any(pc.match_substring_regex(values, "^-?0[xX]")).as_py():
        return pa.string()  # Arrow would read hexadecimal
    if _casts_to(values, pa.int64()):
        return pa.int64()
    # A whole number too large for int64 is a name, such as an account's: as a float it would lose digits.
    long = pc.match_substring_regex(values, r"^[+-]?[0-9]{16,}$")
    if pc.any(long).as_py() or not _casts_to(values, pa.float64()):
        return pa.string()
    finite = pc.all(pc.is_finite(values.cast(pa.float64()).drop_null())).as_py()
    return pa.float64() if finite else pa.string()


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other or other == pa.null():
        return one
    if one == pa.null():
        return other
    return pa.float64() if {one, other} == {pa.int64(), pa.float64()} else pa.string()


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _casts_to(values: pa.Array | pa.Scalar, kind: pa.DataType) -> bool:
    try:
        values.cast(kind)
    except pa.ArrowException:
        return False
    return True


def _plain(kind: pa.DataType) -> str:
    return "only nulls" if pa.types.is_null(kind) else f"values of type {kind}"
