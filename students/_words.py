"""Words as numbers, for students that read words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset.parameters import check_whole
from transferset.plain import parse_json
from transferset.words import split_words

from ._tokens import Texts, Tokens
from .encoding import Array, Columns

UNKNOWN, MASK = 1, 2
SPECIAL = ("<pad>", "<unk>", "<mask>")


@dataclass(frozen=True)
class Vocabulary:
    """The words a student knows, most frequent first, after three special ones.

    >>> vocabulary = Vocabulary(("film", "good"), mask_token="[MASK]")
    >>> vocabulary.encode([pa.array(["Good [MASK] film?"])]).sides[0].ids.tolist()
    [4, 2, 3, 1]
    """

    words: tuple[str, ...]
    mask_token: str | None = None
    lowercase: bool = True
    max_tokens: int = 256
    _set: pa.Array = field(init=False, repr=False, compare=False)

    kind: ClassVar[str] = "words"
    types: ClassVar[None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", pa.array(self.words, pa.string()))

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.words)

    def encode(self, columns: Columns) -> Texts:
        """N rows of one text or two; what comes after ``max_tokens`` words is cut off."""
        return Texts(tuple(self._tokens(texts).cut(self.max_tokens) for texts in columns))

    def inputs(self, columns: Mapping[str, Array]) -> Texts:
        """The rows whose columns these are."""
        return Texts.of(columns)

    def settings(self) -> dict[str, Any]:
        """All but the words."""
        return {"mask_token": self.mask_token, "lowercase": self.lowercase, "max_tokens": self.max_tokens}

    def files(self) -> dict[str, bytes]:
        """The words, as JSON."""
        return {"vocabulary.json": (json.dumps(list(self.words), indent=1, ensure_ascii=False) + "\n").encode()}

    @classmethod
    def read(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Vocabulary:
        """The vocabulary that gave these settings and files."""
        try:
            words = parse_json(files["vocabulary.json"])
        except ValueError as error:
            raise ValueError(f"vocabulary.json must hold a JSON list of words: {error}") from None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("vocabulary.json must hold a JSON list of words")
        found = cls(tuple(words), **settings)
        check_whole("max_tokens", found.max_tokens, 1)
        found.encode([pa.array([""])])
        return found

    def _tokens(self, texts: pa.Array | pa.ChunkedArray) -> Tokens:
        words, first = _words(texts, self.mask_token, self.lowercase)
        ids = pc.fill_null(pc.index_in(words, value_set=self._set), -1).to_numpy() + len(SPECIAL)
        ids[ids < len(SPECIAL)] = UNKNOWN
        if self.mask_token is not None:
            ids[pc.equal(words, self._cased(self.mask_token)).to_numpy(zero_copy_only=False)] = MASK
        return Tokens(ids.astype(np.uint16 if len(self) <= 1 << 16 else np.int32), first)

    def _cased(self, word: str) -> str:
        return word.lower() if self.lowercase else word


def learn_vocabulary(
    texts: Iterable[pa.Array | pa.ChunkedArray],
    mask_token: str | None,
    lowercase: bool,
    most: int,
    more: Sequence[str] = (),
    max_tokens: int = 256,
) -> Vocabulary:
    """The ``most`` most frequent words of some texts, ties in order of the words; then, if there is room, ``more``."""
    counts = pa.table({"word": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
    for each in texts:
        words = pa.table({"word": _words(each, mask_token, lowercase)[0]})
        new = words.group_by("word").aggregate([([], "count_all")]).rename_columns(["word", "count"])
        counts = pa.concat_tables([counts, new]).group_by("word").aggregate([("count", "sum")])
        counts = counts.rename_columns(["word", "count"])
    mask = mask_token.lower() if mask_token and lowercase else mask_token
    if mask is not None:
        counts = counts.filter(pc.not_equal(counts["word"], mask))
    # Cut before they are Python's: of distinct words there may be millions.
    ranked = counts.sort_by([("count", "descending"), ("word", "ascending")])["word"].slice(0, most).to_pylist()
    distinct = dict.fromkeys((*ranked, *(word for word in more if word != mask)))
    return Vocabulary(tuple(distinct)[:most], mask_token, lowercase, max_tokens)


def _words(
    texts: pa.Array | pa.ChunkedArray, mask_token: str | None, lowercase: bool
) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    found = split_words(texts, (mask_token,) if mask_token else ())
    words = found.strings.cast(pa.string())
    return (pc.utf8_lower(words) if lowercase else words), found.first
