"""The logit cache: what one teacher said of each text, kept by the text's content key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .errors import StillhouseError
from .keys import Keys, KeySet, find_keys, keys_from_arrow, keys_to_arrow, sort_keys
from .store import Store
from .task import Task

KIND = "logit cache"
Logits = npt.NDArray[np.float32]


class LogitCache:
    """Logits of C classes by content key; one cache belongs to one teacher.

    Attributes:
        store: where the parts lie; columns ``key``, ``logits`` (C float32) and ``tokens`` (int32).
        classes: the order of the logits; empty for regression.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        try:
            self.classes = tuple(store.about["classes"])
            self.outputs = int(store.about["outputs"])
        except (KeyError, TypeError, ValueError) as error:
            raise StillhouseError(f"{store.path}: _manifest/about.json must describe a logit cache: {error}") from None

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

        Raises:
            StillhouseError: it is the cache of another teacher, or was made with another setting.
        """
        return cls(Store.create(path, KIND, about, made_with))

    @property
    def teacher_folder(self) -> Path:
        """Where the labeller keeps the teacher's tokenizer and input embeddings."""
        return self.store.path / "_teacher"

    def append(self, keys: Keys, logits: Logits, tokens: npt.NDArray[np.int32]) -> None:
        """Commits the logits, (B, C), of the rows with these keys, (B, 2), and their lengths in tokens, (B,)."""
        values = pa.array(np.ascontiguousarray(logits, np.float32).ravel())
        table = pa.table(
            {
                "key": keys_to_arrow(keys),
                "logits": pa.FixedSizeListArray.from_arrays(values, self.outputs),
                "tokens": pa.array(tokens, pa.int32()),
            }
        )
        self.store.commit(table, {})

    def keys(self) -> Keys:
        """All keys of the cache, (U, 2)."""
        return _concatenate([keys_from_arrow(table["key"]) for table in self.store.tables(["key"])])

    def tokens(self) -> tuple[Keys, npt.NDArray[np.int32]]:
        """All keys, (U, 2), and the length of each row in tokens, (U,)."""
        tables = list(self.store.tables(["key", "tokens"]))
        lengths = [np.zeros(0, np.int32), *(table["tokens"].to_numpy() for table in tables)]
        return _concatenate([keys_from_arrow(table["key"]) for table in tables]), np.concatenate(lengths)

    def logits(self, keys: Keys, task: Task) -> Logits:
        """The logits, (B, C), of rows by their keys, (B, 2), with classes in the task's order.

        Raises:
            StillhouseError: a key that the cache lacks, or a cache of other classes.
        """
        order = self._order(task)
        stored = [(keys_from_arrow(each["key"]), _matrix(each["logits"], self.outputs)) for each in self.store.tables()]
        known = _concatenate([each for each, _ in stored])
        matrix = np.concatenate([np.zeros((0, self.outputs), np.float32), *(each for _, each in stored)])
        ranked = sort_keys(known)
        place = find_keys(known[ranked], keys)
        missing = int((place < 0).sum())
        if missing:
            raise StillhouseError(
                f"{self.store.path}: must hold the logits of every row of the transfer set, {missing} of"
                f" {len(keys)} are missing: run `stillhouse label` on it with --out {self.store.path}"
            )
        return matrix[ranked[place]][:, order]

    def verify(self) -> list[str]:
        """What is wrong with it, a line each: as ``Store.verify``, and keys held twice or logits not finite."""
        problems = self.store.verify()
        if problems:
            return problems
        seen = KeySet()
        for part in self.store.parts():
            table = self.store.read(part, ["key", "logits"])
            twice = int((~seen.add(keys_from_arrow(table["key"]))).sum())
            if twice:
                problems.append(f"{self.store.path / part.file}: must hold each key once, got {twice} again")
            if not np.isfinite(_matrix(table["logits"], self.outputs)).all():
                problems.append(f"{self.store.path / part.file}: logits must be finite, got others")
        return problems

    def _order(self, task: Task) -> Sequence[int]:
        regression = task.target == "regression"
        wanted = () if regression else task.classes or self.classes
        if sorted(wanted) != sorted(self.classes) or regression == bool(wanted):
            raise StillhouseError(
                f"{self.store.path}: classes must be those of the task ({', '.join(wanted) or 'a score'}),"
                f" got {', '.join(self.classes) or 'a score'}"
            )
        return [self.classes.index(name) for name in wanted] or [0]


def _matrix(column: pa.ChunkedArray, outputs: int) -> Logits:
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix: Logits = flat.astype(np.float32, copy=False).reshape(-1, outputs)
    return matrix


def _concatenate(keys: list[Keys]) -> Keys:
    return np.concatenate([np.zeros((0, 2), np.uint64), *keys])
