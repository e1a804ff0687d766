"""Protected words: words and phrases, regular expressions, kinds of words; and that no recipe touches any of them."""

import re
import warnings

import numpy as np
import pyarrow as pa
import pytest
from conftest import preview
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_augmenters import AWKWARD, PIECES, TEXTS, by_length
from test_compose import STEPS

from augment import InSequence, Mask, Ngram, OneOf, Pos, Random, Recipe, augment
from augment import _ingest as ingest_module
from augment._protect import protected_words
from transferset import StillhouseError, Task
from transferset.words import split_words

CURLY = "\N{RIGHT SINGLE QUOTATION MARK}"


def kept(text, *entries, whole=()):
    """The protected words of a text."""
    words = split_words(pa.array([text], pa.string()), whole)
    return [words.strings[place].as_py() for place in np.flatnonzero(protected_words(words, entries, whole))]


# Words and phrases.


@pytest.mark.parametrize(
    ("text", "entry", "found"),
    [
        ("Not a film, NOT the film, nothing", "not", ["Not", "NOT"]),
        ("not a film", "NOT", ["not"]),
        ("ÉTÉ été Été ete", "Été", ["ÉTÉ", "été", "Été"]),
        ("STRASSE straße Strasse Straat", "Straße", ["STRASSE", "straße", "Strasse"]),
        ("STRASSE straße", "strasse", ["STRASSE", "straße"]),
        ("ﬁlm FILM", "film", ["ﬁlm", "FILM"]),
        ("дюжий ДЮЖИЙ дюжина", "Дюжий", ["дюжий", "ДЮЖИЙ"]),
        ("New York, new   york, York New", "new york", ["New", "York", "new", "york"]),
        ("new\nyork", "New York", ["new", "york"]),
        ("new, york", "new york", []),
        ("a a a b a", "a a", ["a", "a", "a"]),
        ("R&B and R & B", "r&b", ["R&B"]),
        ("I don't and DON'T", "don't", ["do", "n't", "DO", "N'T"]),
        ("I don't", "n't", ["n't"]),
        ("wow!!! wow! ...", "!!!", ["!!!"]),
        ("3.5 of 5", "3.5", ["3.5"]),
        ("这部电影很好看", "电影", ["电", "影"]),
        ("so 👍🏽 good 👍", "👍🏽", ["👍🏽"]),
        ("a / b // c", "/", ["/"]),
        ("a / b // c", "//", ["//"]),
        ("a : b", ":", [":"]),
        ("a film", "  film ", ["film"]),
        ("film", "a film that is longer than the text", []),
        ("", "film", []),
    ],
)
def test_words_and_phrases_count_in_any_case_and_as_whole_words(text, entry, found):
    assert kept(text, entry) == found


@pytest.mark.parametrize("word", ["ΓΆΜΟΣ", "γάμος", "Γάμος"])
def test_greek_words_count_in_any_case(word):
    assert kept("ΓΆΜΟΣ γάμος Γάμος", word) == ["ΓΆΜΟΣ", "γάμος", "Γάμος"]


def test_a_turkish_word_protects_itself():
    assert kept("İstanbul", "İstanbul") == ["İstanbul"]


def test_the_mask_token_can_be_protected():
    assert kept("a [MASK] film", "[MASK]", whole=("[MASK]",)) == ["[MASK]"]
    assert kept("a [MASK] film [MASK]", "[mask] FILM", whole=("[MASK]",)) == []
    assert kept("a [MASK] film [MASK]", "[MASK] FILM", whole=("[MASK]",)) == ["[MASK]", "film"]
    # Where it is no word of its own it is a phrase of three.
    assert kept("a [mask] film", "[MASK]") == ["[", "mask", "]"]


@pytest.mark.parametrize("mark", ["'", CURLY])
@pytest.mark.parametrize("own", ["'", CURLY])
def test_the_kind_of_apostrophe_makes_no_difference(mark, own):
    found = kept(f"I don{mark}t like rock{mark}n{mark}roll", f"DON{own}T", f"rock{own}N{own}roll")
    assert found == ["do", f"n{mark}t", f"rock{mark}n{mark}roll"]


