"""NLTK's averaged perceptron tagger on many sentences at a time: the same tags, from arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]
Codes = npt.NDArray[np.int16]
Flags = npt.NDArray[np.bool_]

#: Features that no earlier tag takes part in: how far off the word is that they look at, and what they see of it.
_OF_WORDS = {
    "i suffix": (0, "last letters"),
    "i pref1": (0, "first letter"),
    "i word": (0, "plain"),
    "i-1 word": (-1, "plain"),
    "i-1 suffix": (-1, "last plain letters"),
    "i-2 word": (-2, "plain"),
    "i+1 word": (1, "plain"),
    "i+1 suffix": (1, "last plain letters"),
    "i+2 word": (2, "plain"),
}
_TAG_AND_WORD = "i-1 tag+i word"
_UNDECIDED = -1
# NLTK rounds weights to 3 decimals. In thousandths they are whole numbers, which float32 adds without error.
_UNIT = 1000
# Words scored together: few enough that their scores stay in the processor's cache.
_AT_ONCE = 2048


class Perceptron:
    """Tags exactly as the given ``nltk.tag.PerceptronTagger`` does, many times as fast.

    Each word's features that depend on words alone are gathered by arrays. A word's tag also depends on the two tags
    before it, so words are tagged in waves: first those after two words whose tag is already known, from the start of
    the sentence or from the tagger's list of unambiguous words, then those after them. Where two tags score the same,
    NLTK's choice hangs on the rounding of its sums, so there NLTK is asked.

    Source: none; the model is that of ``nltk.tag.perceptron``.

    >>> from nltk.tag import PerceptronTagger
    >>> weights = {"i word the": {"DT": 1.0}, "i-1 tag DT": {"NN": 2.0}, "i-2 tag DT": {"VB": 3.0}}
    >>> tagger = Perceptron(PerceptronTagger.decode_json_obj((weights, {}, ["DT", "NN", "VB"])))
    >>> tagger([["The", "film", "works"], [], ["the", "the"]])
    [['DT', 'NN', 'VB'], [], ['DT', 'NN']]
    >>> tagger.tag(pa.array(["the", "film", "film"]), np.array([0, 2, 2, 3])).to_pylist()
    ['DT', 'NN', 'VB']
    """

    def __init__(self, tagger: Any) -> None:
        self._nltk = tagger
        self._tags = [*sorted(tagger.classes), *tagger.START]
        self._code = {tag: code for code, tag in enumerate(self._tags)}
        self._row = {feature: row for row, feature in enumerate(tagger.model.weights, 1)}
        self._weights = self._dense_weights()
        self._history = self._score_histories()
        self._seen, self._rows_of_words, self._rows_after_tags = self._index_what_is_seen()

    def __call__(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """B lists of words in, B lists of as many tags out."""
        words = pa.array([word for sentence in sentences for word in sentence], pa.large_string())
        first = np.cumsum([0, *map(len, sentences)], dtype=np.int64)
        tags = [self._tags[code] for code in self.tag(words, first).indices.to_numpy().tolist()]
        return [tags[a:b] for a, b in pairwise(first.tolist())]

    def tag(self, words: pa.Array, first: Places) -> pa.Array:
        """The tag of each word, T strings as a dictionary array.

        Args:
            words: T strings, the words of B sentences laid end to end.
            first: (B + 1,) the number of words before each sentence, and T.
        """
        laid, places = self._lay_out(words, first)
        for wave in _waves(laid.codes == _UNDECIDED):
            for start in range(0, len(wave), _AT_ONCE):
                self._decide(laid, wave[start : start + _AT_ONCE])
        return pa.DictionaryArray.from_arrays(pa.array(laid.codes[places]), self._tags)

    def _lay_out(self, words: pa.Array, first: Places) -> tuple[_Laid, Places]:
        """The sentences with NLTK's two marks before and after each, and where in that the words are."""
        encoded = words.dictionary_encode()
        distinct, start, end = encoded.dictionary.to_pylist(), self._nltk.START, self._nltk.END
        before = 4 * np.arange(len(first) - 1)
        places = np.arange(len(words)) + np.repeat(before, np.diff(first)) + 2
        ids = np.empty(len(words) + 4 * len(before), np.int64)
        ids[places] = encoded.indices
        for mark, place in enumerate([first[:-1], first[:-1] + 1, first[1:] + 2, first[1:] + 3], len(distinct)):
            ids[place + before] = mark
        # As tags, the marks of the start stand the other way round; those of the end are tags that nobody reads.
        known = [*map(self._nltk.tagdict.get, distinct), *start[::-1], *start]
        codes = np.array([self._code[tag] if tag else _UNDECIDED for tag in known], np.int16)[ids]
        raw, plain = [*distinct, *start, *end], [*map(self._nltk.normalize, distinct), *start, *end]
        return _Laid(raw, plain, ids, codes, self._look_up(raw, plain)), places

    def _look_up(self, raw: list[str], plain: list[str]) -> dict[str, Places]:
        """(V,) for each way to see a word, the number of what is seen of each; 0 where the model never saw it."""
        seen = {
            "plain": plain,
            "first letter": [word[:1] for word in raw],
            "last letters": [word[-3:] for word in raw],
            "last plain letters": [word[-3:] for word in plain],
        }
        return {way: np.array([self._seen.get(text, 0) for text in texts], np.int64) for way, texts in seen.items()}

    def _decide(self, laid: _Laid, places: Places) -> None:
        """Fills in the tags of places that stand after two known tags."""
        last, last_but_one = (laid.codes[places - back].astype(np.int64) for back in (1, 2))
        scores = self._history[last, last_but_one]
        scores += self._weights.take(self._rows_after_tags[laid.seen["plain"][laid.ids[places]], last], 0)
        for rows, (offset, way) in zip(self._rows_of_words, _OF_WORDS.values(), strict=True):
            scores += self._weights.take(rows[laid.seen[way][laid.ids[places + offset]]], 0)
        best, every = scores.argmax(1), np.arange(len(places))
        laid.codes[places] = best
        highest = scores[every, best]
        scores[every, best] = -np.inf
        for tied in places[highest - scores.max(1) < 0.5].tolist():
            laid.codes[tied] = self._ask_nltk(laid, tied)

    def _ask_nltk(self, laid: _Laid, place: int) -> int:
        near = laid.ids[place - 2 : place + 3].tolist()
        last, last_but_one = (self._tags[laid.codes[place - back]] for back in (1, 2))
        context = [laid.plain[each] for each in near]
        features = self._nltk._get_features(0, laid.raw[near[2]], context, last, last_but_one)
        return self._code[self._nltk.model.predict(features)[0]]

    def _dense_weights(self) -> Floats:
        """(1 + number of features, C) in thousandths; row 0, of zeros, is for what the model never saw."""
        weights = self._nltk.model.weights.values()
        dense = np.zeros((len(weights) + 1, len(self._nltk.classes)), np.float32)
        rows = np.repeat(np.arange(1, len(dense)), [len(each) for each in weights])
        columns = [self._code[tag] for each in weights for tag in each]
        dense[rows, columns] = _UNIT * np.array([weight for each in weights for weight in each.values()])
        return dense

    def _score_histories(self) -> Floats:
        """(K, K, C): what the last tag and the last but one say, alone and together, and the bias."""
        last = self._weights_of(f"i-1 tag {tag}" for tag in self._tags)
        last_but_one = self._weights_of(f"i-2 tag {tag}" for tag in self._tags)
        both = self._weights_of(f"i tag+i-2 tag {a} {b}" for a in self._tags for b in self._tags)
        shape = (len(self._tags), len(self._tags), -1)
        history: Floats = both.reshape(shape) + last[:, None] + last_but_one + self._weights_of(["bias"])
        return history

    def _weights_of(self, features: Iterable[str]) -> Floats:
        weights: Floats = self._weights[[self._row.get(feature, 0) for feature in features]]
        return weights

    def _index_what_is_seen(self) -> tuple[dict[str, int], Rows, Rows]:
        """Numbers from 1 for S words and their ends, and their features' rows: (F, S + 1), after a tag (S + 1, K)."""
        of_words = [self._features_of(name) for name in _OF_WORDS]
        after_tags = [(text.split(" ", 1), row) for text, row in self._features_of(_TAG_AND_WORD)]
        texts = [text for found in of_words for text, _ in found] + [word for (_, word), _ in after_tags]
        seen = {text: number for number, text in enumerate(dict.fromkeys(texts), 1)}
        rows_of_words = np.zeros((len(of_words), len(seen) + 1), np.int32)
        for rows, found in zip(rows_of_words, of_words, strict=True):
            for text, row in found:
                rows[seen[text]] = row
        rows_after_tags = np.zeros((len(seen) + 1, len(self._tags)), np.int32)
        for (tag, word), row in after_tags:
            rows_after_tags[seen[word], self._code[tag]] = row
        return seen, rows_of_words, rows_after_tags

    def _features_of(self, name: str) -> list[tuple[str, int]]:
        start = f"{name} "
        return [(feature[len(start) :], row) for feature, row in self._row.items() if feature.startswith(start)]


@dataclass(frozen=True)
class _Laid:
    """P places: words, and NLTK's marks around each sentence.

    Attributes:
        raw, plain: the distinct words and the marks, as they are and as NLTK normalises them.
        ids: (P,) which of them stands there.
        codes: (P,) its tag, filled in while tagging.
        seen: for each way to see a word, the number of what is seen of each of ``raw``.
    """

    raw: list[str]
    plain: list[str]
    ids: Places
    codes: Codes
    seen: dict[str, Places]


def _waves(undecided: Flags) -> Iterator[Places]:
    """Places to tag, each once both places before it have been yielded or are not undecided."""
    places = np.flatnonzero(undecided[2:] & ~undecided[1:-1] & ~undecided[:-2]) + 2
    while len(places):
        yield places
        following = places + 1
        following += ~undecided[following]
        places = following[undecided[following]]
