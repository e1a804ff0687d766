"""Words give way to what a masked language model would put in their place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from transferset import Keys, KeySet, Task, content_keys, unknown
from transferset.parameters import check_share, check_whole
from transferset.pretrained import fingerprint

from ._block import Block, Draft, Flags, Places, Step
from ._candidates import Candidates, carry_case, draw, has_offers, mark_of
from ._corpus import Corpus
from ._masked_lm import CONTEXTS, MaskedLM

#: Words asked about between one commit and the next: the most that a kill can lose.
_CHUNK = 8192


@dataclass(frozen=True)
class Mlm:
    """Replaces each word with probability ``rate`` by one of the ``k`` words the model finds likeliest in its place.

    The model is asked once for each distinct text and word, whatever the copies, seed and rate, and what it said is
    kept beside the transfer set (``--candidates`` shares it between runs). All k are equally likely. Only words with
    a letter or digit that are one piece of the model's vocabulary are replaced, and only such words stand in for
    them; never the word itself, a part of a word or a special token. Case is carried over.

    Contexts: ``masked`` masks the word alone, a pass for each word; ``with_original`` adds the unmasked text as
    second segment, as the authors' script does; ``grouped`` masks every fourth word in one pass, some three times as
    fast; ``unmasked`` asks about all words of the plain text in one pass, the fastest. Candidates come from the
    original text throughout, where the paper's pseudo-code reads the text as edited so far.

    Source: Jiao et al. 2020, TinyBERT (arXiv 1909.10351), algorithm 1, with p_t = 0.4 and K = 15.

    Raises:
        StillhouseError: a rate outside 0 to 1, an unknown context, or a model that is not a masked language model.
    """

    rate: Annotated[float, "share of words replaced, 0 to 1"] = 0.4
    k: Annotated[int, "candidates for a word"] = 15
    model: Annotated[str, "Hugging Face masked language model, a directory or name"] = "bert-base-uncased"
    context: Annotated[str, f"what the model sees: {', '.join(CONTEXTS)}"] = "masked"
    max_length: Annotated[int, "most tokens of a text that the model sees around a word"] = 128

    def __post_init__(self) -> None:
        check_share("mlm: rate", self.rate)
        check_whole("mlm: k", self.k, 1)
        check_whole("mlm: max_length", self.max_length, 16)
        if self.context not in CONTEXTS:
            raise unknown("mlm: context", self.context, CONTEXTS)

    def fit(self, corpus: Corpus) -> Step:
        """Asks the model about every word that nobody asked about before."""
        about = {
            "model": fingerprint(self.model),
            "context": self.context,
            "k": self.k,
            "max_length": self.max_length,
            # Which words are masked together depends on what is one word.
            "whole": list(corpus.whole) if self.context == "grouped" else [],
        }
        name = f"mlm-{mark_of(about)}"
        asking = _Asking(self, corpus, about)

        def offers_of(index: int) -> pa.Array:
            return corpus.learned(f"{name}-{index:06d}", partial(asking.table, index))["offers"].combine_chunks()

        with contextlib.closing(asking):
            for index in range(corpus.blocks):
                offers_of(index)
        return partial(self._edit, offers_of)

    def _edit(self, offers_of: Callable[[int], pa.Array], draft: Draft) -> None:
        offers = offers_of(draft.block.index)
        eligible = has_offers(offers)
        draft.offer(eligible)
        places = draft.claim(self.rate, eligible)
        words = draft.word[places]
        new = draw(offers, words, draft.draws(draft.name("mlm"), places))
        draft.replace("mlm", places, carry_case(draft.block.words.strings.take(pa.array(words)), new))


class _Asking:
    """The conversation with a model about the words of a corpus; the model is loaded when it is first needed."""

    def __init__(self, how: Mlm, corpus: Corpus, about: dict[str, Any]) -> None:
        self.how, self.corpus, self.about = how, corpus, about
        self._candidates: Candidates | None = None
        self._model: MaskedLM | None = None
        self._bar: Any = None

    def table(self, index: int) -> pa.Table:
        """For each word of a block its candidates; null for a word that is not asked about."""
        block = self.corpus.block(index)
        asked = self._askable(block)
        keys = _word_keys(block, asked)
        candidates = self._opened()
        self._ask(block, asked, keys, candidates)
        offers = candidates.look_up(keys)
        place = np.full(len(block.words.start), -1)
        place[asked] = np.arange(len(asked))
        return pa.table({"offers": offers.take(pa.array(place, mask=place < 0))})

    def _opened(self) -> Candidates:
        """The candidates; the first time also finds out how many words the model has to be asked about."""
        if self._candidates is None:
            self._candidates = Candidates(self.corpus.models, "mlm", self.about)
            if self.corpus.progress:
                self._bar = tqdm(desc="asking the language model", total=self._count(), unit=" words", smoothing=0.1)
        return self._candidates

    def _askable(self, block: Block) -> Places:
        """The words to ask about. Where words are masked together that must not depend on what a recipe protects."""
        return np.flatnonzero(have_letters(block) if self.how.context == "grouped" else askable(block))

    def _count(self) -> int:
        new = KeySet()
        for index in range(self.corpus.blocks):
            block = self.corpus.block(index)
            keys = _word_keys(block, self._askable(block))
            new.add(keys[self._opened().missing(keys)])
        return len(new)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _ask(self, block: Block, asked: Places, keys: Keys, candidates: Candidates) -> None:
        pending = np.flatnonzero(KeySet().add(keys) & candidates.missing(keys))
        if not len(pending):
            return
        if self._model is None:
            self._model = MaskedLM(self.how.model, self.how.context, self.how.k, self.how.max_length)
        for chunk in _chunks(block, asked, pending):
            candidates.add(keys[chunk], self._propose(self._model, block, asked[chunk]))

    def _propose(self, model: MaskedLM, block: Block, asked: Places) -> pa.Array:
        """The candidates of some words, W lists; an empty one where the model has none."""
        numbers, lists = [np.zeros(0, np.int64)], [pa.array([], pa.list_(pa.string()))]
        for number, offers in model.propose(*_as_asked(block, asked)):
            numbers.append(number)
            lists.append(offers)
            if self._bar is not None:
                self._bar.update(len(number))
        answered = np.concatenate(numbers)
        if self._bar is not None:
            self._bar.update(len(asked) - len(answered))
        place = np.full(len(asked), len(answered))
        place[answered] = np.arange(len(answered))
        return pa.concat_arrays([*lists, pa.array([[]], lists[0].type)]).take(pa.array(place))


def askable(block: Block) -> Flags:
    """(T,) the words with a letter or digit that are not protected."""
    a_token: Flags = pc.is_in(block.words.strings, pa.array(block.whole, pa.large_string())).to_numpy(
        zero_copy_only=False
    )
    flags = have_letters(block) & ~a_token
    return flags if block.protected is None else flags & ~block.protected


def have_letters(block: Block) -> Flags:
    """(T,) the words with a letter or digit."""
    distinct = block.words.strings.dictionary_encode()
    has_letter = pc.match_substring_regex(distinct.dictionary, r"[\pL\pN]").to_numpy(zero_copy_only=False)
    flags: Flags = has_letter[distinct.indices.to_numpy()]
    return flags


def _word_keys(block: Block, asked: Places) -> Keys:
    """A key for each of some words, (W, 2): of its text, and of where it begins and ends in it."""
    words = block.words
    text = np.searchsorted(words.first, asked, side="right") - 1
    keys = content_keys(Task("text", ("text",)), pa.table({"text": block.texts}))[text].copy()
    start = words.start[asked] - words.text_start[text]
    span = (start << 24 | words.end[asked] - words.start[asked]).astype(np.uint64) + np.uint64(1)
    # In both halves: a search by the first goes wrong where all words of a text share it.
    keys ^= (span * np.uint64(0x9E3779B97F4A7C15))[:, None]
    return keys


def _chunks(block: Block, asked: Places, pending: Places) -> Iterator[Places]:
    """The pending words, W numbers among those asked about, in runs of whole texts."""
    text = np.searchsorted(block.words.first, asked[pending], side="right")
    begins = np.append(np.flatnonzero(np.diff(text, prepend=-1)), len(pending)).tolist()
    start = 0
    for end in begins[1:]:
        if end - start >= _CHUNK or end == len(pending):
            yield pending[start:end]
            start = end


def _as_asked(block: Block, asked: Places) -> tuple[list[str], list[npt.NDArray[np.int64]]]:
    """The texts that some words stand in, and for each the numbers of its words and their spans in characters."""
    words = block.words
    text = np.searchsorted(words.first, asked, side="right") - 1
    start, end = (bounds[asked] - words.text_start[text] for bounds in (words.start, words.end))
    cuts = np.flatnonzero(np.diff(text, prepend=-1))
    texts: list[str] = block.texts.take(pa.array(text[cuts])).to_pylist()
    rows = np.split(np.stack([np.arange(len(asked)), start, end], 1), cuts[1:])
    return texts, [_in_characters(each, row) for each, row in zip(texts, rows, strict=True)]


def _in_characters(text: str, row: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(W, 3): with places in bytes turned into places in characters."""
    if text.isascii():
        return row
    raw = np.frombuffer(text.encode(), np.uint8)
    before = np.concatenate([[0], np.cumsum((raw & 0xC0) != 0x80)])
    return np.column_stack([row[:, 0], before[row[:, 1:]]])
