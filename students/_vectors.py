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

from ._vocabulary import PAD, SPECIAL, UNKNOWN, Vocabulary

Vectors = npt.NDArray[np.float32]
#: The standard deviation of a random vector's entries, and of any table after scaling; 0.4 measured better than 0.1.
SCALE = 0.4


def starting_vectors(spec: str, vocabulary: Vocabulary, width: int, seed: int, teacher_folder: Path) -> Vectors:
    """(V, E): a vector for each entry of the vocabulary, scaled to a standard deviation of 0.4.

    ``spec`` is ``teacher`` (the mean of the teacher's input embeddings over a word's pieces, brought to ``width`` by
    PCA), ``random``, or the name of a GloVe or word2vec file. Wider vectors are cut by PCA, narrower ones are filled
    up with zeros.

    Raises:
        StillhouseError: no embeddings beside the cache, or a file that cannot be read.
    """
    random = np.random.default_rng(seed).normal(0.0, SCALE, (len(vocabulary), width)).astype(np.float32)
    random[PAD] = 0.0
    if spec == "random":
        return random
    if spec == "teacher":
        found, vectors = (
            np.arange(len(vocabulary.words)),
            mean_vectors(*_teacher_files(teacher_folder), vocabulary.words)[0],
        )
    else:
        found, vectors = read_vectors(spec, vocabulary.words)
    if len(found):
        random[found + len(SPECIAL)] = _reduce(vectors, width)
        random[UNKNOWN] = random[found + len(SPECIAL)].mean(0)
    return random


def teacher_words(folder: Path, lowercase: bool) -> list[str]:
    """The words that a teacher has a piece of their own for, in its order: they have a vector from the start."""
    tokenizer, table = _teacher_files(folder)
    pieces = Pieces.of(tokenizer, len(table))
    words = [
        word for word in pieces.texts.filter(pa.array(pieces.whole)).to_pylist() if word.isalpha() and len(word) > 1
    ]
    return [word.lower() for word in words] if lowercase else words


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
