"""Where the words of a text are: the documented rule, case by case, and what holds for any text."""

# ruff: noqa: RUF001 - characters that look like others are what is tested
from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferset.words import split_words

MASK = "[MASK]"
#: Where the rule has its corners: marks, joiners, separators, several scripts, characters of one to four bytes.
CORNERS = (
    "ab sntdmrevl SNT 0123 .,'-_&’\"!?…— \t\n\r\x00\x1c\x85\u00a0\u2028\u200b\u200d\u00ad\ufeff"
    "é\u0301\u0302\ufe0f日本かカ한عربא\u05b7हि\N{PILE OF POO}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}👩🇩𝒜\U0010ffff"
)
TEXT = st.text(st.sampled_from(CORNERS) | st.characters(exclude_categories=["Cs"]), max_size=25)
many = settings(deadline=None, max_examples=200)


def words_of(text, whole=()):
    return split_words(pa.array([text], pa.string()), whole).strings.to_pylist()


def by_text(words):
    """The words of each text, as strings cut from its own bytes."""
    data = words.data.tobytes()
    spans = zip(words.start.tolist(), words.end.tolist(), strict=True)
    strings = [data[a:b].decode() for a, b in spans]
    return [strings[a:b] for a, b in pairwise(words.first.tolist())]


def is_gap(character):
    """White space and what has no look of its own."""
    return unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cc", "Cf")


# What holds for any text.


@many
@given(st.lists(TEXT, max_size=5))
def test_words_and_gaps_tile_the_texts(texts):
    words = split_words(pa.array(texts, pa.string()))
    data = words.data.tobytes()
    assert data == "".join(texts).encode()
    assert words.text_start.tolist() == np.cumsum([0, *(len(text.encode()) for text in texts)]).tolist()
    assert words.first[0] == 0
    assert words.first[-1] == len(words.start) == len(words.end)
    for number, text in enumerate(texts):
        cut, seen = int(words.text_start[number]), ""
        for place in range(words.first[number], words.first[number + 1]):
            start, end = int(words.start[place]), int(words.end[place])
            assert cut <= start < end <= words.text_start[number + 1]
            gap = data[cut:start].decode()
            assert all(map(is_gap, gap))
            seen += gap + data[start:end].decode()
            cut = end
        rest = data[cut : words.text_start[number + 1]].decode()
        assert all(map(is_gap, rest))
        assert seen + rest == text


@many
@given(TEXT)
def test_no_word_is_empty_or_has_white_space(text):
    for word in words_of(text):
        assert word
        assert not any(character.isspace() for character in word)
        assert all(not is_gap(character) or character == "\N{ZERO WIDTH JOINER}" for character in word)


@many
@given(TEXT)
def test_a_text_of_nothing_but_gaps_has_no_words_and_any_other_has_some(text):
    assert bool(words_of(text)) != all(is_gap(c) and c != "\N{ZERO WIDTH JOINER}" for c in text)


@many
@given(st.lists(TEXT, max_size=5), st.sampled_from([(), (MASK,)]))
def test_a_text_has_the_same_words_alone_as_among_others(texts, whole):
    together = split_words(pa.array(texts, pa.string()), whole)
    assert by_text(together) == [words_of(text, whole) for text in texts]
    assert [word for text in by_text(together) for word in text] == together.strings.to_pylist()


@many
@given(st.lists(TEXT, min_size=1, max_size=6), st.data(), st.sampled_from([pa.string(), pa.large_string()]))
def test_a_slice_of_an_array_is_the_texts_it_shows(texts, data, kind):
    first = data.draw(st.integers(0, len(texts)))
    count = data.draw(st.integers(0, len(texts) - first))
    shown = split_words(pa.array(texts, kind).slice(first, count))
    alone = split_words(pa.array(texts[first : first + count], kind))
    assert shown.data.tobytes() == alone.data.tobytes()
    for name in ("text_start", "first", "start", "end"):
        assert getattr(shown, name).tolist() == getattr(alone, name).tolist()


@many
@given(st.lists(TEXT.filter(lambda text: "[" not in text), min_size=1, max_size=4), st.sampled_from(["", " ", "x"]))
def test_each_occurrence_of_a_whole_phrase_is_one_word(texts, glue):
    text = f"{glue}{MASK}{glue}".join(texts)
    words = words_of(text, (MASK,))
    assert words.count(MASK) == len(texts) - 1
    assert not any(MASK in word for word in words if word != MASK)


