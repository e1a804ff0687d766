"""POS-guided replacement: words give way to others of the same part of speech."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, zip_longest
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transferset import StillhouseError
from transferset.parameters import check_share

from ._block import Block, Draft, Step
from ._corpus import Corpus
from ._draws import below
from ._perceptron import Perceptron
from ._taggers import TaggerSpec, load_tagger, tagger_name

_PAIR = ["tag", "word"]
_MOST_OCCURRENCES = 1 << 24


@dataclass(frozen=True)
class Pos:
    """Replaces each word with probability ``rate`` by one drawn from the words of its tag.

    The draw follows the unigram distribution of the corpus within the tag: every occurrence counts, so a word may be
    drawn in its own place. Case is kept as it stands in the corpus. Taggers: ``nltk`` (Penn tags), ``spacy:MODEL``,
    ``classes`` (word classes learned from the corpus, any language), ``classes:FILE`` (from word vectors), or a
    function from lists of words to lists of tags.

    Source: Tang et al. 2019 (arXiv 1903.12136), section 3.3, POS-guided word replacement with p_pos = 0.1.

    >>> from augment import preview
    >>> def by_length(sentences):
    ...     return [[str(len(word)) for word in words] for words in sentences]
    >>> preview(["red car", "big dog"], [Pos(rate=1.0, tagger=by_length)]).to_pylist()
    ['red dog', 'red car']

    Raises:
        StillhouseError: a rate outside 0 to 1, or a tagger that is unknown or not installed.
    """

    rate: Annotated[float, "share of words replaced, 0 to 1"] = 0.1
    tagger: Annotated[str | Callable[..., object], "nltk, spacy:MODEL, classes or classes:FILE"] = "nltk"

    def __post_init__(self) -> None:
        check_share("pos: rate", self.rate)

    def fit(self, corpus: Corpus) -> Step:
        """Tags the corpus once, and counts how often each word bears each tag."""
        pool = corpus.learned(f"pos-{tagger_name(self.tagger)}-pool", lambda: _count(corpus, self.tagger))
        return partial(self._edit, corpus, _Pool(pool))

    def _edit(self, corpus: Corpus, pool: _Pool, draft: Draft) -> None:
        places = draft.claim(self.rate)
        tags = pool.code(_tags(corpus, draft.block, self.tagger))[draft.word[places]]
        draft.replace("pos", places, pool.draw(tags, draft.draws(draft.name("pos"), places)))


class _Pool:
    """The words of each tag with their counts, as one run of cumulative counts sorted by tag."""

    def __init__(self, counts: pa.Table) -> None:
        encoded = counts["tag"].combine_chunks().dictionary_encode()
        self.tags: pa.Array = encoded.dictionary
        self.words = counts["word"].combine_chunks()
        self.until = np.cumsum(counts["count"].to_numpy())
        # The word of each occurrence, where that is no large table; else it is searched for, which takes longer.
        few = len(self.until) > 0 and self.until[-1] <= _MOST_OCCURRENCES
        self.word_of = (
            np.repeat(np.arange(len(self.until), dtype=np.int32), counts["count"].to_numpy()) if few else None
        )
        edges = np.searchsorted(encoded.indices.to_numpy(), np.arange(len(self.tags) + 1))
        self.first_count = np.append(0, self.until)[edges]

    def code(self, tags: pa.Array) -> npt.NDArray[np.int64]:
        """(T,) the number of each tag."""
        codes: npt.NDArray[np.int64] = pc.index_in(tags, value_set=self.tags).to_numpy().astype(np.int64)
        return codes

    def draw(self, tags: npt.NDArray[np.int64], draws: npt.NDArray[np.uint64]) -> pa.Array:
        """For each tag code, (E,), a word of that tag with the probability of its count."""
        total = self.first_count[tags + 1] - self.first_count[tags]
        occurrence = self.first_count[tags] + below(draws, total)
        if self.word_of is None:
            return self.words.take(pa.array(np.searchsorted(self.until, occurrence, side="right")))
        return self.words.take(pa.array(self.word_of[occurrence]))


def _tags(corpus: Corpus, block: Block, spec: TaggerSpec) -> pa.Array:
    """The tag of each word of a block, T strings; tagged once and then read back."""

    def tag() -> pa.Table:
        tagger = load_tagger(spec, corpus)
        if isinstance(tagger, Perceptron):  # arrays as they are: lists would take longer than the tagging
            return pa.table({"tag": tagger.tag(block.words.strings, block.words.first)})
        first = block.words.first.tolist()
        flat: list[str] = block.words.strings.to_pylist()
        sentences = [flat[a:b] for a, b in pairwise(first)]
        tagged = list(tagger(sentences))
        for words, tags in zip_longest(sentences, tagged):
            if words is None or not _fits(words, tags):
                raise StillhouseError(f"pos: tagger must give one tag, a str, for each word of {words}, got {tags!r}")
        flat_tags = [tag for tags in tagged for tag in tags]
        return pa.table({"tag": pa.array(flat_tags, pa.string()).dictionary_encode()})

    stored = corpus.learned(f"pos-{tagger_name(spec)}-{block.index:06d}", tag)
    return stored["tag"].combine_chunks().cast(pa.string())


def _fits(words: list[str], tags: object) -> bool:
    return isinstance(tags, list | tuple) and len(tags) == len(words) and all(isinstance(tag, str) for tag in tags)


def _count(corpus: Corpus, spec: TaggerSpec) -> pa.Table:
    load_tagger(spec, corpus)  # what is missing is missed here, and not in a worker
    tables = corpus.map_blocks(partial(_count_block, spec=spec), "tagging")
    both = pa.concat_tables(tables).group_by(_PAIR).aggregate([("count", "sum")])
    return both.rename_columns([*_PAIR, "count"]).sort_by([(column, "ascending") for column in _PAIR])


def _count_block(corpus: Corpus, block: Block, spec: TaggerSpec) -> pa.Table:
    words = pa.table({"tag": _tags(corpus, block, spec), "word": block.words.strings})
    return words.group_by(_PAIR).aggregate([([], "count_all")]).rename_columns([*_PAIR, "count"])
