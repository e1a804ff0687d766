"""The texts an augmenter sees at once: a block of the source, and the output rows drawn up from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import StillhouseError
from transferset.words import Words, split_words

from ._draws import Draws, position_draws, row_draws, within
from ._protect import protected_words

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: What an augmenter of texts becomes once it has seen the corpus: it edits a draft in place.
Step = Callable[["Draft"], None]


@dataclass(frozen=True)
class Block:
    """B successive rows of the source, with S texts each: one, or the two of a pair.

    Attributes:
        index: the number of the block.
        first_row: the source row of its first row.
        texts: S x B strings, all first texts before all second ones.
        sides: S.
        whole: phrases that count as one word.
        protect: what no augmenter may touch, as in a recipe.
    """

    index: int
    first_row: int
    texts: pa.Array
    sides: int = 1
    whole: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """B."""
        return len(self.texts) // self.sides

    @cached_property
    def words(self) -> Words:
        """The T words of the texts."""
        return split_words(self.texts, self.whole)

    @cached_property
    def protected(self) -> Flags | None:
        """(T,) which words no augmenter may touch; None where there are none."""
        return protected_words(self.words, self.protect, self.whole) if self.protect else None


@dataclass(frozen=True)
class Edits:
    """Replacements of E words: the flat place of each in the draft (E,), and its new word (E strings)."""

    rule: str
    places: Places
    new: pa.Array


@dataclass(frozen=True)
class Window:
    """A span kept of each of W texts: the text (W,), its first word's position in it (W,), its words (W,)."""

    rule: str
    rows: Places
    start: Places
    count: Places


