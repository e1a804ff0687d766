"""The logit cache: what one teacher said of each text, kept by the text's content key."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xxhash import xxh3_128_hexdigest

from ._cache_problems import cache_problems
from ._records import Part
from ._signals import (
    STORAGE,
    Matrix,
    Reader,
    Signal,
    class_names,
    class_order,
    column_type,
    gather,
    rounding_error,
    stored_matrix,
    to_column,
)
from .columns import Column
from .errors import StillhouseError, unknown
from .files import directory_lock, file_lock, write_file
from .keys import KEY_TYPE, Keys, KeySet, keys_from_arrow, keys_to_arrow
from .store import Store
from .task import Task

KIND = "logit cache"


class LogitCache:
    """What one teacher said of each row, by content key: logits of C classes, and other signals.

    Attributes:
        store: where the parts lie; columns ``key`` and one of each signal, fixed-size lists of float32 or float16.
        classes: the order of the logits; empty for regression.
        widths: how many numbers each signal has a row.
        storage: ``float32`` or ``float16``.
        out: what ``stillhouse label`` is given as ``--out`` to add to it; of a member of an ensemble, the ensemble.
    """

    def __init__(self, store: Store, out: Path | None = None) -> None:
        self.out = out or store.path
        try:
            self.classes = class_names(store.about["classes"])
            self.widths: dict[str, int] = dict(store.about["signals"])
            self.storage = str(store.about["storage"])
            STORAGE[self.storage]
            if not self.widths or not all(type(width) is int and width > 0 for width in self.widths.values()):
                raise ValueError(f"signals must have widths of at least 1, got {self.widths}")
            columns = {name: Column((column_type(self.storage, width),)) for name, width in self.widths.items()}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise StillhouseError(f"{store.path}: _manifest/about.json must describe a logit cache: {error}") from None
        self.store = store.of({"key": Column((KEY_TYPE,)), **columns})
        self._held = KeySet()
        # The slot after the last part whose keys are held; None before any were read.
        self._next: int | None = None

    @classmethod
    def open(cls, path: Path | str) -> LogitCache:
        """The cache in a directory.

        Raises:
            StillhouseError: there is none.
        """
        return cls(Store.open(path, KIND))

    @classmethod
    def create(cls, path: Path | str, about: Mapping[str, Any], made_with: Mapping[str, Any]) -> LogitCache:
        """The cache in a directory, made now, or reopened where it is the same teacher's.

        ``about`` is the teacher's identity with ``inputs``, ``target``, ``classes``, ``signals`` (name and width) and
        ``storage``.

        Raises:
            StillhouseError: it is the cache of another teacher, or was made with another setting.
        """
        return cls(Store.create(path, KIND, about, made_with))

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.store.path

    @property
    def about(self) -> dict[str, Any]:
        """What it is: the teacher's identity, classes, signals."""
        return self.store.about

    @property
    def outputs(self) -> int:
        """C, the width of the logits; 0 where there are none."""
        return self.widths.get("logits", 0)

    @property
    def teacher_folder(self) -> Path:
        """Where the labeller keeps the teacher's files, such as its tokenizer and input embeddings."""
        return self.path / "_teacher"

    # What writers do.

    def append(self, keys: Keys, signals: Mapping[str, Matrix], cut: int = 0) -> int:
        """Commits the rows that the cache lacks, each key once, and returns how many they were.

        ``keys`` is (B, 2), each signal (B, width). Other processes may append at the same time. ``cut`` is how many of
        the rows' texts were cut; it is noted with the part, and so is what rounding to float16 cost.

        Raises:
            StillhouseError: other signals or shapes than the cache's; a value that float16 cannot hold; a full disk.
                Nothing is committed then.
        """
        self._check_shapes(len(keys), signals)
        with self._committing():
            self.refresh()
            fresh = KeySet().add(keys) & ~self._held.contains(keys)
            if not fresh.any():
                return 0
            table, rounding = self._table(keys[fresh], {name: signals[name][fresh] for name in self.widths})
            part = self.store.commit(table, {"cut": int(cut), **({"rounding": rounding} if rounding else {})})
            if part.slot == self._next:
                self._held.add(keys[fresh])
                self._next += 1
        return int(fresh.sum())

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Writes files of the teacher's beside the cache, once; the record of their checksums comes last."""
        record = self.teacher_folder / "files.json"
        if not files or record.exists():
            return
        scratch = self.path / "_scratch"
        with self._committing():
            self.teacher_folder.mkdir(exist_ok=True)
            for name, data in files.items():
                write_file(self.teacher_folder / name, data, scratch)
            sums = {name: {"bytes": len(data), "checksum": xxh3_128_hexdigest(data)} for name, data in files.items()}
            write_file(record, (json.dumps(sums, indent=1) + "\n").encode(), scratch)

    # What is held, by key.

    @property
    def held(self) -> KeySet:
        """All committed keys, as of the last look: ``refresh`` looks again."""
        if self._next is None:
            self.refresh()
        return self._held

    def refresh(self) -> int:
        """Reads the keys of parts committed since the last look, and returns how many came to be held."""
        before = len(self._held)
        if self._next is None:
            # A part may have been deleted with its record: only the first look is past such holes.
            end = self.store.next_slot()
            for part in filter(None, map(self.store.part, range(end))):
                self._hold(part)
            self._next = end
        while (new := self.store.part(self._next)) is not None:
            self._hold(new)
            self._next += 1
        return len(self._held) - before

    def has(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Which of the keys, (B, 2), were committed as of the last look: (B,)."""
        return self.held.contains(keys)

    def keys(self) -> Keys:
        """All keys of the cache, (U, 2), in the order of its parts."""
        return np.concatenate([np.zeros((0, 2), np.uint64), *map(_keys_of, self.store.tables(["key"]))])

    # What readers want.

    def logits(self, keys: Keys, task: Task) -> Matrix:
        """The logits, (B, C), of rows by their keys, (B, 2), with classes in the task's order.

        Raises:
            StillhouseError: a key that the cache lacks, a cache of other classes, or of no logits.
        """
        order = self.order(task)
        return self.signal("logits", keys)[:, order]

    def signal(self, name: str, keys: Keys) -> Matrix:
        """A signal, (B, width), of rows by their keys, (B, 2).

        Raises:
            StillhouseError: a key that the cache lacks, or a signal.
        """
        self.check_signals([name])
        matrix, missing = gather(self.store.tables(["key", name]), name, self.widths[name], keys)
        self._lacking(name, missing, len(keys))
        return matrix

    def reader(self, names: Sequence[str], scratch: Path | None = None) -> Reader:
        """Signals by key for reading in turns, where all rows together may be too many for memory.

        They are copied to temporary files in the directory ``scratch``, or where the system has such files.

        Raises:
            StillhouseError: a signal that the cache lacks.
        """
        self.check_signals(names)
        tables = self.store.tables(["key", *names])
        widths = {name: self.widths[name] for name in names}
        return Reader(self._lacking, tables, widths, self.storage, scratch or Path(tempfile.gettempdir()))

    def order(self, task: Task) -> list[int]:
        """Where the classes of a task stand in the logits; a task without classes takes those of the cache.

        Raises:
            StillhouseError: a cache of other classes, of a score where classes are wanted, or of no logits.
        """
        self.check_signals(["logits"])
        return class_order(self.path, task, self.classes)

    def check_signals(self, names: Sequence[str]) -> None:
        """Raises StillhouseError for a signal that the cache does not hold."""
        for name in names:
            if name not in get_args(Signal):
                raise unknown(f"{self.path}: signals", name, self.widths)
            if name not in self.widths:
                raise StillhouseError(
                    f"{self.path}: must hold {name}, got {', '.join(self.widths) or 'no signals'}: run `stillhouse"
                    f" label` with --signals {','.join([*self.widths, name])} and another --out"
                )

    def verify(self) -> list[str]:
        """What is wrong with it, a line each.

        As ``Store.verify``; and columns of other types, keys held twice, numbers that are not finite, and damage to
        the files in ``_teacher``.
        """
        return cache_problems(self.store, self.classes, self.widths)

    def _table(self, keys: Keys, signals: Mapping[str, Matrix]) -> tuple[pa.Table, dict[str, dict[str, float]]]:
        """The rows as a part, and what rounding cost each signal, if it did."""
        columns, rounding = {"key": keys_to_arrow(keys)}, {}
        for name, matrix in signals.items():
            columns[name] = to_column(matrix, self.storage)
            if self.storage == "float16":
                rounding[name] = rounding_error(name, matrix, stored_matrix(columns[name], matrix.shape[1]))
        return pa.table(columns), rounding

    def _check_shapes(self, rows: int, signals: Mapping[str, Matrix]) -> None:
        wanted = {name: (rows, width) for name, width in self.widths.items()}
        got = {name: matrix.shape for name, matrix in signals.items()}
        if got != wanted:
            raise StillhouseError(f"{self.path}: signals must have shapes {wanted}, got {got}")

    def _hold(self, part: Part) -> None:
        self._held.add(_keys_of(self.store.read(part, ["key"])))

    def _lacking(self, name: str, missing: int, rows: int) -> None:
        if missing:
            raise StillhouseError(
                f"{self.path}: must hold the {name} of every row, {missing} of {rows} are missing: run `stillhouse"
                f" label` with --out {self.out} on the transfer set; `stillhouse augment FILE --copies 0` makes one of"
                " a file"
            )

    @contextlib.contextmanager
    def _committing(self) -> Iterator[None]:
        """Held by the one process that is adding to the cache; another waits the moment that it takes."""
        # The directory's lock too, or ``gc`` might take a part away before its record is there.
        with (
            directory_lock(self.path, "shared", wait=True),
            file_lock(self.path / "_manifest" / "commit", "exclusive", wait=True),
        ):
            yield


def _keys_of(table: pa.Table) -> Keys:
    return keys_from_arrow(table["key"])
