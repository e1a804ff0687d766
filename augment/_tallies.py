"""Sums over the parts of a transfer set: how its copies came about and how far they are from their originals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transferset.words import Words, placeholders, split_words

from ._block import Flags, Places

#: Of the words that edits brought in so many are named.
_NAMED_WORDS = 10
#: Counts of words are merged when more than this many wait, or more than there are.
_MERGED_AT = 1 << 18


@dataclass(frozen=True)
class Spread:
    """Least, median, mean and most of many whole numbers; all 0 where there are none."""

    least: int
    median: float
    mean: float
    most: int


@dataclass(frozen=True)
class RuleUse:
    """What one rule did: its edits, the rows with at least one, and their share of the augmented rows.

    As in the record: an edit counts also where it put an equal word back, or where an n-gram kept every word.
    """

    edits: int
    rows: int
    share: float


@dataclass(frozen=True)
class TextChanges:
    """How edited texts differ from their originals; an augmented pair has one edited text, or two.

    Attributes:
        edited: the edited texts.
        replaced: words replaced by other words, mean number of an edited text; those that an n-gram then left out
            are not in the record and count as dropped.
        dropped: words that an n-gram left out, mean number of an edited text.
        changed_share: replaced and dropped words as a share of the original's, mean of the edited texts.
        original_words: words of the original texts.
        before_words: words of the originals of the edited texts, each counted as often as it was edited.
        after_words: words of the edited texts.
        vocabulary: distinct words of the originals, case as it stands.
        gained: distinct new words in edits that no original has; the mask token is none.
        most_gained: the ten most frequent of them, each with its edits.
        sides: for pairs the share of augmented rows with the ``first`` text edited alone, the ``second``, ``both``.
    """

    edited: int
    replaced: float
    dropped: float
    changed_share: float
    original_words: Spread
    before_words: Spread
    after_words: Spread
    vocabulary: int
    gained: int
    most_gained: Mapping[str, int]
    sides: Mapping[str, float] | None


@dataclass(frozen=True)
class CellChanges:
    """Cells of features that got another value: mean number of an augmented row, and mean share of its cells."""

    changed: float
    changed_share: float


class Rows:
    """The rows of a part: O originals, and W copies with E edits in all.

    Attributes:
        originals, copies: O and W rows.
        original: (W,) which of the originals each copy was made of.
        row: (E,) the copy that each edit is in.
        edits: E edits.
    """

    def __init__(self, table: pa.Table) -> None:
        is_copy = table["copy"].to_numpy() > 0
        self.originals, self.copies = (table.filter(pa.array(flags)) for flags in (~is_copy, is_copy))
        # Each original stands before its copies.
        self.original: Places = (np.cumsum(~is_copy) - 1)[is_copy]
        lists = self.copies["edits"].combine_chunks()
        self.row: Places = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
        self.edits: pa.StructArray = pc.list_flatten(lists)

    def words(self) -> Places:
        """(E,) the words that each edit replaced, or that an n-gram kept."""
        return np.asarray(self.edits.field("words").to_numpy(), np.int64)

    def different(self) -> Flags:
        """(E,) whether a new value was put in place of another one."""
        old, new = self.edits.field("old"), self.edits.field("new")
        missing = pc.xor(old.is_null(), new.is_null())
        flags: Flags = pc.coalesce(pc.not_equal(old, new), missing).to_numpy(zero_copy_only=False)
        return flags


class Histogram:
    """How often each whole number from 0 was seen."""

    def __init__(self) -> None:
        self.times = np.zeros(1, np.int64)

    def add(self, values: Places) -> None:
        found = np.bincount(values, minlength=len(self.times))
        found[: len(self.times)] += self.times
        self.times = found

    def spread(self) -> Spread:
        until = np.cumsum(self.times)
        count = int(until[-1])
        if not count:
            return Spread(0, 0.0, 0.0, 0)
        low, middle, above, high = np.searchsorted(
            until, [0, (count - 1) // 2, count // 2, count - 1], "right"
        ).tolist()
        total = int(self.times @ np.arange(len(self.times)))
        return Spread(low, (middle + above) / 2, total / count, high)


class RowTally:
    """Copies of each original, and what each rule did."""

    def __init__(self) -> None:
        self.copies, self.augmented = Histogram(), 0
        self._rules: dict[str, tuple[int, int]] = {}

    def add(self, rows: Rows) -> None:
        self.augmented += len(rows.original)
        self.copies.add(np.bincount(rows.original, minlength=len(rows.originals)))
        rules = rows.edits.field("rule").dictionary_encode()
        code, names = rules.indices.to_numpy(), rules.dictionary.to_pylist()
        used = np.zeros((len(rows.original), len(names)), np.bool_)
        used[rows.row, code] = True
        counts = zip(names, np.bincount(code, minlength=len(names)).tolist(), used.sum(0).tolist(), strict=True)
        for name, edits, with_any in counts:
            before = self._rules.get(name, (0, 0))
            self._rules[name] = (before[0] + edits, before[1] + with_any)

    def rules(self) -> dict[str, RuleUse]:
        return {name: RuleUse(*both, mean(both[1], self.augmented)) for name, both in sorted(self._rules.items())}


class TextTally:
    """Words of texts before and after, for the columns of one text or of the two of a pair."""

    def __init__(self, inputs: Sequence[str], mask_token: str | None) -> None:
        self.inputs, self.mask_token = inputs, mask_token
        self.edited = self.replaced = self.dropped = self.augmented = 0
        self.share = 0.0
        #: Rows with no text edited, the first, the second, both.
        self.turns = np.zeros(4, np.int64)
        self.original_words, self.before_words, self.after_words = Histogram(), Histogram(), Histogram()
        self.vocabulary, self.new = _WordCounts(), _WordCounts()

    def add(self, rows: Rows) -> None:
        originals = self._split(rows.originals)
        of_original = np.diff(originals.first)
        before = np.concatenate([each[rows.original] for each in np.split(of_original, len(self.inputs))])
        text = rows.edits.field("input").to_numpy().astype(np.int64) * len(rows.original) + rows.row
        edited = np.bincount(text, minlength=len(before)) > 0
        different = rows.different()
        replaced = np.bincount(text[different], rows.words()[different], minlength=len(before))
        dropped = before - _kept(rows, text, before)
        self.augmented += len(rows.original)
        self.edited += int(edited.sum())
        self.replaced += int(replaced.sum())
        self.dropped += int(dropped.sum())
        self.share += float(((replaced + dropped)[edited] / before[edited]).sum())
        self.original_words.add(of_original)
        self.before_words.add(before[edited])
        self.after_words.add(np.diff(self._split(rows.copies).first)[edited])
        self.vocabulary.add(originals.strings)
        self.new.add(rows.edits.field("new").filter(pa.array(different)))
        self.turns += np.bincount(edited.reshape(len(self.inputs), -1).T @ [1, 2][: len(self.inputs)], minlength=4)

    def changes(self) -> TextChanges:
        known, new = self.vocabulary.table(), self.new.table()
        gained = new.filter(pc.invert(pc.is_in(new["word"], known["word"].combine_chunks())))
        gained = gained.filter(pc.not_equal(gained["word"], self.mask_token or ""))
        most = gained.sort_by([("times", "descending"), ("word", "ascending")]).slice(0, _NAMED_WORDS)
        shares = [mean(int(rows), self.augmented) for rows in self.turns]
        return TextChanges(
            edited=self.edited,
            replaced=mean(self.replaced, self.edited),
            dropped=mean(self.dropped, self.edited),
            changed_share=mean(self.share, self.edited),
            original_words=self.original_words.spread(),
            before_words=self.before_words.spread(),
            after_words=self.after_words.spread(),
            vocabulary=len(known),
            gained=len(gained),
            most_gained=dict(zip(*most.to_pydict().values(), strict=True)),
            sides=dict(zip(("first", "second", "both"), shares[1:], strict=True)) if len(self.inputs) == 2 else None,
        )

    def _split(self, table: pa.Table) -> Words:
        """The words of the texts of a table: all first texts, then all second ones."""
        texts = [table[name].combine_chunks() for name in self.inputs]
        return split_words(pa.concat_arrays(texts), placeholders(self.mask_token))


class CellTally:
    """Cells of features that got another value."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.augmented = self.changed = 0

    def add(self, rows: Rows) -> None:
        self.augmented += len(rows.original)
        self.changed += int(rows.different().sum())

    def changes(self) -> CellChanges:
        changed = mean(self.changed, self.augmented)
        return CellChanges(changed, changed / self.columns)


