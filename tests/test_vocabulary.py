"""Words as numbers: the most frequent ones, the unknown, the masked, and texts end to end."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from students._vocabulary import MASK, PAD, SPECIAL, UNKNOWN, Tokens, Vocabulary, learn_vocabulary

FIRST = len(SPECIAL)


def ids(vocabulary, text):
    return vocabulary.encode(pa.array([text])).ids.tolist()


def test_the_most_frequent_words_come_first_and_ties_in_their_order():
    texts = [pa.array(["b a c", "b a"]), pa.chunked_array([["b d"], ["e"]])]
    assert learn_vocabulary(texts, None, True, 10).words == ("b", "a", "c", "d", "e")
    assert learn_vocabulary(texts, None, True, 3).words == ("b", "a", "c")


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text("abC ", max_size=12), min_size=1, max_size=20), st.integers(1, 6), st.integers(1, 20))
def test_learning_counts_as_plain_python_does_however_texts_are_batched(texts, most, size):
    counts = Counter(word for text in texts for word in text.lower().split())
    expected = sorted(counts, key=lambda word: (-counts[word], word))[:most]
    batches = [pa.array(texts[start : start + size]) for start in range(0, len(texts), size)]
    assert list(learn_vocabulary(batches, None, True, most).words) == expected


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text("abc ", max_size=12), max_size=20))
def test_every_text_keeps_its_own_words(texts):
    vocabulary = Vocabulary(("a", "b", "ab", "c"))
    tokens = vocabulary.encode(pa.array(texts, pa.string()))
    assert len(tokens) == len(texts)
    for place, text in enumerate(texts):
        row = tokens.ids[tokens.first[place] : tokens.first[place + 1]].tolist()
        known = {word: FIRST + number for number, word in enumerate(vocabulary.words)}
        assert row == [known.get(word, UNKNOWN) for word in text.split()]


def test_words_that_are_not_known_share_a_number():
    vocabulary = Vocabulary(("film",))
    assert ids(vocabulary, "film plot acting") == [FIRST, UNKNOWN, UNKNOWN]


def test_case_is_lost_only_where_that_is_wanted():
    assert ids(Vocabulary(("film",)), "Film FILM film") == [FIRST, FIRST, FIRST]
    assert ids(Vocabulary(("film",), lowercase=False), "Film film") == [UNKNOWN, FIRST]
    assert learn_vocabulary([pa.array(["B b B"])], None, False, 9).words == ("B", "b")


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("mask", ["[MASK]", "<mask>"])
def test_a_masked_word_has_its_own_number_and_is_no_word_of_the_vocabulary(mask, lowercase):
    texts = [pa.array([f"a {mask} film", f"{mask}", "a film"])]
    vocabulary = learn_vocabulary(texts, mask, lowercase, 10)
    assert vocabulary.words == ("a", "film")
    assert vocabulary.encode(texts[0]).ids.tolist() == [FIRST, MASK, FIRST + 1, MASK, FIRST, FIRST + 1]


def test_without_a_mask_token_brackets_are_text():
    assert MASK not in ids(Vocabulary(("mask",)), "a [MASK] film")


def test_texts_without_words_are_empty():
    tokens = Vocabulary(("a",)).encode(pa.array(["", "a", "  "]))
    assert tokens.lengths.tolist() == [0, 1, 0]
    assert len(Vocabulary(("a",)).encode(pa.array([], pa.string()))) == 0
    assert learn_vocabulary([pa.array(["", " "])], "[MASK]", True, 5).words == ()


def test_a_vocabulary_without_words_knows_none():
    assert ids(Vocabulary(()), "good film") == [UNKNOWN, UNKNOWN]


def test_nothing_but_the_padding_has_its_number():
    vocabulary = Vocabulary(("<pad>", "a"))
    assert PAD not in ids(vocabulary, "a < pad > <pad> b")


def test_padded_texts_are_rows_with_padding_at_their_end():
    tokens = Tokens(np.array([5, 6, 7, 8], np.int32), np.array([0, 2, 2, 3, 4]))
    matrix, lengths = tokens.padded(np.array([1, 0, 3]))
    assert matrix.tolist() == [[PAD, PAD], [5, 6], [8, PAD]]
    # A text without words counts as one of padding: the network reads where a text ends.
    assert lengths.tolist() == [1, 2, 1]


def test_padding_texts_without_words_gives_one_column():
    tokens = Tokens(np.zeros(0, np.int32), np.array([0, 0, 0]))
    matrix, lengths = tokens.padded(np.array([1, 0]))
    assert (matrix.tolist(), lengths.tolist()) == ([[PAD], [PAD]], [1, 1])