def test_a_phrase_does_not_reach_from_one_text_into_the_next():
    words = split_words(pa.array(["big new", "york city", "", "new york"]))
    assert protected_words(words, ["new york"]).tolist() == [False] * 4 + [True] * 2


def test_several_entries_protect_what_each_of_them_does():
    assert kept("the old man and the sea", "old man", "sea", "/^the/") == ["the", "old", "man", "sea"]


def test_no_entries_protect_nothing():
    assert kept("a fine film") == []


# Regular expressions.


@pytest.mark.parametrize(
    ("text", "entry", "found"),
    [
        ("born in 1999, aged 21", "/[0-9]+/", ["1999", "21"]),
        ("10/10 would watch", "/[0-9]+/[0-9]+/", ["10", "/", "10"]),
        ("the film, the plot", "/^the/", ["the"]),
        ("good film", "/oo/", ["good"]),
        ("good film", "/d f/", ["good", "film"]),
        ("good  film", "/ +/", []),
        ("good film", "/x*/", []),
        ("A Film by Ang Lee", r"/\b[A-Z]\w+/", ["Film", "Ang", "Lee"]),
        ("A Film", "/film/", []),
        ("A Film", "/(?i)film/", ["Film"]),
        ("one\ntwo", "/one.two/", []),
        ("one\ntwo", r"/one\stwo/", ["one", "two"]),
        ("été à Köln, schön 🎬 gut", "/Köln|gut/", ["Köln", "gut"]),
        ("👨‍👩‍👧 это 映画 film", "/映|film/", ["映", "film"]),
        ("naïve naïve", "/ï/", ["naïve", "naïve"]),
        ("a/b", "///", ["/"]),
    ],
)
def test_of_a_regular_expression_every_word_that_a_match_touches_counts(text, entry, found):
    assert kept(text, entry) == found


def test_a_regular_expression_sees_one_text_at_a_time():
    words = split_words(pa.array(["é the", "the end", "", "ü then the"]))
    assert protected_words(words, ["/^the/"]).tolist() == [False, False, True, False, False, False, False]
    assert protected_words(words, ["/the$/"]).tolist() == [False, True, False, False, False, False, True]
    assert protected_words(words, ["/thethe/"]).sum() == 0


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4), st.sampled_from(["e", r"\w+", r"\S", "[é-ü]", "."]))
@settings(deadline=None, max_examples=80)
def test_matches_are_found_at_their_bytes(texts, pattern):
    words = split_words(pa.array(texts, pa.string()))
    found = protected_words(words, [f"/{pattern}/"])
    for number, text in enumerate(texts):
        spans = [tuple(len(text[:end].encode()) for end in match.span()) for match in re.finditer(pattern, text)]
        for word in range(words.first[number], words.first[number + 1]):
            start, end = (place[word] - words.text_start[number] for place in (words.start, words.end))
            assert found[word] == any(a < end and b > start for a, b in spans)


@pytest.mark.parametrize("letter", ["e", "é", "映", "👍"])
def test_every_one_of_many_matches_in_a_long_text_is_found(letter):
    count = 50_000
    words = split_words(pa.array(["before", f"{letter}{letter} x " * count, letter]))
    found = protected_words(words, [f"/{letter}+/"])
    strings = np.array(words.strings.to_pylist())
    assert np.array_equal(found[1:], strings[1:] != "x")
    assert found[0] == (letter == "e")
    assert (strings == "x").sum() == count


def test_what_python_may_read_otherwise_some_day_is_no_warning():
    recipe = Recipe("test", (Mask(rate=1.0),), protect=("/[[a]x/", "/[b&&]y/"))
    assert preview(["ax by cz"], recipe) == ["ax by [MASK]"]


def test_threads_leave_the_filters_of_warnings_alone(monkeypatch):
    monkeypatch.setattr(ingest_module, "PART_ROWS", 12)
    recipe = Recipe("test", (Mask(rate=0.5),), copies=2, protect=("/[0-9]+/",))
    before = list(warnings.filters)
    rows = augment([f"film {number}" for number in range(60)], recipe).to_pylist()
    assert warnings.filters == before
    assert all(row["text"].split()[1] == str(row["source"]) for row in rows)


# Kinds of words.


