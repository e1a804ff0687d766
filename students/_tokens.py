"""Texts as numbers, end to end, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .encoding import Array, Rows

PAD = 0


@dataclass(frozen=True)
class Tokens:
    """N texts as numbers, end to end: ids (of all tokens) and where each text begins (N + 1,)."""

    ids: npt.NDArray[np.integer[Any]]
    first: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.first)

    def padded(self, rows: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Some texts as a matrix, (B, T), padded at the end, and their lengths, (B,), at least 1.

        >>> tokens = Tokens(np.array([5, 6, 7], np.int32), np.array([0, 2, 2, 3]))
        >>> tokens.padded(np.array([0, 1]))[0].tolist()
        [[5, 6], [0, 0]]
        """
        begin = self.first[rows]
        lengths = self.first[rows + 1] - begin
        width = max(1, int(lengths.max(initial=1)))
        place = begin[:, None] + np.arange(width)
        there = np.arange(width) < lengths[:, None]
        if there.all():
            return self.ids[place].astype(np.int64), lengths
        matrix = np.where(there, self.ids[np.where(there, place, 0)] if len(self.ids) else PAD, PAD)
        return matrix.astype(np.int64), np.maximum(lengths, 1)

    def cut(self, most: int) -> Tokens:
        """The texts without what comes after their first ``most`` tokens.

        >>> Tokens(np.array([5, 6, 7]), np.array([0, 2, 3])).cut(1).ids.tolist()
        [5, 7]
        """
        lengths = self.lengths
        if not len(lengths) or lengths.max() <= most:
            return self
        place = np.arange(len(self.ids)) - np.repeat(self.first[:-1], lengths)
        return Tokens(self.ids[place < most], begins(np.minimum(lengths, most)))


def begins(lengths: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Where texts of such lengths begin when laid end to end, and where the last ends: (N + 1,)."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


@dataclass(frozen=True)
class Texts:
    """N rows of one text or of two: ``Inputs`` of the students that read texts."""

    sides: tuple[Tokens, ...]

    def __len__(self) -> int:
        return len(self.sides[0])

    @property
    def names(self) -> tuple[str, ...]:
        """``ids`` and ``lengths``, and of pairs those of the second text."""
        return ("ids", "lengths", "other_ids", "other_lengths")[: 2 * len(self.sides)]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(N,) tokens in each row."""
        return np.asarray(sum(side.lengths for side in self.sides))

    def batch(self, rows: Rows) -> tuple[Array, ...]:
        """Each text's ids, (B, T), padded at the end, and lengths, (B,)."""
        return tuple(array for side in self.sides for array in side.padded(rows))

    def columns(self) -> dict[str, Array]:
        """Of each text the ids, as one row of all, and the lengths."""
        found: dict[str, Array] = {}
        for number, side in enumerate(self.sides):
            found |= {f"ids-{number}": side.ids, f"lengths-{number}": side.lengths.astype(np.int32)}
        return found

    @classmethod
    def of(cls, columns: Mapping[str, Array]) -> Texts:
        """The rows whose ``columns`` these are."""
        sides = range(len(columns) // 2)
        return cls(tuple(Tokens(columns[f"ids-{n}"], begins(columns[f"lengths-{n}"])) for n in sides))
