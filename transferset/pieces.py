"""The pieces of a tokenizer: which are whole words, and the vectors that a model's embeddings give to any word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from .words import split_words

#: Byte-level tokenizers mark the space before a word with a letter, sentencepiece ones with a bar.
_WORD_MARKS = ("\u0120", "\u2581")
#: BERT's mark what continues a word.
_CONTINUES = "##"


def whole_words(tokenizer: Tokenizer, size: int) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """The text of each of V pieces, and which are whole words with a letter or digit, (V,); special ones are none."""
    special = {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    pieces = [""] * size
    for piece, id_ in tokenizer.get_vocab().items():
        if id_ < size and id_ not in special:
            pieces[id_] = piece
    marked = any(piece.startswith(_WORD_MARKS) for piece in pieces)
    begins = [piece.startswith(_WORD_MARKS) if marked else not piece.startswith(_CONTINUES) for piece in pieces]
    texts = [
        tokenizer.decode([id_], skip_special_tokens=False).strip() if piece and begin else ""
        for id_, (piece, begin) in enumerate(zip(pieces, begins, strict=True))
    ]
    strings = pa.array(texts, pa.string())
    words = split_words(strings)
    single = np.diff(words.first) == 1
    single[single] = (words.end - words.start)[words.first[:-1][single]] == np.diff(words.text_start)[single]
    has_letter = np.array([any(map(str.isalnum, text)) for text in texts], np.bool_)
    return strings, single & has_letter


def mean_vectors(tokenizer: Tokenizer, table: npt.NDArray[np.float32], words: Sequence[str]) -> npt.NDArray[np.float32]:
    """(W, H): for each word the mean of the embeddings, (V, H), of its pieces, as they are inside a sentence."""
    # A word inside a sentence follows a space, which byte-level tokenizers make part of it.
    encodings = tokenizer.encode_batch([f" {word}" for word in words], add_special_tokens=False)
    lengths = np.array([max(1, len(each.ids)) for each in encodings], np.int64)
    unknown = tokenizer.token_to_id("[UNK]") or tokenizer.token_to_id("<unk>") or 0
    ids = np.array([i for each in encodings for i in (each.ids or [unknown])], np.int64)
    sums = np.add.reduceat(table[ids], np.cumsum(lengths) - lengths) if len(words) else table[:0]
    return np.asarray(sums / lengths[:, None], np.float32)
