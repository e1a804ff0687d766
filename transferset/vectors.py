"""Word vectors from a GloVe or word2vec file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import StillhouseError

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]
Stored = dict[str, npt.NDArray[np.float32]]


def read_vectors(path: str | Path, words: Sequence[str]) -> Found:
    """The vectors of those words that the file has: their places in ``words``, (F,), and the vectors, (F, E).

    A ``.bin`` file is binary word2vec, read by gensim. Text files, GloVe's and word2vec's, are read here line by line:
    only the wanted vectors are held, and words with a blank in them, as some GloVe files have, do no harm. A word
    that the file has only in lower case takes that vector.

    Raises:
        StillhouseError: no such file, not a file of vectors, or gensim is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise StillhouseError(f"{path}: must be a GloVe or word2vec file, got nothing there")
    wanted = {*words, *(word.lower() for word in words)}
    try:
        width, stored = _read_binary(path, wanted) if path.suffix == ".bin" else _read_text(path, wanted)
    except StillhouseError:
        raise
    except (ValueError, EOFError, IndexError, OverflowError, TypeError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StillhouseError(f"{path}: must be a GloVe or word2vec file: {reason}") from None
    names = [word if word in stored else word.lower() for word in words]
    places = [place for place, name in enumerate(names) if name in stored]
    rows = [stored[names[place]] for place in places]
    return np.array(places, np.int64), np.array(rows, np.float32).reshape(len(places), width)


def _read_text(path: Path, wanted: set[str]) -> tuple[int, Stored]:
    found: Stored = {}
    with path.open("rb") as file:
        first = file.readline().split()
        promised = int(first[0]) if len(first) == 2 else None
        width = int(first[1]) if promised is not None else len(first) - 1
        if width < 1 or (promised is not None and promised < 0):
            raise ValueError("no vector in its first line")
        file.seek(0 if promised is None else file.tell())
        line_number = 0 if promised is None else 1
        for line in file:
            line_number += 1
            _read_line(line, line_number, width, promised is not None, wanted, found)
    if promised is not None and line_number - 1 != promised:
        raise ValueError(f"its first line promises {promised} words, got {line_number - 1}")
    return width, found


def _read_line(line: bytes, number: int, width: int, spaceless: bool, wanted: set[str], found: Stored) -> None:
    word, *numbers = line.rstrip().rsplit(b" ", width)
    name = word.decode()
    if len(numbers) != width or (spaceless and b" " in word):
        raise ValueError(f"line {number} must be a word and {width} numbers, got {line.count(b' ') + 1} fields")
    # The first line is read even if nobody wants it: it shows whether these are numbers at all.
    if name in wanted or number == 1:
        vector = np.array(numbers, np.float32)
        if name in wanted:
            found.setdefault(name, vector)


def _read_binary(path: Path, wanted: set[str]) -> tuple[int, Stored]:
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise StillhouseError(
            f"{path}: gensim must be installed to read binary vectors: run `pip install 'stillhouse[vectors]'`"
        ) from None
    stored = KeyedVectors.load_word2vec_format(str(path), binary=True)
    return stored.vector_size, {word: stored[word] for word in sorted(wanted) if word in stored}
