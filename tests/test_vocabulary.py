"""Words as numbers: the most frequent ones, the unknown, the masked, and texts end to end."""

import tracemalloc
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from students._tokens import PAD, Texts, Tokens
from students._words import MASK, SPECIAL, UNKNOWN, Vocabulary, learn_vocabulary

FIRST = len(SPECIAL)


def encoded(vocabulary, texts) -> Tokens:
    """Single texts as tokens."""
    (side,) = vocabulary.encode([texts]).sides
    return side


def ids(vocabulary, text):
    return encoded(vocabulary, pa.array([text])).ids.tolist()


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
    tokens = encoded(vocabulary, pa.array(texts, pa.string()))
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
    assert encoded(vocabulary, texts[0]).ids.tolist() == [FIRST, MASK, FIRST + 1, MASK, FIRST, FIRST + 1]


def test_without_a_mask_token_brackets_are_text():
    assert MASK not in ids(Vocabulary(("mask",)), "a [MASK] film")


def test_texts_without_words_are_empty():
    tokens = encoded(Vocabulary(("a",)), pa.array(["", "a", "  "]))
    assert tokens.lengths.tolist() == [0, 1, 0]
    assert len(encoded(Vocabulary(("a",)), pa.array([], pa.string()))) == 0
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


def test_words_that_only_the_teacher_knows_come_last_where_there_is_room():
    texts = [pa.array(["b a b"])]
    assert learn_vocabulary(texts, "[MASK]", True, 9, ["a", "z", "[mask]", "y"]).words == ("b", "a", "z", "y")
    assert learn_vocabulary(texts, None, True, 3, ["a", "z", "y"]).words == ("b", "a", "z")


def test_words_that_are_not_among_the_most_frequent_take_no_memory_of_pythons():
    texts = [pa.array([" ".join(f"w{part}x{n}" for n in range(500)) for _ in range(2)]) for part in range(100)]
    tracemalloc.start()
    found = learn_vocabulary(texts, "[MASK]", True, 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.words[0] == "w0x0"
    assert len(found.words) == 10
    # As strings of Python's the 50,000 would take 3 MB.
    assert peak < 1_000_000


def test_long_texts_are_cut_each_in_its_place():
    vocabulary = Vocabulary(("a", "b", "c"), max_tokens=2)
    tokens = encoded(vocabulary, pa.array(["a b c a", "", "c", "b a", "c c c"]))
    assert tokens.lengths.tolist() == [2, 0, 1, 2, 2]
    assert tokens.ids.tolist() == [3, 4, 5, 4, 3, 5, 5]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(1, 99), max_size=7), max_size=9), st.integers(1, 8))
def test_cutting_is_what_slices_do(texts, most):
    first = np.concatenate([[0], np.cumsum([len(text) for text in texts], dtype=np.int64)])
    cut = Tokens(np.array([each for text in texts for each in text], np.int32), first).cut(most)
    assert [cut.ids[a:b].tolist() for a, b in pairwise(cut.first)] == [text[:most] for text in texts]


@pytest.mark.parametrize("words", [10, 1 << 16])
def test_numbers_take_two_bytes_while_two_are_enough(words):
    vocabulary = Vocabulary(tuple(f"w{n}" for n in range(words)))
    tokens = encoded(vocabulary, pa.array([f"w{words - 1} w0 other"]))
    assert tokens.ids.tolist() == [len(vocabulary) - 1, FIRST, UNKNOWN]
    assert tokens.ids.dtype == (np.uint16 if words == 10 else np.int32)


def test_a_pair_is_two_texts_whose_columns_come_back():
    vocabulary = Vocabulary(("a", "b"))
    texts = vocabulary.encode([pa.array(["a b", "", "b"]), pa.chunked_array([["b"], ["a a a", ""]])])
    assert texts.names == ("ids", "lengths", "other_ids", "other_lengths")
    assert (len(texts), texts.lengths.tolist()) == (3, [3, 3, 1])
    again = vocabulary.inputs(texts.columns())
    for rows in (np.array([2, 0]), np.array([1])):
        for one, other in zip(texts.batch(rows), again.batch(rows), strict=True):
            np.testing.assert_array_equal(one, other)
    ids_, lengths, other_ids, other_lengths = texts.batch(np.array([1, 0]))
    assert (ids_.tolist(), lengths.tolist()) == ([[PAD, PAD], [3, 4]], [1, 2])
    assert (other_ids.tolist(), other_lengths.tolist()) == ([[3, 3, 3], [4, PAD, PAD]], [3, 1])


def test_columns_of_pieces_laid_end_to_end_are_the_whole():
    """So is a data set written: a part of the transfer set at a time."""
    vocabulary, texts = Vocabulary(("a", "b")), ["a b", "", "b b a", "other"]
    parts = [vocabulary.encode([pa.array(texts[a:b])]).columns() for a, b in ((0, 1), (1, 4))]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found, whole = Texts.of(joined), vocabulary.encode([pa.array(texts)])
    assert found.lengths.tolist() == whole.lengths.tolist()
    np.testing.assert_array_equal(found.batch(np.arange(4))[0], whole.batch(np.arange(4))[0])


def test_a_vocabulary_is_read_back_from_its_settings_and_files():
    vocabulary = Vocabulary(("film", "\u65e5\u672c", '"', "<unk>"), "[M]", lowercase=False, max_tokens=7)
    assert Vocabulary.read(vocabulary.settings(), vocabulary.files()) == vocabulary


@pytest.mark.parametrize(
    ("settings", "data"),
    [
        ({}, b"{}"),
        ({}, b"[1]"),
        ({}, b"nonsense"),
        ({"max_tokens": 0}, b"[]"),
        ({"max_tokens": "x"}, b"[]"),
        ({"nosuch": 1}, b"[]"),
        ({"mask_token": 5}, b"[]"),
    ],
)
def test_what_is_no_vocabulary_is_refused(settings, data):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Vocabulary.read(settings, {"vocabulary.json": data})
