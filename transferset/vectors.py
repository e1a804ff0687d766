"""Word vectors from a GloVe or word2vec file, read through gensim."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import StillhouseError


def read_vectors(path: str | Path, words: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The vectors of those words that the file has: their places in ``words``, (F,), and the vectors, (F, E).

    A ``.bin`` file is read as binary word2vec; a text file with or without word2vec's header line. A word that the
    file has only in lower case takes that vector.

    Raises:
        StillhouseError: no such file, not a file of vectors, or gensim is not installed.
    """
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise StillhouseError(
            f"{path}: gensim must be installed to read word vectors: run `pip install 'stillhouse[vectors]'`"
        ) from None
    path = Path(path)
    if not path.is_file():
        raise StillhouseError(f"{path}: must be a GloVe or word2vec file, got nothing there")
    binary = path.suffix == ".bin"
    no_header = not binary and not _has_header(path)
    try:
        stored = KeyedVectors.load_word2vec_format(str(path), binary=binary, no_header=no_header)
    except (ValueError, EOFError, UnicodeDecodeError, IndexError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StillhouseError(f"{path}: must be a GloVe or word2vec file: {reason}") from None
    names = [word if word in stored else word.lower() for word in words]
    found = np.array([place for place, name in enumerate(names) if name in stored], np.int64)
    vectors = np.zeros((len(found), stored.vector_size), np.float32)
    for row, place in enumerate(found):
        vectors[row] = stored[names[place]]
    return found, vectors


def _has_header(path: Path) -> bool:
    """Whether the first line is word2vec's "words width" and not already a vector."""
    with path.open("rb") as file:
        return len(file.readline().split()) == 2
