"""Words as numbers, for students that read words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset.words import split_words

PAD, UNKNOWN, MASK = range(3)
SPECIAL = ("<pad>", "<unk>", "<mask>")


@dataclass(frozen=True)
class Tokens:
    """B texts as numbers, end to end: ids (N,) and where each text begins (B + 1,)."""

    ids: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(B,) words in each text."""
        return np.diff(self.first)

    def padded(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Some texts as a matrix, (B, T), padded at the end, and their lengths, (B,), at least 1.

        >>> tokens = Tokens(np.array([5, 6, 7], np.int32), np.array([0, 2, 2, 3]))
        >>> tokens.padded(np.array([0, 1]))[0].tolist()
        [[5, 6], [0, 0]]
        """
        lengths = self.first[rows + 1] - self.first[rows]
        width = max(1, int(lengths.max(initial=1)))
        place = self.first[rows][:, None] + np.arange(width)
        there = np.arange(width) < lengths[:, None]
        matrix = np.where(there, self.ids[np.where(there, place, 0)] if len(self.ids) else PAD, PAD)
        return matrix.astype(np.int64), np.maximum(lengths, 1)


@dataclass(frozen=True)
class Vocabulary:
    """The words a student knows, most frequent first, after three special ones.

    >>> vocabulary = Vocabulary(("film", "good"), mask_token="[MASK]")
    >>> vocabulary.encode(pa.array(["Good [MASK] film?"])).ids.tolist()
    [4, 2, 3, 1]
    """

    words: tuple[str, ...]
    mask_token: str | None = None
    lowercase: bool = True
    _set: pa.Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", pa.array(self.words, pa.string()))

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.words)

    def encode(self, texts: pa.Array | pa.ChunkedArray) -> Tokens:
        """B texts as numbers."""
        words, first = _words(texts, self.mask_token, self.lowercase)
        ids = pc.fill_null(pc.index_in(words, value_set=self._set), -1).to_numpy() + len(SPECIAL)
        ids[ids < len(SPECIAL)] = UNKNOWN
        if self.mask_token is not None:
            ids[pc.equal(words, self._cased(self.mask_token)).to_numpy(zero_copy_only=False)] = MASK
        return Tokens(ids.astype(np.int32), first)

    def _cased(self, word: str) -> str:
        return word.lower() if self.lowercase else word


def learn_vocabulary(
    texts: Iterable[pa.Array | pa.ChunkedArray],
    mask_token: str | None,
    lowercase: bool,
    most: int,
    more: Sequence[str] = (),
) -> Vocabulary:
    """The ``most`` most frequent words of some texts, ties in order of the words; then, if there is room, ``more``."""
    counts = pa.table({"word": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
    for each in texts:
        words = pa.table({"word": _words(each, mask_token, lowercase)[0]})
        new = words.group_by("word").aggregate([([], "count_all")]).rename_columns(["word", "count"])
        counts = pa.concat_tables([counts, new]).group_by("word").aggregate([("count", "sum")])
        counts = counts.rename_columns(["word", "count"])
    ranked = counts.sort_by([("count", "descending"), ("word", "ascending")])["word"].to_pylist()
    mask = mask_token.lower() if mask_token and lowercase else mask_token
    distinct = dict.fromkeys(word for word in (*ranked, *more) if word != mask)
    return Vocabulary(tuple(distinct)[:most], mask_token, lowercase)


def _words(
    texts: pa.Array | pa.ChunkedArray, mask_token: str | None, lowercase: bool
) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    found = split_words(texts, (mask_token,) if mask_token else ())
    words = found.strings.cast(pa.string())
    return (pc.utf8_lower(words) if lowercase else words), found.first
