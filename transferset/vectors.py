"""Word vectors from a GloVe or word2vec file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

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
    path = existing_vectors(path)
    wanted = {*words, *(word.lower() for word in words)}
    with _vector_errors(path):
        width, stored = _read_binary(path, wanted) if path.suffix == ".bin" else _read_text(path, wanted)
    names = [word if word in stored else word.lower() for word in words]
    places = [place for place, name in enumerate(names) if name in stored]
    rows = [stored[names[place]] for place in places]
    return np.array(places, np.int64), np.array(rows, np.float32).reshape(len(places), width)


def first_vectors(path: str | Path, most: int) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The first words of a GloVe or word2vec file, at most ``most``, which are its most frequent; (V, E) their vectors.

    Raises:
        StillhouseError: as ``read_vectors``.
    """
    path = existing_vectors(path)
    with _vector_errors(path):
        if path.suffix == ".bin":
            stored = _load_binary(path, most)
            return list(stored.index_to_key), np.asarray(stored.vectors, np.float32)
        width, found = _read_text(path, None, most)
        return list(found), np.array(list(found.values()), np.float32).reshape(len(found), width)


def existing_vectors(path: str | Path) -> Path:
    """The path of a file of vectors; raises StillhouseError where there is none."""
    path = Path(path)
    if not path.is_file():
        raise StillhouseError(f"{path}: must be a GloVe or word2vec file, got nothing there")
    return path


@contextlib.contextmanager
def _vector_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except StillhouseError:
        raise
    except (ValueError, EOFError, IndexError, OverflowError, TypeError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StillhouseError(f"{path}: must be a GloVe or word2vec file: {reason}") from None


def _first_line(file: BinaryIO) -> tuple[int, int | None]:
    """The width of the vectors, and how many a header promises; the file stands before the first vector."""
    first = file.readline().split()
    promised = int(first[0]) if len(first) == 2 else None
    width = int(first[1]) if promised is not None else len(first) - 1
    if width < 1 or (promised is not None and promised < 0):
        raise ValueError("no vector in its first line")
    file.seek(0 if promised is None else file.tell())
    return width, promised


def _read_text(path: Path, wanted: set[str] | None, most: int | None = None) -> tuple[int, Stored]:
    """The vectors of wanted words, or of all where None; with ``most`` no line is read after so many words."""
    found: Stored = {}
    with path.open("rb") as file:
        width, promised = _first_line(file)
        before, number = 0 if promised is None else 1, 0
        for number, line in enumerate(file, 1):
            _read_line(line, number + before, width, promised is not None, wanted, found)
            if len(found) == most:
                return width, found
    if promised not in (None, number):
        raise ValueError(f"its first line promises {promised} words, got {number}")
    return width, found


def _read_line(line: bytes, number: int, width: int, spaceless: bool, wanted: set[str] | None, found: Stored) -> None:
    word, *numbers = line.rstrip().rsplit(b" ", width)
    name = word.decode()
    if len(numbers) != width or (spaceless and b" " in word):
        raise ValueError(f"line {number} must be a word and {width} numbers, got {line.count(b' ') + 1} fields")
    # The first line is read even if nobody wants it: it shows whether these are numbers at all.
    if wanted is None or name in wanted or number == 1:
        vector = np.array(numbers, np.float32)
        if wanted is None or name in wanted:
            found.setdefault(name, vector)


def _read_binary(path: Path, wanted: set[str]) -> tuple[int, Stored]:
    stored = _load_binary(path, None)
    return stored.vector_size, {word: stored[word] for word in sorted(wanted) if word in stored}


def _load_binary(path: Path, most: int | None) -> Any:
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise StillhouseError(
            f"{path}: gensim must be installed to read binary vectors: run `pip install 'stillhouse[vectors]'`"
        ) from None
    return KeyedVectors.load_word2vec_format(str(path), binary=True, limit=most)
