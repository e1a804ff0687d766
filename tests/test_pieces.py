"""The pieces of tokenizers of every kind: which of them are words, and the vectors of words made of them."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import MASKED_LMS, WORDS
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, BertTokenizer

from transferset.pieces import Pieces, are_words, mean_vectors

OF_EACH_KIND = pytest.mark.parametrize("kind", MASKED_LMS)
LETTERS = [word for word in WORDS if word.isalpha()]


@pytest.fixture
def tokenizer(kind, masked_lms):
    return AutoTokenizer.from_pretrained(masked_lms[kind])


def words_of(tokenizer, size):
    """Whole words by number."""
    pieces = Pieces.of(tokenizer, size)
    assert pieces.texts.type == pa.string()
    for flags in (pieces.whole, pieces.inner, pieces.blank):
        assert (flags.dtype, flags.shape) == (np.bool_, (size,))
    assert not (pieces.whole & (pieces.inner | pieces.blank)).any()
    return {number: pieces.texts[number].as_py() for number in np.flatnonzero(pieces.whole).tolist()}


def bert_of(*pieces):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return BertTokenizer(vocab={piece: place for place, piece in enumerate([*special, *pieces])}, do_lower_case=False)


@OF_EACH_KIND
def test_whole_words_are_pieces_that_stand_for_a_word_in_a_text(kind, tokenizer):
    words = words_of(tokenizer.backend_tokenizer, len(tokenizer))
    assert set(LETTERS) <= set(words.values())
    assert len(set(words.values())) == len(words)
    for number, word in words.items():
        ids = tokenizer(f"film {word} good", add_special_tokens=False)["input_ids"]
        assert ids[1:-1] == [number]


@OF_EACH_KIND
def test_special_tokens_punctuation_and_parts_of_words_are_no_words(kind, tokenizer):
    size = len(tokenizer)
    words = words_of(tokenizer.backend_tokenizer, size)
    assert not set(tokenizer.all_special_ids) & set(words)
    assert all(any(map(str.isalnum, word)) and " " not in word for word in words.values())
    parts = [number for number in range(size) if tokenizer.convert_ids_to_tokens(number).startswith("##")]
    assert not set(parts) & set(words)
    others = {tokenizer.convert_ids_to_tokens(number) for number in set(range(size)) - set(words)}
    assert not {"\u0120film", "\u2581film"} & others


@OF_EACH_KIND
def test_a_table_with_more_rows_than_pieces_has_no_more_words_and_one_with_fewer_has_fewer(kind, tokenizer):
    backend, size = tokenizer.backend_tokenizer, len(tokenizer)
    words = words_of(backend, size)
    assert words_of(backend, size + 7) == words
    assert words_of(backend, size - 7) == {number: word for number, word in words.items() if number < size - 7}


def test_the_words_of_a_byte_level_vocabulary_keep_their_letters(masked_lms):
    words = words_of(AutoTokenizer.from_pretrained(masked_lms["roberta"]).backend_tokenizer, 400)
    assert {"café", "Film", "FILM", "film"} <= set(words.values())
    assert not [word for word in words.values() if "\ufffd" in word or "\u0120" in word]


def test_words_of_every_script_count_and_what_is_several_words_does_not():
    tokenizer = bert_of(
        "film", "שלום", "很", "n't", "don't", "3.5", "1990s", "...", "$", "a-b", "[unused1]", "naïve", "##s"
    )
    words = set(words_of(tokenizer.backend_tokenizer, len(tokenizer)).values())
    # What English contractions are made of are words of their own; of "don't" there are two.
    assert words - {"3.5", "a-b", "n't"} == {"film", "שלום", "很", "1990s", "naïve"}


def test_a_word_that_begins_with_the_mark_of_another_kind_of_tokenizer_is_a_word():
    tokenizer = bert_of("film", "\u0120gantija", "##s")
    assert set(words_of(tokenizer.backend_tokenizer, len(tokenizer)).values()) == {"film", "\u0120gantija"}


def test_a_tokenizer_of_whole_words_has_them_all():
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "film": 1, ".": 2, "good": 3}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["[UNK]"])
    assert words_of(tokenizer, 4) == {1: "film", 3: "good"}


def test_a_sentencepiece_vocabulary_gives_its_words_without_the_mark():
    pieces = [
        ("<unk>", 0.0),
        ("\u2581film", -1.0),
        ("film", -2.0),
        ("\u2581", -3.0),
        ("\u2581.", -3.0),
        ("\u2581a.b", -4.0),
    ]
    tokenizer = Tokenizer(models.Unigram(pieces, 0))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>"])
    assert words_of(tokenizer, 6)[1] == "film"
    assert set(words_of(tokenizer, 6)) <= {1, 5}


@OF_EACH_KIND
def test_the_text_of_a_piece_is_what_it_adds_to_a_sentence(kind, tokenizer):
    pieces = Pieces.of(tokenizer.backend_tokenizer, len(tokenizer))
    sentence = "film storyplots , good films !"
    ids = tokenizer(sentence, add_special_tokens=False)["input_ids"]
    assert "".join(pieces.texts[number].as_py().removeprefix("##") for number in ids) == sentence.replace(" ", "")


@OF_EACH_KIND
def test_inner_pieces_only_continue_a_word_or_stand_for_unknown_ones(kind, tokenizer):
    pieces = Pieces.of(tokenizer.backend_tokenizer, len(tokenizer))
    names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert {names[number] for number in np.flatnonzero(pieces.inner)} == {
        tokenizer.unk_token,
        *(name for name in names if name.startswith("##") and len(name) > 2),
    }


@OF_EACH_KIND
def test_blank_pieces_are_those_of_which_nothing_is_seen(kind, tokenizer):
    pieces = Pieces.of(tokenizer.backend_tokenizer, len(tokenizer) + 2)
    texts = np.array(pieces.texts.to_pylist(), object)
    assert pieces.blank[-2:].all()  # rows of the table that belong to no piece
    assert (texts[pieces.blank] == "").all()
    assert all(text.strip() == text != "" for text in texts[~pieces.blank])
    mark = tokenizer.convert_tokens_to_ids({"deberta-v2": "\u2581"}.get(kind, "\u0120"))
    if kind in ("roberta", "deberta", "deberta-v2"):
        assert pieces.blank[mark]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("film", True),
        ("שלום", True),
        ("很", True),
        ("1990s", True),
        ("café", True),
        ("n't", True),
        ("don't", False),
        ("u.s.", False),
        ("new york", False),
        (" film", False),
        ("film.", False),
        ("<unk>", False),
        ("</s>", False),
        ("[MASK]", False),
        ("...", False),
        ("_", False),
        ("", False),
    ],
)
def test_a_word_is_one_to_our_own_splitter_and_has_a_letter_or_digit(text, word):
    assert are_words(pa.array([text])).tolist() == [word]
    # What stands beside a text does not matter.
    assert are_words(pa.array(["film", text, "", text, "a b"])).tolist() == [True, word, False, word, False]


def table_for(tokenizer):
    return np.random.default_rng(0).normal(size=(len(tokenizer), 6)).astype(np.float32)


@OF_EACH_KIND
def test_the_vector_of_a_word_is_the_mean_of_its_pieces_inside_a_sentence(kind, tokenizer):
    table, words = table_for(tokenizer), [*LETTERS, "filming", "unknownwords", "storyplot", "xyz", "café"]
    made = mean_vectors(tokenizer.backend_tokenizer, table, words)[0]
    assert made.dtype == np.float32
    assert made.shape == (len(words), 6)
    before = len(tokenizer("good", add_special_tokens=False)["input_ids"])
    several = 0
    for word, vector in zip(words, made, strict=True):
        pieces = tokenizer(f"good {word}", add_special_tokens=False)["input_ids"][before:]
        several += len(pieces) > 1
        np.testing.assert_allclose(vector, table[pieces].astype(np.float64).mean(0), rtol=0, atol=1e-6)
    assert several >= 3


@OF_EACH_KIND
def test_a_word_of_one_piece_has_the_vector_of_that_piece(kind, tokenizer):
    backend, table = tokenizer.backend_tokenizer, table_for(tokenizer)
    words = words_of(backend, len(tokenizer))
    made = mean_vectors(backend, table, list(words.values()))[0]
    np.testing.assert_array_equal(made, table[list(words)])


@OF_EACH_KIND
def test_the_order_and_company_of_words_do_not_matter(kind, tokenizer):
    backend, table = tokenizer.backend_tokenizer, table_for(tokenizer)
    together = mean_vectors(backend, table, ["film", "filming", "film"])[0]
    assert (together[0] == together[2]).all()
    np.testing.assert_array_equal(mean_vectors(backend, table, ["filming"])[0][0], together[1])


@OF_EACH_KIND
def test_no_words_have_no_vectors(kind, tokenizer):
    assert mean_vectors(tokenizer.backend_tokenizer, table_for(tokenizer), [])[0].shape == (0, 6)


def test_a_word_without_any_piece_has_the_vector_of_the_unknown():
    tokenizer = bert_of("film")
    table = table_for(tokenizer)
    # BERT's normalizer takes control characters away, and nothing is left.
    made, known = mean_vectors(tokenizer.backend_tokenizer, table, ["\u200b", "film", "שלום"])
    np.testing.assert_array_equal(made, table[[1, 5, 1]])
    assert known.tolist() == [False, True, False]


@OF_EACH_KIND
def test_a_word_with_an_unknown_piece_is_not_known(kind, tokenizer):
    backend, table = tokenizer.backend_tokenizer, table_for(tokenizer)
    words = ["film", "filming", "שלום", "x", "好"]
    known = mean_vectors(backend, table, words)[1]
    assert known.dtype == np.bool_
    assert known.tolist() == [
        tokenizer.unk_token_id not in tokenizer(f"good {word}", add_special_tokens=False)["input_ids"] for word in words
    ]
    assert known[[0, 1, 3]].all()
    assert mean_vectors(backend, table, [])[1].tolist() == []
