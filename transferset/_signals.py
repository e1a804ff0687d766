"""Signals as columns of Parquet, what half precision costs them, and rows of large ones by key."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .errors import StillhouseError
from .files import writing
from .keys import Keys, find_keys, keys_from_arrow, sort_keys
from .task import Task

#: What a teacher may be asked for.
Signal = Literal["logits", "embedding", "hidden"]
#: A row of numbers for each of B rows: (B, width of the signal).
Matrix = npt.NDArray[np.float32]
#: Told of a signal how many rows were missing, and of how many; raises where any were.
Lacking = Callable[[str, int, int], None]
#: The types in which signals are stored.
STORAGE = {"float32": np.float32, "float16": np.float16}
#: Keys looked for at a time.
_PIECE = 1 << 20


def to_column(matrix: npt.NDArray[np.floating], storage: str) -> pa.Array:
    with np.errstate(over="ignore"):
        flat = np.ascontiguousarray(matrix, STORAGE[storage]).ravel()
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), matrix.shape[1])


def stored_matrix(column: pa.Array | pa.ChunkedArray, width: int) -> npt.NDArray[np.floating]:
    """A column of a part in the type it is stored in, (B, width)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_fixed_size_list(array.type) or array.type.list_size != width:
        raise StillhouseError(f"logit cache: signals must be lists of {width} numbers, got {array.type}: verify it")
    matrix: npt.NDArray[np.floating] = array.flatten().to_numpy(zero_copy_only=False)
    return matrix.reshape(-1, width)


def column_type(storage: str, width: int) -> pa.DataType:
    return pa.list_(pa.from_numpy_dtype(STORAGE[storage]), width)


def rounding_error(name: str, matrix: Matrix, stored: npt.NDArray[np.floating]) -> dict[str, float]:
    """By how much a signal differs from what is stored of it: the largest and the mean difference."""
    wrong = np.flatnonzero(~np.isfinite(stored))
    if len(wrong):
        raise StillhouseError(
            f"{name}: must be between -65504 and 65504 for float16, got {matrix.flat[wrong[0]]}: store it as float32"
        )
    error = np.abs(stored.astype(np.float32) - matrix)
    return {"max": float(error.max(initial=0.0)), "mean": float(error.mean(dtype=np.float64))}


class Reader:
    """Signals by key where all rows together may be too many for memory: keys in memory, numbers in temporary files.

    Attributes:
        widths: of each signal.
    """

    def __init__(
        self, lacking: Lacking, tables: Iterable[pa.Table], widths: Mapping[str, int], storage: str, scratch: Path
    ) -> None:
        self.widths, self._lacking = dict(widths), lacking
        keys, self._matrices = _on_disk(tables, widths, storage, scratch)
        self._order = sort_keys(keys)
        self._keys = keys[self._order]

    def check(self, keys: Keys) -> None:
        """Raises StillhouseError where there is no row of some of the keys, (B, 2)."""
        pieces = np.array_split(keys, 1 + len(keys) // _PIECE)
        missing = sum(int((find_keys(self._keys, piece) < 0).sum()) for piece in pieces)
        self._lacking(" and ".join(self.widths), missing, len(keys))

    def rows(self, keys: Keys) -> dict[str, Matrix]:
        """Each signal, (B, width), of rows by their keys, (B, 2).

        Raises:
            StillhouseError: a key that there is no row of.
        """
        self.check(keys)
        rows = self._order[find_keys(self._keys, keys)]
        return {name: matrix[rows].astype(np.float32, copy=False) for name, matrix in self._matrices.items()}


def _on_disk(
    tables: Iterable[pa.Table], widths: Mapping[str, int], storage: str, scratch: Path
) -> tuple[Keys, dict[str, npt.NDArray[np.floating]]]:
    """The keys, and each signal in a file without a name: nothing is left of it however the process ends."""
    keys = [np.zeros((0, 2), np.uint64)]
    with contextlib.ExitStack() as stack, writing(scratch):
        files = {name: stack.enter_context(tempfile.TemporaryFile(dir=scratch)) for name in widths}
        # Written, not mapped: a full disk is an error then, where a write into a map would kill the process.
        for table in tables:
            keys.append(keys_from_arrow(table["key"]))
            for name, file in files.items():
                file.write(np.ascontiguousarray(stored_matrix(table[name], widths[name]), STORAGE[storage]).data)
        for file in files.values():
            file.flush()
        all_keys = np.concatenate(keys)
        return all_keys, {
            name: _mapped(file, (len(all_keys), widths[name]), STORAGE[storage]) for name, file in files.items()
        }


def _mapped(file: IO[bytes], shape: tuple[int, int], dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    return np.memmap(file, dtype, "r", shape=shape) if shape[0] else np.zeros(shape, dtype)


def gather(tables: Iterable[pa.Table], name: str, width: int, keys: Keys) -> tuple[Matrix, int]:
    """One signal, (B, width), of rows by their keys, (B, 2), a part at a time; and how many rows were not there."""
    order = sort_keys(keys)
    ranked = keys[order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = (ranked[1:] != ranked[:-1]).any(1)
    wanted, home, group = ranked[first], order[first], np.cumsum(first) - 1
    found = np.zeros(len(wanted), np.bool_)
    out = np.empty((len(keys), width), np.float32)
    for table in tables:
        place = find_keys(wanted, keys_from_arrow(table["key"]))
        here = place >= 0
        out[home[place[here]]] = stored_matrix(table[name], width)[here]
        found[place[here]] = True
    out[order[~first]] = out[home[group[~first]]]
    return out, int((~found[group]).sum())


def class_names(stored: object) -> tuple[str, ...]:
    """Classes as a manifest lists them; raises TypeError for what is no list of different names."""
    if not isinstance(stored, list) or not all(isinstance(name, str) for name in stored):
        raise TypeError("classes must be a list of names")
    if len(set(stored)) < len(stored):
        raise TypeError(f"classes must differ, got {', '.join(stored)}")
    return tuple(stored)


def class_order(path: Path, task: Task, classes: Sequence[str]) -> list[int]:
    """Where the classes of a task stand among those of the logits; of a score, its one place."""
    is_score = task.target == "regression"
    wanted = () if is_score else task.classes or classes
    if sorted(wanted) != sorted(classes) or is_score == bool(wanted):
        raise StillhouseError(
            f"{path}: classes must be those of the task ({', '.join(wanted) or ('a score' if is_score else 'any')}),"
            f" got {', '.join(classes) or 'a score'}"
        )
    return [classes.index(name) for name in wanted] or [0]
