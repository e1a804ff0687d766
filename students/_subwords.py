"""The teacher's own sub-word pieces as numbers, for students that read pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from transferset.parameters import check_whole

from ._tokens import Texts, Tokens, begins
from .encoding import Array, Columns


@dataclass(frozen=True)
class Subwords:
    """A tokenizer of the tokenizers library; number 0 is padding, so piece n is number n + 1."""

    tokenizer_json: str
    max_tokens: int = 256

    kind: ClassVar[str] = "pieces"
    types: ClassVar[None] = None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Without truncation, padding or special pieces."""
        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _last(self) -> int:
        # Some tokenizers leave numbers out, so how many pieces there are says less.
        return max(self.tokenizer.get_vocab().values(), default=-1)

    def __len__(self) -> int:
        return self._last + 2

    def encode(self, columns: Columns) -> Texts:
        """N rows of one text or two; what comes after ``max_tokens`` pieces is cut off."""
        return Texts(tuple(self._tokens(texts).cut(self.max_tokens) for texts in columns))

    def inputs(self, columns: Mapping[str, Array]) -> Texts:
        """The rows whose columns these are."""
        return Texts.of(columns)

    def settings(self) -> dict[str, Any]:
        """All but the tokenizer."""
        return {"max_tokens": self.max_tokens}

    def files(self) -> dict[str, bytes]:
        """The tokenizer, as its library writes it."""
        return {"tokenizer.json": self.tokenizer_json.encode()}

    @classmethod
    def read(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Subwords:
        """The tokenizer that gave these settings and files."""
        found = cls(files["tokenizer.json"].decode(errors="replace"), **settings)
        check_whole("max_tokens", found.max_tokens, 1)
        try:
            found.encode([pa.array([""])])
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise ValueError(f"tokenizer.json must hold a tokenizer: {error}") from None
        return found

    def _tokens(self, texts: pa.Array | pa.ChunkedArray) -> Tokens:
        encodings = self.tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        lists = [each.ids for each in encodings]
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        ids = np.fromiter((id_ for each in lists for id_ in each), np.int64, int(lengths.sum())) + 1
        return Tokens(ids.astype(np.uint16 if len(self) <= 1 << 16 else np.int32), begins(lengths))