class _WordCounts:
    """How often each of many words was seen; now and then what came in is merged with what is there."""

    def __init__(self) -> None:
        self._merged = pa.table({"word": pa.array([], pa.large_string()), "times": pa.array([], pa.int64())})
        self._waiting: list[pa.Table] = []

    def add(self, words: pa.Array) -> None:
        counts = pc.value_counts(words.cast(pa.large_string()))
        self._waiting.append(pa.table({"word": counts.field("values"), "times": counts.field("counts")}))
        if sum(map(len, self._waiting)) > max(_MERGED_AT, len(self._merged)):
            self.table()

    def table(self) -> pa.Table:
        """The distinct words, ``word``, and how often each was seen, ``times``."""
        both = pa.concat_tables([self._merged, *self._waiting]).group_by("word", use_threads=False)
        self._merged, self._waiting = both.aggregate([("times", "sum")]).rename_columns(["word", "times"]), []
        return self._merged


def _kept(rows: Rows, text: Places, before: Places) -> Places:
    """(texts,) the words that n-grams left of each text; one n-gram after another leaves ever fewer."""
    kept = before.copy()
    ngrams = rows.edits.field("new").is_null().to_numpy(zero_copy_only=False)
    np.minimum.at(kept, text[ngrams], rows.words()[ngrams])
    return kept


def mean(total: float, count: int) -> float:
    """A mean or share, 0 where there is nothing to take it of."""
    return total / count if count else 0.0
