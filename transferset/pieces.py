"""The pieces of a tokenizer: which are whole words, and the vectors that a model's embeddings give to any word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from .words import split_words

Flags = npt.NDArray[np.bool_]
Vectors = npt.NDArray[np.float32]
#: Byte-level tokenizers mark the space before a word with a letter, sentencepiece ones with a bar.
_WORD_MARKS = ("\u0120", "\u2581")


@dataclass(frozen=True)
class Pieces:
    """The V pieces of a tokenizer.

    Attributes:
        texts: V strings, without the blanks around them.
        whole: (V,) those that are a whole word with a letter or digit; special ones are not.
        inner: (V,) those that can only continue a word, and those that stand for unknown ones.
        blank: (V,) those that stand for nothing that is seen.
    """

    texts: pa.Array
    whole: Flags
    inner: Flags
    blank: Flags

    @classmethod
    def of(cls, tokenizer: Tokenizer, size: int) -> Pieces:
        """The first ``size`` pieces by number, as many as the model has."""
        names = [""] * size
        for name, id_ in tokenizer.get_vocab().items():
            if id_ < size:
                names[id_] = name
        special = np.zeros(size, np.bool_)
        special[
            [id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special and id_ < size]
        ] = True
        texts = pa.array([_text(tokenizer, id_) if name else "" for id_, name in enumerate(names)], pa.string())
        # BPE and unigram models mark what begins a word, WordPiece what continues one.
        prefix = getattr(tokenizer.model, "continuing_subword_prefix", None) or "##"
        marked = type(tokenizer.model).__name__ in ("BPE", "Unigram")
        inner = np.array([not marked and name.startswith(prefix) for name in names], np.bool_)
        begins = np.array([name.startswith(_WORD_MARKS) if marked else True for name in names], np.bool_) & ~inner
        blank = pc.equal(texts, "").to_numpy(zero_copy_only=False)
        inner[[id_ for id_ in _unknown(tokenizer) if id_ < size]] = True
        return cls(texts, begins & ~inner & ~special & are_words(texts), inner, blank)


def mean_vectors(tokenizer: Tokenizer, table: Vectors, words: Sequence[str]) -> tuple[Vectors, Flags]:
    """(W, H): for each word the mean of the embeddings, (V, H), of its pieces, as they are inside a sentence.

    And (W,) whether the tokenizer knows all of them.
    """
    # A word inside a sentence follows a space, which byte-level tokenizers make part of it.
    encodings = tokenizer.encode_batch([f" {word}" for word in words], add_special_tokens=False)
    lengths = np.array([max(1, len(each.ids)) for each in encodings], np.int64)
    unknown = [*_unknown(tokenizer), 0]
    ids = np.array([i for each in encodings for i in (each.ids or unknown[:1])], np.int64)
    first = np.cumsum(lengths) - lengths
    sums = np.add.reduceat(table[ids], first) if len(words) else table[:0]
    strange = np.logical_or.reduceat(np.isin(ids, unknown[:-1]), first) if len(words) else np.zeros(0, np.bool_)
    return np.asarray(sums / lengths[:, None], np.float32), ~strange


def _unknown(tokenizer: Tokenizer) -> list[int]:
    found = (tokenizer.token_to_id(name) for name in ("[UNK]", "<unk>"))
    return [id_ for id_ in found if id_ is not None]


def _text(tokenizer: Tokenizer, id_: int) -> str:
    text: str = tokenizer.decode([id_], skip_special_tokens=False)
    return text.strip()


def are_words(texts: pa.Array) -> Flags:
    """(V,) which of some texts are one word, with a letter or digit in it."""
    words = split_words(texts)
    single: Flags = np.diff(words.first) == 1
    single[single] = (words.end - words.start)[words.first[:-1][single]] == np.diff(words.text_start)[single]
    return single & np.array([any(map(str.isalnum, text)) for text in texts.to_pylist()], np.bool_)
