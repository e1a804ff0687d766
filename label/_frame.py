"""Rows of a task as scikit-learn takes them: the values that an estimator was fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transferset import StillhouseError, Task

from ._classes import shown

#: Makes of a table of B rows what an estimator takes: a data frame, (B, F) values or (B,) texts.
Framer = Callable[[pa.Table], Any]


def framer(where: str, estimator: Any, task: Task) -> Framer:
    """What turns the task's rows into what the estimator was fitted on.

    A data frame of its own columns if it knows their names, else texts, or features in the task's order. A missing
    value is NaN. A column that an encoder learned as numbers, but which is text here (or the reverse), is made what
    it was, since an encoder takes one for unknown values of the other.

    Raises:
        StillhouseError: columns that are missing, or too many or few; pandas is not installed; a pair without names.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is None and task.kind == "pair":
        raise StillhouseError(
            f"{where}: must be fitted on a data frame of both texts to label pairs, got no column names"
        )
    if names is None and task.kind == "text":
        return lambda rows: _cells(rows[task.inputs[0]])
    columns = list(task.inputs) if names is None else [str(name) for name in names]
    _check_columns(where, estimator, columns, task)
    learned = dict(_encoded(estimator, columns))

    def values(rows: pa.Table) -> dict[str, Any]:
        return {name: _cells(_as_learned(where, rows[name], name, learned.get(name))) for name in columns}

    return (lambda rows: _matrix(values(rows))) if names is None else (lambda rows: _data_frame(where, values(rows)))


def _check_columns(where: str, estimator: Any, columns: Sequence[str], task: Task) -> None:
    for name in columns:
        if name not in task.inputs:
            raise StillhouseError(
                f"{where}: column {name!r}, on which it was fitted, must be among the inputs, got {shown(task.inputs)}"
            )
    wanted = getattr(estimator, "n_features_in_", len(columns))
    if wanted != len(columns):
        raise StillhouseError(f"{where}: must be given {wanted} features, as it was fitted, got {len(columns)}")


def _cells(column: pa.ChunkedArray) -> Any:
    """The values as numbers, or as objects with NaN where one is missing; equal texts are one object."""
    if not pa.types.is_string(column.type):
        cells = column.to_numpy()
        if cells.dtype == object and column.null_count:
            cells = cells.copy()
            cells[column.is_null().to_numpy()] = np.nan
        return cells
    encoded = column.combine_chunks().dictionary_encode()
    known = np.array([*encoded.dictionary.to_pylist(), np.nan], object)
    return known[encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)]


def _matrix(values: dict[str, Any]) -> Any:
    kind = np.dtype(object) if any(each.dtype == object for each in values.values()) else np.dtype(np.float64)
    matrix = np.empty((len(next(iter(values.values()))), len(values)), kind)
    for place, each in enumerate(values.values()):
        matrix[:, place] = each
    return matrix


def _data_frame(where: str, values: dict[str, Any]) -> Any:
    try:
        import pandas as pd
    except ImportError:
        raise StillhouseError(
            f"{where}: pandas must be installed, since it was fitted on a data frame:"
            " run `pip install 'stillhouse[sklearn]'`"
        ) from None
    # Of objects pandas would infer a type for each chunk anew.
    return pd.DataFrame({name: pd.Series(each, dtype=each.dtype) for name, each in values.items()})


def _as_learned(where: str, column: pa.ChunkedArray, name: str, learned: pa.DataType | None) -> pa.ChunkedArray:
    """The column as an encoder learned it: numbers for digits, or digits for whole numbers."""
    text, here = pa.string(), column.type
    if learned is None or text not in (here, learned) or here == learned:
        return column
    try:
        if learned != text or pa.types.is_integer(here):
            return pc.cast(column, learned)
    except pa.ArrowInvalid:
        pass
    raise StillhouseError(f"{where}: column {name!r} must hold what it was fitted on, {learned}, got {here}")


def _encoded(part: Any, columns: Sequence[str]) -> Iterator[tuple[str, pa.DataType]]:
    """The columns that encoders in an estimator learned the values of, and of what type those were."""
    categories = getattr(part, "categories_", None)
    if categories is not None and len(categories) == len(columns):
        for name, known in zip(columns, categories, strict=True):
            yield from ((name, kind) for kind in _kind(known))
    for _, inner, chosen in getattr(part, "transformers_", ()):
        yield from _encoded(inner, _chosen(columns, chosen))
    for _, step in getattr(part, "steps", ()):
        if getattr(step, "n_features_in_", len(columns)) != len(columns):
            break
        yield from _encoded(step, columns)
        if hasattr(step, "transformers_"):
            break  # what follows sees other columns
    for inner in _parts(part):
        yield from _encoded(inner, columns)


def _parts(part: Any) -> Iterator[Any]:
    """What is in an estimator and takes the same columns; histogram boosting has an encoder of its own."""
    for name in ("best_estimator_", "estimator_", "classifier_", "regressor_", "_preprocessor"):
        yield from (inner for inner in [getattr(part, name, None)] if inner is not None)
    for name in ("estimators_", "calibrated_classifiers_"):
        several = getattr(part, name, ())
        yield from several if isinstance(several, list) and not hasattr(part, "estimators_features_") else ()
    if hasattr(part, "calibrators"):
        yield part.estimator
    yield from (inner for _, inner in getattr(part, "transformer_list", ()))


def _chosen(columns: Sequence[str], chosen: Any) -> list[str]:
    """The columns of a part of a column transformer: names, places, a slice of places or a mask."""
    places = chosen if isinstance(chosen, slice) else np.atleast_1d(chosen)
    if not isinstance(places, slice) and places.dtype.kind not in "biu":
        return [str(each) for each in places]
    return [str(each) for each in np.array(columns, object)[places]]


def _kind(known: Any) -> list[pa.DataType]:
    """Numbers, truth values or texts; none where they are mixed."""
    present = [each for each in np.asarray(known).tolist() if each is not None and str(each) != "nan"]
    kinds = {bool: pa.bool_(), int: pa.float64(), float: pa.float64(), str: pa.string()}
    found = [kinds.get(type(each)) for each in present]
    return found[:1] if found and found[0] is not None and all(each == found[0] for each in found) else []