@many
@given(TEXT)
def test_a_whole_phrase_that_does_not_occur_changes_nothing(text):
    assert words_of(text, ("a phrase that is nowhere",)) == words_of(text)


@many
@given(TEXT.filter(lambda text: not text.isascii()))
def test_the_way_over_ascii_finds_the_same(text):
    # A text beyond ASCII beside it sends a plain text another way.
    plain = text.encode("ascii", "ignore").decode()
    assert by_text(split_words(pa.array([plain, text], pa.string())))[0] == words_of(plain)


# The rule, case by case: words are shown with a blank between them.

CLITICS = """
it's = it 's
He'LL = He 'LL
I'm = I 'm
they've = they 've
we're = we 're
she'd = she 'd
don't = do n't
DON'T = DO N'T
can't = ca n't
dogs' = dogs '
80's = 80 's
O'Brien's = O'Brien 's
u.s.'s = u.s . 's
I'd've = I 'd 've
shouldn't've = should n't 've
"""
TOKENISED = """
it 's = it 's
is n't = is n't
they 'd = they 'd
"""
INNER = """
o'clock = o'clock
rock'n'roll = rock'n'roll
y'all = y'all
l'homme = l'homme
'hello' = ' hello '
'tis = ' tis
well-known = well-known
state-of-the-art = state-of-the-art
a - b = a - b
a--b = a -- b
-a- = - a -
AT&T = AT&T
R & D = R & D
x_y = x_y
"""
NUMBERS = """
3.5 = 3.5
3,000.50 = 3,000.50
1. = 1 .
.5 = . 5
v2.0 = v2.0
$5.99 = $ 5.99
50% = 50 %
-5 = - 5
2nd = 2nd
1,2,3 = 1,2,3
1, 2 = 1 , 2
x² = x²
"""
INITIALS = """
u.s. = u.s .
U.S.A. = U.S.A .
e.g., = e.g . ,
a.m. = a.m .
Mr. Smith = Mr . Smith
end.Next = end . Next
"""
RUNS = """
wait... what = wait ... what
.... = ....
!?!! = ! ? !!
?! = ? !
"quoted" = " quoted "
“quoted” = “ quoted ”
<br /> = < br / >
a@b = a @ b
#tag = # tag
— = —
"""
SCRIPTS = """
它很好 = 它 很 好
日本語です = 日 本 語 で す
カタカナ = カ タ カ ナ
看iPhone吧 = 看 iPhone 吧
한국어 좋아 = 한국어 좋아
مرحبا بالعالم = مرحبا بالعالم
مُدَرِّس = مُدَرِّس
שָׁלוֹם עולם = שָׁלוֹם עולם
नमस्ते दुनिया = नमस्ते दुनिया
हिन्दी! = हिन्दी !
Привет, мир = Привет , мир
𝒜𝒷 = 𝒜𝒷
"""
EMOJI = """
👍👍 = 👍👍
👍🏽 = 👍🏽
good👍🏽film = good 👍🏽 film
🙂🙁 = 🙂 🙁
❤️ = ❤️
1️⃣ = 1️⃣
"""


def cases(table):
    return [line.split(" = ") for line in table.splitlines() if line]


@pytest.mark.parametrize(("text", "words"), cases(CLITICS + TOKENISED))
def test_english_clitics_are_words(text, words):
    assert words_of(text) == words.split(" ")


@pytest.mark.parametrize(("text", "words"), [case for case in cases(CLITICS) if "'" in case[0]])
def test_a_curved_apostrophe_is_an_apostrophe(text, words):
    assert words_of(text.replace("'", "’")) == words.replace("'", "’").split(" ")


@pytest.mark.parametrize(
    ("text", "words"), cases(INNER + NUMBERS + INITIALS + RUNS + SCRIPTS + EMOJI), ids=lambda case: ascii(case)[1:-1]
)
def test_the_rule(text, words):
    assert words_of(text) == words.split(" ")


@pytest.mark.parametrize(
    "joined",
    [
        "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}",
        "\N{HEAVY BLACK HEART}\ufe0f\u200d\N{FIRE}",
        "\N{WOMAN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}\u200d\N{PERSONAL COMPUTER}",
        "\N{WAVING WHITE FLAG}\ufe0f\u200d\N{RAINBOW}",
    ],
    ids=ascii,
)
def test_a_joined_emoji_sequence_is_one_word(joined):
    assert words_of(joined) == [joined]
    assert words_of(f"so{joined}, {joined}!") == ["so", joined, ",", joined, "!"]


