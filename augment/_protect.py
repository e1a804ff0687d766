"""What a recipe protects: words and phrases, regular expressions, and kinds of words by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
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
    for entry in entries:
        if not isinstance(entry, str) or not entry.strip():
            raise StillhouseError(f"{where}: protect must list words, phrases, /REGEX/ or :KIND:, got {entry!r}")
        if _is_between(entry, "/"):
            try:
                re.compile(entry[1:-1])
            except re.error as error:
                raise StillhouseError(f"{where}: protect must hold regular expressions, got {entry}: {error}") from None
        elif _is_between(entry, ":") and entry[1:-1] not in _KINDS:
            raise unknown(f"{where}: protect", entry, [f":{kind}:" for kind in _KINDS])


def protected_words(words: Words, entries: Sequence[str]) -> Flags:
    """(T,) which words the entries protect.

    Words and phrases count whatever their case, and as whole words; of a regular expression every word that a match
    touches.

    >>> words = split_words(pa.array(["New York is not new , and 10/10"]))
    >>> [words.strings[i].as_py() for i in np.flatnonzero(protected_words(words, ["new york", "/[0-9/]+/"]))]
    ['New', 'York', '10', '/', '10']
    """
    flags = np.zeros(len(words.start), np.bool_)
    if not len(flags):
        return flags
    distinct = words.strings.dictionary_encode()
    lower, ids = pc.utf8_lower(distinct.dictionary), distinct.indices.to_numpy()
    for entry in entries:
        if _is_between(entry, "/"):
            flags |= _matched(words, re.compile(entry[1:-1]))
        elif _is_between(entry, ":"):
            flags |= _KINDS[entry[1:-1]](lower)[ids]
        else:
            flags |= _phrase(words, lower, ids, entry)
    return flags


def _is_between(entry: str, mark: str) -> bool:
    return len(entry) > 2 and entry.startswith(mark) and entry.endswith(mark)


def _phrase(words: Words, lower: pa.Array, ids: npt.NDArray[np.int32], phrase: str) -> Flags:
    wanted = split_words(pa.array([phrase.lower()])).strings
    flags, count = np.zeros(len(ids), np.bool_), len(wanted)
    # A phrase must lie within one text: its last word too.
    text = np.repeat(np.arange(len(words.first) - 1), np.diff(words.first))
    begins = np.arange(len(ids) - count + 1)
    begins = begins[text[begins] == text[begins + count - 1]]
    for offset, word in enumerate(wanted):
        begins = begins[pc.equal(lower, word).to_numpy(zero_copy_only=False)[ids[begins + offset]]]
    for offset in range(count):
        flags[begins + offset] = True
    return flags


def _matched(words: Words, pattern: re.Pattern[str]) -> Flags:
    touched = np.zeros(len(words.start) + 1, np.int64)
    data, bounds = words.data.tobytes(), words.text_start.tolist()
    for begin, end in pairwise(bounds):
        text = data[begin:end].decode()
        for match in pattern.finditer(text):
            a, b = (begin + len(text[:place].encode()) for place in match.span())
            if b > a:
                touched[np.searchsorted(words.end, a, side="right")] += 1
                touched[np.searchsorted(words.start, b)] -= 1
    return np.asarray(np.cumsum(touched)[:-1] > 0)


def _stop_words(lower: pa.Array) -> Flags:
    return np.asarray(pc.is_in(lower, pa.array(_STOP_WORDS, lower.type)).to_numpy(zero_copy_only=False))


def _not_letters(lower: pa.Array) -> Flags:
    return np.asarray(pc.invert(pc.utf8_is_alpha(lower)).to_numpy(zero_copy_only=False))


#: Kinds of words by name, each from the lower-cased distinct words.
_KINDS: dict[str, Callable[[pa.Array], Flags]] = {"stop-words": _stop_words, "non-alphabetic": _not_letters}
