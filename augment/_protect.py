"""What a recipe protects: words and phrases, regular expressions, and kinds of words by name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import StillhouseError, unknown
from transferset.words import Words, split_words

Flags = npt.NDArray[np.bool_]

# Function words of English, and what is left of their contractions once clitics are words of their own.
_STOP_WORDS = tuple(
    """
    a about above after again against ain all am an and any are aren as at be because been before being below between
    both but by ca can could couldn did didn do does doesn doing don down during each few for from further had hadn
    has hasn have haven having he her here hers herself him himself his how i if in into is isn it its itself just
    ll ma me might mightn more most must mustn my myself need needn no nor not now o of off on once only or other our
    ours ourselves out over own re s same sha shan she should shouldn so some such t than that the their theirs them
    themselves then there these they this those through to too under until up ve very was wasn we were weren what when
    where which while who whom why will with wo won would wouldn y you your yours yourself yourselves
    n't 's 'm 'd 're 've 'll
    """.split()  # noqa: SIM905 - a list would be two hundred lines
)


def check_protect(where: str, entries: Sequence[str]) -> None:
    """Raises StillhouseError unless each entry is a word, a phrase, ``/REGEX/`` or ``:KIND:``."""
    if isinstance(entries, str):
        raise StillhouseError(f"{where}: protect must be a list, got {entries!r}")
    for entry in entries:
        if not isinstance(entry, str) or not len(split_words(pa.array([entry])).start):
            raise StillhouseError(f"{where}: protect must list words, phrases, /REGEX/ or :KIND:, got {entry!r}")
        if _is_between(entry, "/"):
            try:
                _pattern(entry)
            except re.error as error:
                raise StillhouseError(f"{where}: protect must hold regular expressions, got {entry}: {error}") from None
        elif _is_between(entry, ":") and entry[1:-1] not in _KINDS:
            raise unknown(f"{where}: protect", entry, [f":{kind}:" for kind in _KINDS])


def protected_words(words: Words, entries: Sequence[str], whole: Sequence[str] = ()) -> Flags:
    """(T,) which words the entries protect; ``whole`` are phrases that count as one word.

    Words and phrases count whatever their case and kind of apostrophe, and as whole words; of a regular expression
    every word that a match touches.

    >>> words = split_words(pa.array(["New York is not new , and 10/10"]))
    >>> [words.strings[i].as_py() for i in np.flatnonzero(protected_words(words, ["new york", "/[0-9/]+/"]))]
    ['New', 'York', '10', '/', '10']
    """
    flags = np.zeros(len(words.start), np.bool_)
    if not len(flags):
        return flags
    distinct = words.strings.dictionary_encode()
    folded = pa.array([_folded(word) for word in distinct.dictionary.to_pylist()], pa.string())
    ids = distinct.indices.to_numpy()
    for entry in entries:
        if _is_between(entry, "/"):
            flags |= _matched(words, _pattern(entry))
        elif _is_between(entry, ":"):
            flags |= _KINDS[entry[1:-1]](folded)[ids]
        else:
            flags |= _phrase(words, folded, ids, split_words(pa.array([entry]), whole).strings.to_pylist())
    return flags


def _is_between(entry: str, mark: str) -> bool:
    return len(entry) > 2 and entry.startswith(mark) and entry.endswith(mark)


def _folded(word: str) -> str:
    """What words have in common that differ in case or in the kind of apostrophe."""
    return word.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


# Kept from the check on, since filters of warnings are not safe to change in threads.
@cache
def _pattern(entry: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        # What Python may read otherwise some day it reads in one way today.
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(entry[1:-1])


def _phrase(words: Words, folded: pa.Array, ids: npt.NDArray[np.int32], wanted: Sequence[str]) -> Flags:
    flags, count = np.zeros(len(ids), np.bool_), len(wanted)
    # A phrase must lie within one text: its last word too.
    text = np.repeat(np.arange(len(words.first) - 1), np.diff(words.first))
    begins = np.arange(len(ids) - count + 1)
    begins = begins[text[begins] == text[begins + count - 1]]
    for offset, word in enumerate(wanted):
        begins = begins[pc.equal(folded, _folded(word)).to_numpy(zero_copy_only=False)[ids[begins + offset]]]
    for offset in range(count):
        flags[begins + offset] = True
    return flags


def _matched(words: Words, pattern: re.Pattern[str]) -> Flags:
    touched = np.zeros(len(words.start) + 1, np.int64)
    data, bounds = words.data.tobytes(), words.text_start.tolist()
    for begin, end in pairwise(bounds):
        text = data[begin:end].decode()
        before = None if text.isascii() else np.cumsum([0, *(len(character.encode()) for character in text)])
        for match in pattern.finditer(text):
            a, b = (begin + int(place if before is None else before[place]) for place in match.span())
            if b > a:
                touched[np.searchsorted(words.end, a, side="right")] += 1
                touched[np.searchsorted(words.start, b)] -= 1
    return np.asarray(np.cumsum(touched)[:-1] > 0)


def _stop_words(folded: pa.Array) -> Flags:
    return np.asarray(pc.is_in(folded, pa.array(_STOP_WORDS)).to_numpy(zero_copy_only=False))


def _not_letters(folded: pa.Array) -> Flags:
    return np.asarray(pc.invert(pc.utf8_is_alpha(folded)).to_numpy(zero_copy_only=False))


#: Kinds of words by name, each from the case-folded distinct words.
_KINDS: dict[str, Callable[[pa.Array], Flags]] = {"stop-words": _stop_words, "non-alphabetic": _not_letters}
