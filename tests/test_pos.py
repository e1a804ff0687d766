"""POS-guided replacement: the pool counts every occurrence, and draws follow it."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of, draft_of, preview
from scipy.stats import chisquare

from augment import Pos
from augment._taggers import _nltk
from transferset import Source, StillhouseError
from transferset.words import split_words


def by_last_letter(sentences):
    """Tags that cost nothing, for tests where English does not matter."""
    return [[word[-1] for word in words] for words in sentences]


def by_first_letter(sentences):
    return [[word[0] for word in words] for words in sentences]


@pytest.fixture(scope="module")
def texts(shared):
    batches = Source(shared / "data" / "sst2" / "train.tsv").batches(["sentence"])
    return pa.concat_arrays([batch.column(0) for batch in batches])


@pytest.fixture
def nltk_data(shared, monkeypatch):
    """NLTK reads NLTK_DATA once; an import before it was set must not matter here."""
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(shared / "nltk_data")])
    _nltk.cache_clear()
    yield
    _nltk.cache_clear()


def drafted(corpus, step, copies, seed=0):
    draft = draft_of(corpus.block(0), copies, seed)
    step.fit(corpus)(draft)
    return draft


def sentences_of(texts):
    words = split_words(texts)
    strings = words.strings.to_pylist()
    return [strings[a:b] for a, b in pairwise(words.first.tolist())]


def plain_counts(sentences, tag):
    """The pool as anyone would count it."""
    pairs = Counter()
    for words, tags in zip(sentences, tag(sentences), strict=True):
        pairs.update(zip(tags, words, strict=True))
    return pairs


def pool_of(corpus, step):
    """What the step learned, under the one name in the corpus that ends in ``pool``."""
    step.fit(corpus)
    (table,) = (table for name, table in corpus._tables.items() if "-pool-" in name)
    rows = zip(*(table[column].to_pylist() for column in ("tag", "word", "count")), strict=True)
    return {(tag, word): count for tag, word, count in rows}


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.7])
def test_the_pos_rate_on_sst2_is_the_one_asked_for(texts, rate):
    draft = drafted(corpus_of(texts), Pos(rate=rate, tagger=by_last_letter), copies=1)
    share = len(draft.edits[0].places) / len(draft.word)
    assert abs(share - rate) < 3 * np.sqrt(rate * (1 - rate) / len(draft.word))


def test_the_pool_counts_every_occurrence_on_sst2(texts):
    pool = pool_of(corpus_of(texts), Pos(tagger=by_last_letter))
    assert pool == plain_counts(sentences_of(texts), by_last_letter)


def test_the_pool_of_nltk_is_that_of_a_plain_count(texts, nltk_data):
    import nltk

    some = texts[:1000]
    tagger = nltk.tag.PerceptronTagger()

    def tag(sentences):
        return [[name for _, name in tagger.tag(words)] for words in sentences]

    assert pool_of(corpus_of(some), Pos(tagger="nltk")) == plain_counts(sentences_of(some), tag)


def test_draws_follow_the_counts_of_the_tag(texts, nltk_data):
    some, step = texts[:1000], Pos(rate=1.0, tagger="nltk")
    corpus = corpus_of(some)
    pool = pool_of(corpus, step)
    draft = drafted(corpus, step, copies=10)
    tag_of_word = [tag for sentence in _nltk()(sentences_of(some)) for tag in sentence]
    tags = np.array(tag_of_word)[draft.word[draft.edits[0].places]]
    drawn = np.array(draft.edits[0].new.to_pylist())
    for tag in ("NN", "JJ", "DT", "VBZ", "IN"):
        words = sorted((word for each, word in pool if each == tag), key=lambda word: -pool[tag, word])
        counts = Counter(drawn[tags == tag].tolist())
        assert set(counts) <= set(words)
        total, in_pool = sum(counts.values()), sum(pool[tag, word] for word in words)
        expected = np.array([pool[tag, word] for word in words]) * total / in_pool
        observed = np.array([counts[word] for word in words])
        # Words too rare for the test are one class together.
        frequent = expected >= 20
        assert frequent.sum() >= 3
        expected = np.append(expected[frequent], expected[~frequent].sum())
        observed = np.append(observed[frequent], observed[~frequent].sum())
        large = expected > 0
        # One fixed seed: a p-value this low is a fault, not chance.
        assert chisquare(observed[large], expected[large]).pvalue > 1e-3, tag
        share = expected / total
        errors = np.sqrt(total * share * (1 - share))
        # The three most frequent words one by one.
        assert (np.abs(observed - expected)[:3] <= 3 * errors[:3]).all(), tag


def test_a_word_may_be_drawn_in_its_own_place():
    drawn = preview(["aa ba"], [Pos(rate=1.0, tagger=by_last_letter)], copies=200)
    assert sorted(set(drawn)) == ["aa aa", "aa ba", "ba aa", "ba ba"]


def test_a_word_that_occurs_thrice_is_drawn_three_times_as_often():
    drawn = preview(["aa aa aa ba"], [Pos(rate=1.0, tagger=by_last_letter)], copies=5000)
    share = np.mean([word == "aa" for text in drawn for word in text.split()])
    assert abs(share - 0.75) < 3 * np.sqrt(0.75 * 0.25 / 20_000)


def test_a_tag_of_one_word_gives_that_word_back():
    assert preview(["only Xb here"], [Pos(rate=1.0, tagger=by_last_letter)], copies=3)[0].split()[1] == "Xb"


def test_case_and_bytes_stay_as_they_stand_in_the_corpus():
    corpus = ["Film  film", "FILM\tfilm"]
    for text in preview(corpus, [Pos(rate=1.0, tagger=lambda many: [["x"] * len(words) for words in many])], copies=50):
        assert set(text.split()) <= {"Film", "film", "FILM"}
        assert ("  " in text) != ("\t" in text)


def test_draws_come_from_all_texts_and_not_only_from_the_own():
    drawn = preview(["aa", "ba"], [Pos(rate=1.0, tagger=by_last_letter)], copies=50)
    assert set(drawn[:50]) == set(drawn[50:]) == {"aa", "ba"}


def test_two_pos_steps_share_no_word(texts):
    corpus = corpus_of(texts[:5000])
    draft = draft_of(corpus.block(0), 2, 0)
    for step in (Pos(rate=0.3, tagger=by_last_letter), Pos(rate=0.3, tagger=by_first_letter)):
        step.fit(corpus)(draft)
    first, second = (each.places for each in draft.edits)
    assert len(first)
    assert len(second)
    assert not len(np.intersect1d(first, second))


@pytest.mark.parametrize("rate", [-1e-9, 2.0, float("nan")])
def test_a_rate_must_be_a_share(rate):
    with pytest.raises(StillhouseError, match=r"^pos: rate must be between 0 and 1, got"):
        Pos(rate=rate)
