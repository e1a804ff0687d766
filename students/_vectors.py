"""Word vectors that a student starts from: the teacher's own, a file's, or random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import StillhouseError
from transferset.pieces import Pieces, mean_vectors
from transferset.vectors import read_vectors

from ._subwords import Subwords
from ._tokens import PAD
from ._words import SPECIAL, UNKNOWN, Vocabulary

Vectors = npt.NDArray[np.float32]
#: The standard deviation of a random vector's entries, and of any table after scaling; 0.4 measured better than 0.1.
SCALE = 0.4


def known_vectors(spec: str, encoding: Vocabulary | Subwords, folder: Path) -> tuple[npt.NDArray[np.int64], Vectors]:
    """The numbers of words or pieces that a vector is known of, (F,), and the vectors, (F, H).

    ``spec`` is ``teacher`` (the teacher's input embeddings: of a word the mean over its pieces), ``random`` (none
    are known), or the name of a GloVe or word2vec file. ``folder`` is where the labeller keeps the teacher's files.

    Raises:
        StillhouseError: no embeddings beside the cache, a file that cannot be read, or one with none of the words.
    """
    if spec == "random":
        return np.zeros(0, np.int64), np.zeros((0, 1), np.float32)
    if isinstance(encoding, Subwords):
        _, table = _teacher_files(folder)
        table = table[: len(encoding) - 1]
        return np.arange(1, len(table) + 1), table
    if spec == "teacher":
        found = np.arange(len(encoding.words))
        vectors = mean_vectors(*_teacher_files(folder), encoding.words)[0]
    else:
        found, vectors = read_vectors(spec, encoding.words)
        if encoding.words and not len(found):
            raise StillhouseError(
                f"{spec}: must have vectors of words of the transfer set, got none of {len(encoding.words):,}, not even"
                f" of {encoding.words[0]!r}: give another file, or --vectors random"
            )
    return found + len(SPECIAL), vectors


def starting_table(words: int, known: npt.NDArray[np.int64], vectors: Vectors, width: int, seed: int) -> Vectors:
    """(V, E): the known vectors brought to ``width``, random ones for the rest, all of a standard deviation of 0.4.

    Wider vectors are cut by PCA, narrower ones are filled up with zeros. Unknown words start at the mean.
    """
    table = np.random.default_rng(seed).normal(0.0, SCALE, (words, width)).astype(np.float32)
    table[PAD] = 0.0
    if len(known):
        table[known] = _reduce(vectors, width)
        if UNKNOWN not in known:
            table[UNKNOWN] = table[known].mean(0)
    return table


def teacher_words(folder: Path, lowercase: bool) -> list[str]:
    """The words that a teacher has a piece of their own for, in its order: they have a vector from the start."""
    tokenizer, table = _teacher_files(folder)
    pieces = Pieces.of(tokenizer, len(table))
    words = [
        word for word in pieces.texts.filter(pa.array(pieces.whole)).to_pylist() if word.isalpha() and len(word) > 1
    ]
    return [word.lower() for word in words] if lowercase else words


def teacher_tokenizer(folder: Path) -> str:
    """The tokenizer that the labeller kept, as its library writes it."""
    _teacher_files(folder)
    return (folder / "tokenizer.json").read_text("utf-8")


def _teacher_files(folder: Path) -> tuple[Any, Vectors]:
    """The tokenizer, and the table of input embeddings, (pieces, H), that the labeller kept."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    if not (folder / "embeddings.safetensors").is_file():
        raise StillhouseError(
            f"{folder}: must hold the teacher's embeddings, got none: run `stillhouse label` with a teacher that"
            " has them, or train with --vectors random or a file"
        )
    try:
        table = load_file(folder / "embeddings.safetensors")["embeddings"].astype(np.float32)
        tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise StillhouseError(
            f"{folder}: must hold the teacher's embeddings and tokenizer: {error}: delete it and label again"
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, table


def _reduce(vectors: Vectors, width: int) -> Vectors:
    """Centred, turned to the principal axes and cut to ``width`` of them; one scale for all."""
    centred = vectors - vectors.mean(0)
    if centred.shape[1] > width:
        _, axes = np.linalg.eigh(centred.T @ centred)
        centred = np.asarray(centred @ axes[:, ::-1][:, :width], np.float32)
    spread = float(centred.std())
    filled = np.zeros((len(vectors), width), np.float32)
    filled[:, : centred.shape[1]] = centred * (SCALE / spread if spread > 0 else 1.0)
    return filled