@dataclass
class Draft:
    """Copies of R texts, N words in all, as flat arrays; augmenters edit it, ``_render.py`` writes it out.

    For single texts an output row is one text of the draft. For pairs it is those of its two texts that may be
    edited in it; a text that stays as it is does not stand in the draft.

    Attributes:
        block: where the words come from.
        text: (R,) the text in the block that each is a copy of.
        copy: (R,) the number of the copy, from 1.
        first: (R + 1,) the number of words before each text.
        word: (N,) each word's place among the block's words.
        seed: the seed of all draws.
        low, high: (R,) the first word place that each text keeps, and the one after the last.
        output: (R,) the output row that each text stands in, ascending.
        place: (W, S) where the texts of each output row stand in the draft; -1 for one that stays as it is.
    """

    block: Block
    text: Places
    copy: npt.NDArray[np.int32]
    first: Places
    word: Places
    seed: int
    low: Places
    high: Places
    output: Places
    place: Places
    edits: list[Edits] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    _active: Flags | None = None
    _claimed: float = 0.0
    _names: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, block: Block, rows: Places, copy: npt.NDArray[np.int32], seed: int, sides: Flags | None = None
    ) -> Draft:
        """Unedited copies of some of a block's rows, (W,); ``sides``, (W, S), says which texts may be edited."""
        if sides is None:
            output = np.arange(len(rows))
            text, place = rows, output[:, None]
        else:
            output, side = np.nonzero(sides)
            text, copy = rows[output] + side * block.rows, copy[output]
            place = np.where(sides, np.cumsum(sides).reshape(sides.shape) - 1, -1)
        lengths = np.diff(block.words.first)[text]
        first = np.concatenate([[0], np.cumsum(lengths)])
        shift = (block.words.first[:-1][text] - first[:-1]).astype(np.int32)
        word = np.arange(first[-1], dtype=np.int32) + np.repeat(shift, lengths)
        return cls(block, text, copy, first, word, seed, first[:-1].copy(), first[1:].copy(), output, place)

    @cached_property
    def row(self) -> Places:
        """(N,) the text that each word stands in."""
        return np.repeat(np.arange(len(self.text), dtype=np.int32), np.diff(self.first))

    @cached_property
    def position(self) -> npt.NDArray[np.int32]:
        """(N,) the place of each word in its text, from 0."""
        # In 32 bits throughout: such arrays are as long as the draft, and reading them is what takes the time.
        first = np.repeat(self.first[:-1].astype(np.int32), np.diff(self.first))
        return np.asarray(np.arange(len(self.word), dtype=np.int32) - first)

    @cached_property
    def offered(self) -> Flags:
        """(N,) the words for which a step had something to offer, whether or not it used it."""
        return np.zeros(len(self.word), np.bool_)

    def offer(self, eligible: Flags) -> None:
        """Marks the words that the step at work could edit; ``eligible``, (T,), says which of the block."""
        found = eligible[self.word]
        if self._active is not None:
            found &= self._active[self.row]
        self.offered |= found

    @property
    def active(self) -> Flags:
        """(R,) the texts that the step at work may edit."""
        return np.ones(len(self.text), np.bool_) if self._active is None else self._active

    def name(self, rule: str) -> str:
        """A name for the draws of a step: another one each time, so that two steps of one kind draw differently."""
        self._names[rule] = self._names.get(rule, 0) + 1
        return rule if self._names[rule] == 1 else f"{rule}-{self._names[rule]}"

    def row_draws(self, name: str) -> Draws:
        """(R,) one draw for each text."""
        sides, rows = self.block.sides, self.block.rows
        source = self.text if sides == 1 else (self.text % rows) * sides + self.text // rows
        return row_draws(self.seed, name, self.block.first_row * sides + source, self.copy)

    def draws(self, name: str, places: Places) -> Draws:
        """(E,) one draw for each of the words at ``places``."""
        rows = self.row[places]
        return position_draws(self.row_draws(name)[rows], self.position[places])

    def claim(self, rate: float, eligible: Flags | None = None) -> Places:
        """The places, (E,), of the words that the next word rule edits: each with probability ``rate``.

        A word has one draw from 0 to 1 for all word rules of a recipe, and they take successive intervals of
        it: so no word is edited twice, and each rule has its rate among the words it may edit. ``eligible``, (T,), says
        which words of the block those are; protected ones never are.
        Source: Tang et al. 2019, section 3.3 (masking and POS-guided replacement).

        Raises:
            StillhouseError: the rates of the word rules add up to more than 1.
        """
        low, self._claimed = self._claimed, self._claimed + rate
        if self._claimed > 1 + 1e-9:
            raise StillhouseError(f"recipe: the rates of word rules must add up to at most 1, got {self._claimed:g}")
        places = np.flatnonzero(within(self._word_draws, low, self._claimed))
        if self._active is not None:
            places = places[self._active[self.row[places]]]
        protected = self.block.protected
        if protected is not None:
            places = places[~protected[self.word[places]]]
        return places if eligible is None else places[eligible[self.word[places]]]

    @cached_property
    def _word_draws(self) -> Draws:
        return position_draws(np.repeat(self.row_draws("words"), np.diff(self.first)), self.position)

    def split(self, branch: Places, steps: Sequence[Step]) -> None:
        """Runs step b on those texts alone whose branch, (R,), is b; other texts are left as they are."""
        outer, claimed, ends = self._active, self._claimed, [self._claimed]
        for number, step in enumerate(steps):
            self._active, self._claimed = self.active & (branch == number), claimed
            try:
                step(self)
            finally:
                self._active = outer
            ends.append(self._claimed)
        self._claimed = max(ends)

    def replace(self, rule: str, places: Places, new: pa.Array) -> None:
        """Puts new words, E strings, in the places of old ones, (E,)."""
        self.edits.append(Edits(rule, places, new))

    def keep_only(self, rule: str, rows: Places, start: Places, count: Places) -> None:
        """Of some texts keeps only ``count`` words from position ``start``, all (W,); not where protected ones go."""
        if self.block.protected is not None:
            whole = self._protected_in(self.first[rows], self.first[rows + 1])
            kept = self._protected_in(self.first[rows] + start, self.first[rows] + start + count) == whole
            rows, start, count = rows[kept], start[kept], count[kept]
        self.low[rows] = self.first[rows] + start
        self.high[rows] = self.low[rows] + count
        self.windows.append(Window(rule, rows, start, count))

    def _protected_in(self, low: Places, high: Places) -> Places:
        """(W,) the protected words from place ``low`` to before ``high``."""
        before = np.concatenate([[0], np.cumsum(self.block.protected[self.word])])  # type: ignore[index]
        return np.asarray(before[high] - before[low])

    # What follows turns the draft into columns.

    @cached_property
    def dropped(self) -> Flags:
        """(R,) texts whose output row is not wanted; a step may set them."""
        return np.zeros(len(self.text), np.bool_)

    def untouched(self) -> Places:
        """(R,) how many words of each text are left and were not replaced."""
        replaced = np.zeros(len(self.word), np.int64)
        for each in self.edits:
            replaced[each.places] = 1
        before = np.concatenate([[0], np.cumsum(replaced)])
        return np.asarray((self.high - self.low) - (before[self.high] - before[self.low]))

    def windowed(self) -> Flags:
        """(R,) whether a text lost words at either end, and with them the white space around it."""
        flags: Flags = (self.low != self.first[:-1]) | (self.high != self.first[1:])
        return flags

    def changed(self) -> Flags:
        """(W,) whether an output row is wanted and anything was done to it; else it equals its original."""
        flags = self.windowed()
        for each in self.edits:
            rows = self.row[each.places]
            flags[rows[(each.places >= self.low[rows]) & (each.places < self.high[rows])]] = True
        if self.place.shape[1] == 1:
            return flags & ~self.dropped
        wanted = np.zeros(len(self.place), np.bool_)
        wanted[self.output[flags]] = True
        wanted[self.output[self.dropped]] = False
        return wanted
