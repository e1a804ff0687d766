"""How a student reads texts: words or pieces, and the vectors it starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from transferset import StillhouseError, unknown
from transferset.parameters import check_at_least

TOKENS = ("words", "pieces")


@dataclass(frozen=True)
class Reading:
    """How texts become numbers; students of features have no use for it.

    Raises:
        StillhouseError: a value out of range.
    """

    tokens: Annotated[str, "what a text is cut into: words, or the teacher's own pieces"] = "words"
    vectors: Annotated[str, "word vectors to start from: teacher, random, or a GloVe or word2vec file"] = "teacher"
    most_words: Annotated[
        int, "most words that get a vector: the transfer set's, frequent ones first, then the teacher's"
    ] = 30_000
    lowercase: Annotated[bool, "whether words lose their case"] = True
    max_tokens: Annotated[int, "words or pieces of a text after which it is cut off"] = 256

    def __post_init__(self) -> None:
        if self.tokens not in TOKENS:
            raise unknown("train: tokens", self.tokens, TOKENS)
        if self.tokens == "pieces" and self.vectors not in ("teacher", "random"):
            raise StillhouseError(f"train: vectors of pieces must be teacher or random, got {self.vectors!r}")
        for name in ("most_words", "max_tokens"):
            check_at_least(f"train: {name.replace('_', '-')}", getattr(self, name), 1)