@pytest.mark.parametrize(
    "text", ["café", "cafés are", "café-bar", "bar-café", "café's", "l’été", "naïve", "Ångström's", "Đặng & ơ&ớ", "É.é"]
)
def test_an_accent_of_its_own_splits_no_more_than_one_in_the_letter(text):
    composed = [unicodedata.normalize("NFD", word) for word in words_of(unicodedata.normalize("NFC", text))]
    assert words_of(unicodedata.normalize("NFD", text)) == composed


@pytest.mark.parametrize("text", ["की-बात", "सी-डी", "בְּ-ת"], ids=ascii)
def test_a_hyphen_after_a_vowel_sign_joins_as_after_a_letter(text):
    assert words_of(text) == [text]


def test_marks_stay_with_what_they_stand_on():
    assert words_of("e\u0301a") == ["e\u0301a"]
    assert words_of("a\u0301\u0302b !\u0301") == ["a\u0301\u0302b", "!\u0301"]
    assert words_of("\u65e5\u0301\u672c") == ["\u65e5\u0301", "\u672c"]


def test_a_mark_at_the_start_does_not_cling_to_the_text_before():
    assert by_text(split_words(pa.array(["a", "\u0301b", "\u200dc", "'s"]))) == [
        ["a"],
        words_of("\u0301b"),
        words_of("\u200dc"),
        ["'s"],
    ]


@pytest.mark.parametrize("space", [" ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b", "\u2028", "\x00"], ids=ascii)
def test_white_space_of_any_kind_parts_words(space):
    assert words_of(f"{space}a{space}{space}b.{space}") == ["a", "b", "."]


@pytest.mark.parametrize("text", ["", " ", "\n", " \t\u00a0 \n"], ids=ascii)
def test_a_text_of_spaces_has_no_words(text):
    words = split_words(pa.array(["a", text, "b c"]))
    assert words.first.tolist() == [0, 1, 1, 3]
    assert words.strings.to_pylist() == ["a", "b", "c"]


def test_newlines_inside_texts_are_not_taken_for_those_between_them():
    words = split_words(pa.array(["a\n\nb", "\n", "\nc\n", "d\né"]))
    assert by_text(words) == [["a", "b"], [], ["c"], ["d", "é"]]


def test_no_texts_have_no_words():
    words = split_words(pa.array([], pa.string()))
    assert (words.first.tolist(), words.strings.to_pylist()) == ([0], [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("good[MASK]film", ["good", MASK, "film"]),
        ("[MASK][MASK]", [MASK, MASK]),
        ("a-[MASK]-b", ["a", "-", MASK, "-", "b"]),
        ("[MASK]'s", [MASK, "'s"]),
        ("'[MASK]'", ["'", MASK, "'"]),
        ("[[MASK]]", ["[", MASK, "]"]),
        ("[mask]", ["[", "mask", "]"]),
        ("它[MASK]好", ["它", MASK, "好"]),
        ("[MASK", ["[", "MASK"]),
    ],
)
def test_a_whole_phrase_is_one_word_wherever_it_stands(text, words):
    assert words_of(text, (MASK,)) == words


def test_without_being_told_a_mask_token_is_three_words():
    assert words_of(MASK) == ["[", "MASK", "]"]


def test_a_whole_phrase_may_be_of_several_words_or_of_pattern_characters():
    assert words_of("in New York, yes", ("New York",)) == ["in", "New York", ",", "yes"]
    assert words_of("a.*b", (".*",)) == ["a", ".*", "b"]


def test_what_is_given_is_not_changed():
    texts = pa.array(["it's a e\u0301 film", "x"])
    before = texts.to_pylist()
    split_words(texts, (MASK,))
    assert texts.to_pylist() == before


def test_sst2_is_split_much_as_it_is_tokenised(shared):
    """The corpus is in Penn tokens already: what stands between blanks is nearly always one word."""
    lines = (shared / "data" / "sst2" / "test.tsv").read_text("utf-8").split("\n")[1:-1]
    texts = [line.split("\t")[0] for line in lines]
    found = by_text(split_words(pa.array(texts)))
    same = sum(words == text.split() for words, text in zip(found, texts, strict=True))
    assert same > 0.85 * len(texts)
