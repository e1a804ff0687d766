"""Content keys: 16 bytes that stand for the inputs of a row, whatever file or position it came from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from .task import Task

#: (B, 2): the two halves of each 16-byte key.
Keys = npt.NDArray[np.uint64]
KEY_TYPE = pa.binary(16)
# Kinds of input never share a key, even where their bytes agree.
_SEED = {"text": 0, "pair": 1, "features": 2}


def content_keys(task: Task, batch: pa.RecordBatch | pa.Table) -> Keys:
    """The keys of the rows of a batch, (B, 2).

    A text's key depends on its bytes alone; a pair's on both texts in order; a feature row's on the
    names, types and values of its columns.

    >>> batch = pa.record_batch({"a": ["good", "bad", "good"]})
    >>> keys = content_keys(Task("text", ("a",)), batch)
    >>> (keys[0] == keys[2]).all(), (keys[0] == keys[1]).any()
    (np.True_, np.False_)
    """
    seed = _SEED[task.kind]
    columns = [_one_chunk(batch.column(name)) for name in task.inputs]
    if task.kind == "text":
        rows = _cells(columns[0])
    elif task.kind == "pair":
        # The length of the first text goes in front, so that ("ab", "c") differs from ("a", "bc").
        firsts, seconds = (_cells(column) for column in columns)
        rows = [len(a).to_bytes(8, "little") + a + b for a, b in zip(firsts, seconds, strict=True)]
    else:
        rows = _feature_rows(task, columns)
    digests = b"".join([xxh3_128_digest(row, seed) for row in rows])
    return np.frombuffer(digests, np.uint64).reshape(-1, 2)


def keys_to_arrow(keys: Keys) -> pa.Array:
    """Keys as the ``key`` column of a Parquet file."""
    data = pa.py_buffer(np.ascontiguousarray(keys))
    return pa.FixedSizeBinaryArray.from_buffers(KEY_TYPE, len(keys), [None, data])


def keys_from_arrow(column: pa.Array | pa.ChunkedArray) -> Keys:
    """The ``key`` column of a Parquet file as an array, (B, 2)."""
    array = _one_chunk(column)
    raw = np.frombuffer(array.buffers()[1] or b"", np.uint64).reshape(-1, 2)
    return raw[array.offset : array.offset + len(array)]


class KeySet:
    """A set of keys at 16 bytes each: sorted runs that merge as they grow.

    >>> seen = KeySet()
    >>> keys = np.array([[1, 2], [3, 4], [1, 2]], np.uint64)
    >>> seen.add(keys).tolist(), seen.add(keys).tolist(), len(seen)
    ([True, True, False], [False, False, False], 2)
    """

    def __init__(self) -> None:
        self._runs: list[Keys] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def __contains__(self, key: Keys) -> bool:
        return bool(self.contains(key.reshape(1, 2))[0])

    def contains(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of the keys, (B, 2), are in the set: (B,)."""
        found = np.zeros(len(keys), np.bool_)
        order = np.argsort(keys[:, 0])
        for run in self._runs:
            found[order] |= find_keys(run, keys[order]) >= 0
        return found

    def add(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Adds keys, (B, 2); which of them were new, (B,): the first of each, where one comes twice."""
        order = sort_keys(keys)
        ranked = keys[order]
        fresh = np.ones(len(keys), np.bool_)
        fresh[1:] = (ranked[1:] != ranked[:-1]).any(1)
        for run in self._runs:
            fresh &= find_keys(run, ranked) < 0
        self._push(ranked[fresh])
        new = np.empty(len(keys), np.bool_)
        new[order] = fresh
        return new

    def _push(self, run: Keys) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            both = np.concatenate([self._runs.pop(), run])
            run = both[sort_keys(both)]
        if len(run):
            self._runs.append(run)


def sort_keys(keys: Keys) -> npt.NDArray[np.int64]:
    """(B,) the order that sorts keys, (B, 2); equal ones stay in order.

    >>> sort_keys(np.array([[2, 1], [1, 9], [2, 0], [1, 9]], np.uint64)).tolist()
    [1, 3, 2, 0]
    """
    # The first halves decide nearly always, and one unstable sort is ten times as fast as a stable one of both.
    order = np.argsort(keys[:, 0])
    first = keys[order, 0]
    again = np.zeros(len(keys), np.bool_)
    again[1:] = first[1:] == first[:-1]
    tied = np.flatnonzero(again | np.append(again[1:], False))
    if len(tied):
        among = order[tied]
        order[tied] = among[np.lexsort((among, keys[among, 1], first[tied]))]
    return order


def find_keys(run: Keys, keys: Keys) -> npt.NDArray[np.int64]:
    """Where each key, (B, 2), stands in sorted keys, (U, 2): (B,), -1 for a key that is not there.

    >>> find_keys(np.array([[1, 2], [3, 4]], np.uint64), np.array([[3, 4], [3, 5]], np.uint64)).tolist()
    [1, -1]
    """
    place = np.searchsorted(run[:, 0], keys[:, 0])
    found = np.full(len(keys), -1)
    # The first halves find the place; where they agree the second halves decide, nearly always at once.
    left = np.flatnonzero(place < len(run))
    while len(left):
        here = run[place[left]]
        same_half = here[:, 0] == keys[left, 0]
        same = same_half & (here[:, 1] == keys[left, 1])
        found[left[same]] = place[left[same]]
        left = left[same_half & ~same]
        place[left] += 1
        left = left[place[left] < len(run)]
    return found


def _one_chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _cells(column: pa.Array) -> list[bytes]:
    array = column.cast(pa.large_string())
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1].tolist()
    data = bytes(array.buffers()[2] or b"")
    return [data[a:b] for a, b in pairwise(offsets)]


def _feature_rows(task: Task, columns: list[pa.Array]) -> list[bytes]:
    """Nine bytes a cell: whether it is there, and its value (of a string, the hash); names and types first."""
    cells = np.zeros((len(columns[0]) if columns else 0, len(columns)), np.dtype([("there", "?"), ("value", "<u8")]))
    for place, column in enumerate(columns):
        cells["there"][:, place] = pc.is_valid(column).to_numpy(zero_copy_only=False)
        cells["value"][:, place] = np.where(cells["there"][:, place], _value_bits(column), 0)
    names = "\0".join(f"{name}:{column.type}" for name, column in zip(task.inputs, columns, strict=True))
    head = xxh3_128_digest(names.encode())
    return [head + row.tobytes() for row in cells]


def _value_bits(column: pa.Array) -> npt.NDArray[np.uint64]:
    bits: npt.NDArray[np.uint64]
    if pa.types.is_string(column.type):
        encoded = column.dictionary_encode()
        hashes = [xxh3_64_intdigest(cell) for cell in _cells(encoded.dictionary)]
        bits = np.array([*hashes, 0], np.uint64)[pc.fill_null(encoded.indices, 0).to_numpy()]
    elif pa.types.is_floating(column.type):
        floats = pc.fill_null(column, 0.0).cast(pa.float64()).to_numpy(zero_copy_only=False)
        bits = (floats + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    else:
        whole = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        bits = whole.astype(np.int64).view(np.uint64)
    return bits