def test_stop_words_are_those_of_english_in_any_case():
    text = "The film is NOT what I wanted, and they didn't say it's you'll love"
    assert kept(text, ":stop-words:") == [
        *["The", "is", "NOT", "what", "I", "and", "they", "did", "n't", "it", "'s", "you", "'ll"]
    ]


def test_a_typographic_apostrophe_makes_no_difference_to_stop_words():
    plain = "it's bad and didn't"
    assert kept(plain, ":stop-words:") == ["it", "'s", "and", "did", "n't"]
    assert kept(plain.replace("'", CURLY), ":stop-words:") == ["it", f"{CURLY}s", "and", "did", f"n{CURLY}t"]


def test_words_with_other_than_letters_are_non_alphabetic():
    text = "a 3.5 well-made film, u.s. x1 n't été 映 ... R&B [MASK]"
    assert kept(text, ":non-alphabetic:", whole=("[MASK]",)) == [
        *["3.5", "well-made", ",", "u.s", ".", "x1", "n't", "...", "R&B", "[MASK]"]
    ]


# Recipes.


def copies_of(texts, recipe, copies=20):
    return preview(texts, recipe, copies)


def test_word_rules_leave_protected_words_alone():
    texts = ["the film is not good", "New York is not new"]
    for step in (Mask(rate=1.0), Pos(rate=1.0, tagger=by_length)):
        for text in copies_of(texts[:1], Recipe("test", (step,), protect=("not", "the"))):
            words = text.split()
            assert (words[0], words[3]) == ("the", "not")
            assert words[1] != "film" or isinstance(step, Pos)
    masked = copies_of(texts, Recipe("test", (Mask(rate=1.0),), protect=("new york",)), 1)
    assert masked == ["[MASK] [MASK] [MASK] [MASK] [MASK]", "New York [MASK] [MASK] [MASK]"]


def test_a_recipe_can_protect_its_own_mask_token():
    recipe = Recipe("test", (Pos(rate=1.0, tagger=by_length), Mask(rate=0.0)), protect=("[MASK]",))
    for text in copies_of(["an [MASK] of it , or [MASK] is up"], recipe):
        assert [place for place, word in enumerate(text.split()) if word == "[MASK]"] == [1, 6]
    masked = Recipe("test", (Mask(rate=1.0),), protect=("film [MASK]",))
    assert copies_of(["a film [MASK] film"], masked, 1) == ["[MASK] film [MASK] [MASK]"]


def test_other_words_keep_their_rate():
    text = " ".join(["not", "word"] * 50)
    recipe = Recipe("test", (Mask(rate=0.3),), protect=("not",))
    words = " ".join(copies_of([text], recipe, 200)).split()
    assert words.count("not") == 50 * 200
    hits, count = words.count("[MASK]"), 50 * 200
    assert abs(hits / count - 0.3) <= 3 * np.sqrt(0.3 * 0.7 / count)


def test_an_ngram_never_drops_a_protected_word():
    texts = ["one two three not four five six", "no such word here at all"]
    recipe = Recipe("test", (Ngram(rate=1.0, shortest=1, longest=4),), protect=("not",))
    first, second = np.array(copies_of(texts, recipe, 200)).reshape(2, 200)
    assert all("not" in text.split() for text in first)
    assert len(set(first)) > 5
    assert set(map(len, map(str.split, second))) == {1, 2, 3, 4}


def test_a_second_ngram_does_not_drop_what_the_first_kept():
    recipe = Recipe("test", (Ngram(rate=1.0, shortest=3, longest=4), Ngram(rate=1.0, longest=2)), protect=("not",))
    made = copies_of(["one two not three four five"], recipe, 200)
    assert all("not" in text.split() for text in made)
    assert min(len(text.split()) for text in made) == 1


def test_an_ngram_keeps_all_protected_words_or_the_text_as_it_is():
    recipe = Recipe("test", (Ngram(rate=1.0, longest=2),), protect=("first", "last"))
    assert set(copies_of(["first in the middle last"], recipe, 50)) == {"first in the middle last"}


def test_a_text_of_protected_words_has_no_copies():
    recipe = Recipe("test", (Mask(rate=0.5), Ngram()), copies=9, protect=("/./",))
    assert len(augment(TEXTS, recipe)) == len(TEXTS)


