"""N-gram sampling: how often, how long, and where the n-gram begins."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of, draft_of, preview
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from augment import Ngram
from transferset import Source, StillhouseError


@pytest.fixture(scope="module")
def corpus(shared):
    batches = Source(shared / "data" / "sst2" / "train.tsv").batches(["sentence"])
    return corpus_of(pa.concat_arrays([batch.column(0) for batch in batches]))


def drafted(corpus, step, copies=2, seed=0):
    """The rows cut to an n-gram with start and count, and the number of words of every row."""
    draft = draft_of(corpus.block(0), copies, seed)
    step.fit(corpus)(draft)
    (kept,) = draft.windows
    rows, start, count = kept.rows, kept.start, kept.count
    return rows, start, count, np.diff(draft.first)


def within_3_standard_errors(hits, probability):
    """Whether the hits are as many as independent trials of these probabilities give."""
    probability = np.broadcast_to(probability, hits.shape)
    return abs(hits.sum() - probability.sum()) <= 3 * np.sqrt((probability * (1 - probability)).sum())


@pytest.mark.parametrize("rate", [0.05, 0.25, 0.8])
def test_the_ngram_rate_on_sst2_is_the_one_asked_for(corpus, rate):
    rows, _, _, lengths = drafted(corpus, Ngram(rate=rate))
    chosen = np.zeros(len(lengths), np.bool_)
    chosen[rows] = True
    assert within_3_standard_errors(chosen[lengths > 0], rate)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_n_is_uniform_in_texts_of_five_words_and_more(corpus, n):
    rows, _, count, lengths = drafted(corpus, Ngram())
    long = lengths[rows] >= 5
    assert long.sum() > 15_000
    assert within_3_standard_errors(count[long] == n, 1 / 5)


def test_n_is_cut_to_the_length_of_the_text(corpus):
    rows, start, count, lengths = drafted(corpus, Ngram())
    three = lengths[rows] == 3
    assert sorted(set(count[three].tolist())) == [1, 2, 3]
    assert within_3_standard_errors(count[three] == 3, 3 / 5)
    assert (start + count <= lengths[rows]).all()
    assert (count >= 1).all()


def test_the_start_is_uniform(corpus):
    rows, start, count, lengths = drafted(corpus, Ngram(rate=1.0))
    for length, n in [(5, 1), (8, 3), (10, 5), (20, 4)]:
        here = (lengths[rows] == length) & (count == n)
        counts = np.bincount(start[here], minlength=length - n + 1)
        assert len(counts) == length - n + 1
        # One fixed seed: a p-value this low is a fault, not chance.
        assert chisquare(counts).pvalue > 1e-3


def test_the_first_and_the_last_start_are_drawn_as_often_as_any(corpus):
    rows, start, count, lengths = drafted(corpus, Ngram(rate=1.0))
    starts = lengths[rows] - count + 1
    several = starts > 1
    assert within_3_standard_errors((start == starts - 1)[several], 1 / starts[several])
    assert within_3_standard_errors((start == 0)[several], 1 / starts[several])


def test_length_and_start_do_not_depend_on_one_another(corpus):
    rows, start, count, lengths = drafted(corpus, Ngram(rate=1.0))
    long = lengths[rows] >= 20
    share = start[long] / (lengths[rows] - count)[long]
    assert abs(np.corrcoef(share, count[long])[0, 1]) < 4 / np.sqrt(long.sum())


def test_other_lengths_are_uniform_too(corpus):
    rows, _, count, lengths = drafted(corpus, Ngram(rate=1.0, shortest=2, longest=4))
    long = lengths[rows] >= 4
    assert sorted(set(count[long].tolist())) == [2, 3, 4]
    assert chisquare(np.bincount(count[long])[2:]).pvalue > 1e-3


@given(st.text(), st.integers(1, 6), st.integers(0, 3))
@settings(deadline=None, max_examples=100)
def test_what_is_kept_stands_in_the_text(text, shortest, more):
    assert preview([text], [Ngram(rate=1.0, shortest=shortest, longest=shortest + more)])[0] in text


def test_an_ngram_of_all_words_keeps_the_text_whole():
    assert preview(["  two  words "], [Ngram(rate=1.0, shortest=5)]) == ["  two  words "]


def test_an_ngram_begins_and_ends_with_a_word():
    kept = preview(["  one \t two\n three  "], [Ngram(rate=1.0, shortest=2, longest=2)], copies=50)
    assert sorted(set(kept)) == ["one \t two", "two\n three"]


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_a_text_without_words_stays(text):
    assert preview([text], [Ngram(rate=1.0)], copies=3) == [text] * 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rate": 1.5}, "ngram: rate must be between 0 and 1, got 1.5"),
        ({"rate": float("nan")}, "ngram: rate must be between 0 and 1, got nan"),
        ({"shortest": 0}, "ngram: shortest must be at least 1, got 0"),
        ({"shortest": 4, "longest": 3}, "ngram: longest must be at least 4, got 3"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(StillhouseError) as error:
        Ngram(**parameters)
    assert str(error.value) == message


def test_a_second_ngram_step_does_not_undo_the_first():
    steps = [Ngram(rate=1.0, shortest=1, longest=1), Ngram(rate=0.0)]
    try:
        kept = preview(["a b c d e f"], steps, copies=3)
    except StillhouseError:
        return  # to refuse two n-gram steps is as good as to obey both
    assert all(len(text.split()) == 1 for text in kept)
