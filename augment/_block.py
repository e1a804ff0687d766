"""The rows an augmenter sees at once: a block of source texts, and the output rows drawn up from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import StillhouseError
from transferset.words import Words, split_words

from ._draws import Draws, position_draws, row_draws, within

Places = npt.NDArray[np.int64]

EDIT = pa.struct(
    [
        ("rule", pa.string()),
        ("position", pa.int32()),
        ("words", pa.int32()),
        ("old", pa.string()),
        ("new", pa.string()),
    ]
)
#: What an augmenter becomes once it has seen the corpus: it edits a draft in place.
Step = Callable[["Draft"], None]


@dataclass(frozen=True)
class Block:
    """B successive rows of the source.

    Attributes:
        index: the number of the block.
        first_row: the source row of its first text.
        texts: B strings.
        whole: phrases that count as one word.
    """

    index: int
    first_row: int
    texts: pa.Array
    whole: tuple[str, ...] = ()

    @cached_property
    def words(self) -> Words:
        """The T words of the texts."""
        return split_words(self.texts, self.whole)


@dataclass(frozen=True)
class Edits:
    """Replacements of E words: the flat place of each in the draft (E,), and its new word (E strings)."""

    rule: str
    places: Places
    new: pa.Array


@dataclass(frozen=True)
class Window:
    """A span kept of each of W rows: the row (W,), its first word's position in the text (W,), its words (W,)."""

    rule: str
    rows: Places
    start: Places
    count: Places


@dataclass
class Draft:
    """R output rows of N words, as flat arrays; augmenters edit it, ``texts`` writes it out.

    Attributes:
        block: where the words come from.
        text: (R,) the text in the block that each row copies.
        copy: (R,) the number of the copy, from 1.
        first: (R + 1,) the number of words before each row.
        word: (N,) each word's place among the block's words.
        seed: the seed of all draws.
        low, high: (R,) the first word place that each row keeps, and the one after the last.
    """

    block: Block
    text: Places
    copy: npt.NDArray[np.int32]
    first: Places
    word: Places
    seed: int
    low: Places
    high: Places
    edits: list[Edits] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    _claimed: float = 0.0

    @classmethod
    def of(cls, block: Block, copies: int, seed: int) -> Draft:
        """All copies of all texts of a block, unedited; the copies of a text stand together."""
        count = len(block.texts)
        text = np.repeat(np.arange(count), copies)
        copy = np.tile(np.arange(1, copies + 1, dtype=np.int32), count)
        lengths = np.diff(block.words.first)[text]
        first = np.concatenate([[0], np.cumsum(lengths)])
        word = np.arange(first[-1]) + np.repeat(block.words.first[:-1][text] - first[:-1], lengths)
        return cls(block, text, copy, first, word, seed, first[:-1].copy(), first[1:].copy())

    @cached_property
    def row(self) -> Places:
        """(N,) the row of each word."""
        return np.repeat(np.arange(len(self.text)), np.diff(self.first))

    @cached_property
    def position(self) -> npt.NDArray[np.int32]:
        """(N,) the place of each word in its text, from 0."""
        return (np.arange(len(self.word)) - self.first[self.row]).astype(np.int32)

    def row_draws(self, rule: str) -> Draws:
        """(R,) one draw for each row."""
        return row_draws(self.seed, rule, self.block.first_row + self.text, self.copy)

    def draws(self, rule: str, places: Places) -> Draws:
        """(E,) one draw for each of the words at ``places``."""
        rows = self.row[places]
        return position_draws(self.row_draws(rule)[rows], self.position[places])

    def claim(self, rate: float) -> Places:
        """The places, (E,), of the words that the next word rule edits: each with probability ``rate``.

        A word has one draw from 0 to 1 for all word rules of a recipe, and they take successive intervals of
        it: so no word is edited twice, and each rule has its rate among all words.
        Source: Tang et al. 2019, section 3.3 (masking and POS-guided replacement).

        Raises:
            StillhouseError: the rates of the word rules add up to more than 1.
        """
        low, self._claimed = self._claimed, self._claimed + rate
        if self._claimed > 1 + 1e-9:
            raise StillhouseError(f"recipe: the rates of word rules must add up to at most 1, got {self._claimed:g}")
        return np.flatnonzero(within(self._word_draws, low, self._claimed))

    @cached_property
    def _word_draws(self) -> Draws:
        return position_draws(np.repeat(self.row_draws("words"), np.diff(self.first)), self.position)

    def replace(self, rule: str, places: Places, new: pa.Array) -> None:
        """Puts new words, E strings, in the places of old ones, (E,)."""
        self.edits.append(Edits(rule, places, new))

    def keep_only(self, rule: str, rows: Places, start: Places, count: Places) -> None:
        """Of some rows keeps only ``count`` words from position ``start``; all arguments are (W,)."""
        self.low[rows] = self.first[rows] + start
        self.high[rows] = self.low[rows] + count
        self.windows.append(Window(rule, rows, start, count))

    # What follows turns the draft into columns.

    def windowed(self) -> npt.NDArray[np.bool_]:
        """(R,) whether a row lost words at either end, and with them the white space around the text."""
        flags: npt.NDArray[np.bool_] = (self.low != self.first[:-1]) | (self.high != self.first[1:])
        return flags

    def changed(self) -> npt.NDArray[np.bool_]:
        """(R,) whether anything was done to a row; one left as it was equals its original."""
        flags = self.windowed()
        for each in self.edits:
            rows = self.row[each.places]
            flags[rows[(each.places >= self.low[rows]) & (each.places < self.high[rows])]] = True
        return flags
