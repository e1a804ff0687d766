"""Where the words of a text are: one rule for the augmenters and for students that read words.

A word is a run of letters, digits and underscores with their combining marks; a hyphen, apostrophe or ``&`` between
two of them belongs to it, as does a point or comma between digits and a point after an initial (``u.s``). English
clitics (``'s 'm 'd 're 've 'll n't``) are words of their own, as in the Penn Treebank. A Chinese or Japanese
character is a word. Of all other visible characters a run of the same one is a word (``...``, ``--``), and a joined
emoji sequence is one character.

The work is done on whole batches as arrays: about a second for a hundred megabytes of text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]
Kinds = npt.NDArray[np.uint8]

_SPACE, _WORD, _SYMBOL, _EXTEND, _IDEOGRAPH = range(5)
_APOSTROPHES = (ord("'"), ord("\N{RIGHT SINGLE QUOTATION MARK}"))
_ZERO_WIDTH_JOINER = 0x200D
_CLITICS = ("s", "m", "d", "re", "ve", "ll")
# A run of symbols longer than this many code points before and after is all that a neighbour test looks at.
_PAD = 4


@dataclass(frozen=True)
class Words:
    """The words of B texts, as byte offsets into the texts laid end to end.

    Attributes:
        data: all texts as UTF-8, without anything between them.
        text_start: (B + 1,) where each text begins in ``data``.
        first: (B + 1,) the number of words before each text; text b has words first[b] to first[b + 1].
        start, end: (T,) where each word begins and ends in ``data``.
    """

    data: npt.NDArray[np.uint8]
    text_start: Places
    first: Places
    start: Places
    end: Places

    @cached_property
    def strings(self) -> pa.Array:
        """The words themselves, T strings.

        >>> words = split_words(pa.array(["It isn't  bad...", "", "3.5 stars: [MASK]!"]), whole=("[MASK]",))
        >>> words.strings.to_pylist()
        ['It', 'is', "n't", 'bad', '...', '3.5', 'stars', ':', '[MASK]', '!']
        >>> words.first.tolist()
        [0, 5, 5, 10]
        """
        cuts = np.stack([self.start, self.end], 1).ravel()
        every_second = pa.array(np.arange(len(self.start)) * 2)
        return strings_between(np.append(cuts, cuts[-1:]) if len(cuts) else cuts, self.data).take(every_second)


def placeholders(mask_token: str | None) -> tuple[str, ...]:
    """What counts as one word in the texts of a transfer set: its mask token, or those that texts may come with.

    >>> placeholders("[M]"), placeholders(None)
    (('[M]',), ('[MASK]', '<mask>'))
    """
    return (mask_token,) if mask_token is not None else ("[MASK]", "<mask>")


def split_words(texts: pa.Array, whole: Sequence[str] = ()) -> Words:
    """Finds the words of B texts; each occurrence of a phrase in ``whole`` is one word.

    >>> words = split_words(pa.array(["don't--stop", "它很好"]))
    >>> words.strings.to_pylist()
    ['do', "n't", '--', 'stop', '它', '很', '好']
    """
    data, text_start = _laid_end_to_end(texts)
    joined = pc.binary_join(_as_one_list(texts), "\n")[0].as_py() or ""
    codes, byte_of = _code_points(joined)
    inside, begins = _find_words(codes, joined, whole)
    start = np.flatnonzero(begins)
    end = np.flatnonzero(inside & (~np.append(inside[1:], False) | np.append(begins[1:], True))) + 1
    start_byte, end_byte = (place if byte_of is None else byte_of[place] for place in (start, end))
    # One newline stands between texts in ``joined`` and none in ``data``.
    first = np.searchsorted(start_byte, text_start + np.arange(len(text_start)))
    newlines = np.repeat(np.arange(len(texts)), np.diff(first))
    return Words(data, text_start, first, start_byte - newlines, end_byte - newlines)


def _laid_end_to_end(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], Places]:
    texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1] if offsets else np.zeros(1)
    bounds = bounds.astype(np.int64)
    raw = np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]]
    return raw, bounds - bounds[0]


def _as_one_list(texts: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts.cast(pa.string()))


def _code_points(joined: str) -> tuple[Codes, Places | None]:
    """The code points, and where each begins in bytes (None where that is its own place)."""
    if joined.isascii():
        return np.frombuffer(joined.encode("ascii"), np.uint8).astype(np.uint32), None
    raw = np.frombuffer(joined.encode(), np.uint8)
    starts = np.flatnonzero((raw & 0xC0) != 0x80)
    return np.frombuffer(joined.encode("utf-32-le"), np.uint32), np.append(starts, len(raw))


def _find_words(codes: Codes, joined: str, whole: Sequence[str]) -> tuple[Flags, Flags]:
    """Which characters are in a word, and which begin one."""
    padded = np.zeros(len(codes) + 2 * _PAD, np.uint32)
    padded[_PAD:-_PAD] = codes
    kinds = _kinds(padded)
    begins = np.zeros(len(padded), np.bool_)
    # Marks and joiners belong to the character before them, so the rules look at the others alone.
    kinds[(kinds == _EXTEND) & (np.roll(kinds, 1) == _SPACE)] = _SYMBOL
    base = np.flatnonzero(kinds != _EXTEND)
    after_joiner = base[1:][(padded[base[1:] - 1] == _ZERO_WIDTH_JOINER) & (np.diff(base) > 1)]
    kinds[base], begins[base] = _apply_rules(padded[base], kinds[base])
    begins[after_joiner[kinds[after_joiner] == _SYMBOL]] = False
    inside = (kinds != _SPACE)[_PAD:-_PAD]
    begins = begins[_PAD:-_PAD]
    for phrase in whole:
        for match in re.finditer(re.escape(phrase), joined):
            a, b = match.span()
            inside[a:b] = True
            begins[a:b] = False
            begins[a] = True
            begins[b : b + 1] = True
    return inside, begins & inside


def _apply_rules(codes: Codes, kinds: Kinds) -> tuple[Kinds, Flags]:
    begins = kinds != np.roll(kinds, 1)
    begins |= kinds == _IDEOGRAPH
    begins |= (kinds == _SYMBOL) & (codes != np.roll(codes, 1))
    _join_inner_marks(codes, kinds, begins)
    _split_clitics(codes, kinds, begins)
    return kinds, begins


def _join_inner_marks(codes: Codes, kinds: Kinds, begins: Flags) -> None:
    at = np.flatnonzero(_is_one_of(codes, (*_APOSTROPHES, ord("-"), ord("&"))))
    at = at[(kinds[at - 1] == _WORD) & (kinds[at + 1] == _WORD)]
    numeric = np.flatnonzero((codes == ord(".")) | (codes == ord(",")))
    numeric = numeric[_is_digit(codes[numeric - 1]) & _is_digit(codes[numeric + 1])]
    points = np.flatnonzero(codes == ord("."))
    initials = points[(kinds[points - 2] != _WORD) & (kinds[points - 1] == _WORD) & (kinds[points + 1] == _WORD)]
    for places in (at, numeric, initials):
        kinds[places] = _WORD
        begins[places] = False
        begins[places + 1] = False


def _is_one_of(codes: Codes, few: Sequence[int]) -> Flags:
    # A comparison for each is several times as fast as np.isin.
    found: Flags = codes == few[0]
    for code in few[1:]:
        found |= codes == code
    return found


def _is_digit(codes: Codes) -> Flags:
    return (codes >= ord("0")) & (codes <= ord("9"))


def _split_clitics(codes: Codes, kinds: Kinds, begins: Flags) -> None:
    apostrophes = _is_one_of(codes, _APOSTROPHES)
    at = np.flatnonzero(apostrophes)
    one, two = _lower(codes[at + 1]), _lower(codes[at + 2])
    # One clitic may follow another: I'd've.
    ends = (kinds != _WORD) | apostrophes
    last_is_next, last_is_second = ends[at + 2], ends[at + 3]
    matched = np.zeros(len(at), np.bool_)
    for clitic in _CLITICS:
        if len(clitic) == 1:
            matched |= (one == ord(clitic)) & last_is_next
        else:
            matched |= (one == ord(clitic[0])) & (two == ord(clitic[1])) & last_is_second
    clitics = at[matched]
    kinds[clitics] = _WORD
    begins[clitics] = True
    begins[clitics + 1] = False
    negations = at[(one == ord("t")) & last_is_next & (_lower(codes[at - 1]) == ord("n"))]
    begins[negations - 1] = True


def _lower(codes: Codes) -> Codes:
    capital = (codes >= ord("A")) & (codes <= ord("Z"))
    return np.where(capital, codes + 32, codes)


def _kinds(codes: Codes) -> Kinds:
    kinds = _ASCII_KINDS[np.minimum(codes, 127)]
    beyond = np.flatnonzero(codes > 127)
    if len(beyond):
        distinct, places = np.unique(codes[beyond], return_inverse=True)
        kinds[beyond] = np.array([_kind(chr(code)) for code in distinct.tolist()], np.uint8)[places]
    return kinds


def _kind(character: str) -> int:
    category, code = unicodedata.category(character), ord(character)
    if category[0] == "M" or code == _ZERO_WIDTH_JOINER or 0x1F3FB <= code <= 0x1F3FF:
        return _EXTEND
    if category in ("Zs", "Zl", "Zp", "Cc", "Cf"):
        return _SPACE
    if 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x3FFFF:
        return _IDEOGRAPH
    return _WORD if category[0] in "LN" or character == "_" else _SYMBOL


_ASCII_KINDS = np.array([_kind(chr(code)) for code in range(128)], np.uint8)


def strings_between(cuts: Places, data: npt.NDArray[np.uint8]) -> pa.Array:
    """The strings between S + 1 successive cuts of a buffer, S strings, without copying it."""
    if not len(cuts):
        return pa.array([], pa.large_string())
    bounds, bytes_ = (pa.py_buffer(np.ascontiguousarray(each)) for each in (cuts.astype(np.int64), data))
    return pa.LargeStringArray.from_buffers(len(cuts) - 1, bounds, bytes_)