def test_both_texts_of_a_pair_are_protected():
    table = pa.table({"a": ["not a film"] * 20, "b": [f"is it not {i}" for i in range(20)]})
    recipe = Recipe("test", (Mask(rate=0.9), Ngram(rate=0.5)), copies=6, protect=("not",))
    made = augment(table, recipe, task=Task("pair", ("a", "b")))
    assert len(made) > 60
    assert all("not" in text.split() for name in "ab" for text in made[name].to_pylist())


def test_protection_holds_inside_groups():
    step = OneOf((Mask(rate=1.0), InSequence((Ngram(rate=1.0), Pos(rate=1.0, tagger=by_length)), 0.5)))
    made = copies_of(["it is not a good film"], Recipe("test", (step,), protect=("not",)), 100)
    assert all(text.split().count("not") == 1 for text in made)
    assert len(set(made)) > 10


ENTRIES = ["film", "good film", "n't", "/[0-9]/", "/好|é/", ":stop-words:", ":non-alphabetic:", "[MASK]", "👍🏽", "the"]
SOME_TEXTS = st.one_of(
    st.sampled_from([*TEXTS, *AWKWARD[:-1]]),
    st.lists(st.sampled_from([*PIECES, "film", "good film", "The", "x1"]), max_size=12).map("".join),
    st.text(max_size=20),
)


@given(
    st.lists(SOME_TEXTS, min_size=1, max_size=4),
    STEPS,
    st.lists(st.sampled_from(ENTRIES), max_size=3),
    st.integers(0, 9),
)
@example(["the not good film"], Ngram(rate=1.0), ["film", "the"], 0)
@settings(deadline=None, max_examples=150)
def test_protected_words_are_in_every_copy_in_order(texts, step, entries, seed):
    recipe = Recipe("test", (step,), protect=tuple(entries))
    whole = () if recipe.mask_token is None else (recipe.mask_token,)
    for place, copy in enumerate(preview(texts, recipe, 3, seed)):
        at = 0
        for word in kept(texts[place // 3], *entries, whole=whole):
            at = copy.find(word, at)
            assert at >= 0, (copy, word)
            at += len(word)


# What is refused.


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("", "recipe test: protect must list words, phrases, /REGEX/ or :KIND:, got ''"),
        (" \n", r"recipe test: protect must list words, phrases, /REGEX/ or :KIND:, got ' \n'"),
        (7, "recipe test: protect must list words, phrases, /REGEX/ or :KIND:, got 7"),
        (None, "recipe test: protect must list words, phrases, /REGEX/ or :KIND:, got None"),
        ("\N{ZERO WIDTH SPACE}", r"recipe test: protect must list words, phrases, /REGEX/ or :KIND:, got '\u200b'"),
        ("/(/", "recipe test: protect must hold regular expressions, got /(/: missing )"),
        ("/[a-/", "recipe test: protect must hold regular expressions, got /[a-/: "),
        (":stopwords:", "got ':stopwords:': did you mean ':stop-words:'?"),
        (":numbers:", "recipe test: protect: must be one of :stop-words:, :non-alphabetic:, got ':numbers:'"),
    ],
)
def test_an_entry_that_says_nothing_is_refused_in_one_line(entry, message):
    with pytest.raises(StillhouseError) as error:
        Recipe("test", (Mask(),), protect=("fine", entry))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bare_string_is_refused():
    with pytest.raises(StillhouseError, match=r"^recipe test: protect must be a list, got 'good'$"):
        Recipe("test", (Mask(),), protect="good")


def test_protected_words_are_refused_for_features():
    table, recipe = pa.table({"a": [1, 2, 3]}), Recipe("test", (Random(),), protect=("a",))
    with pytest.raises(StillhouseError, match=r"^recipe test: protect is for words, got a task of kind 'features'$"):
        augment(table, recipe)
    with pytest.raises(StillhouseError, match=r"^recipe test: protect is for words"):
        recipe.check_kind("features")
    # Without copies nothing is edited, and any recipe will do.
    assert len(augment(table, recipe, 0)) == 3
