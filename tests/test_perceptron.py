"""The array form of NLTK's tagger gives NLTK's tags: on English, on odd words, and on models made of ties."""

import os
import random
from functools import cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from augment import _perceptron
from augment._perceptron import Perceptron, _waves
from transferset import Source
from transferset.words import split_words

SENTENCES = [
    "The film is good .",
    "a gorgeous , witty , seductive movie",
    "They refuse to permit us to obtain the refuse permit .",
    "Mr. O'Neill 's well-known 1999 hit sold 12,000 copies in 24th place -- or did n't it ?",
    "it",
    "the the the the of of of",
    "- -- -x x- a-b '' `` ... ! $ 3.50 % # ( )",
    "-START- -START2- -END- -END2- START END -start- !HYPHEN !YEAR !DIGITS",
    "2001 20O1 12345 ² ²²²² ٣٣٣٣ Ⅷ 1st 0",
    "É é ÉTÉ straße STRASSE İstanbul ǅ ﬁlm Ωmega ΣΑΣ naïve 很好 🎬 👩‍🚀 e\u0301",
    "bias i suffix i-1 tag word NN",
]
TAGS = ["A", "B", "C", "``"]
WORDS = ["a", "A", "b", "abcd", "ABCD", "xbcd", "a-b", "-a", "1999", "12th", "²", "İ", "é", "a b", "🎬", "-START-"]


@pytest.fixture(scope="module", autouse=True)
def _data_path():
    """As the fixture ``shared`` does: NLTK reads this when it is first imported, which may be here."""
    if (ROOT.parent / "shared" / "nltk_data").is_dir():
        os.environ.setdefault("NLTK_DATA", str(ROOT.parent / "shared" / "nltk_data"))


@pytest.fixture(scope="module")
def english(shared):
    """NLTK's tagger and ours with its weights; NLTK may have been imported before its data could be found."""
    import nltk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [str(shared / "nltk_data")])
        theirs = nltk.tag.PerceptronTagger()
    return theirs, Perceptron(theirs)


def model(weights, known, tags):
    """NLTK's tagger with these weights, unambiguous words and tags."""
    from nltk.tag import PerceptronTagger

    return PerceptronTagger.decode_json_obj((weights, known, tags))


def by_nltk(tagger, sentences):
    return [[tag for _, tag in tagger.tag(words)] for words in sentences]


@cache
def features_of_nltk():
    """Every feature that NLTK makes of a few sentences of the odd words, with any tags before them."""
    tagger, generator, found = model({}, {}, TAGS), random.Random(0), {"bias"}
    for _ in range(300):
        words = generator.choices(WORDS, k=generator.randint(1, 4))
        context = [*tagger.START, *map(tagger.normalize, words), *tagger.END]
        for place, word in enumerate(words):
            before = generator.choices(TAGS, k=2) if place else tagger.START
            found.update(tagger._get_features(place, word, context, *before))
    return sorted(found)


def made_up(seed, largest):
    """A tagger that knows half of all features, with weights of up to so many tenths: the fewer, the more ties."""
    generator = random.Random(seed)
    weights = {
        feature: {tag: generator.randint(-largest, largest) / 10 for tag in generator.sample(TAGS, 2)}
        for feature in features_of_nltk()
        if generator.random() < 0.5
    }
    known = {word: generator.choice(TAGS) for word in WORDS if generator.random() < 0.3}
    return model(weights, known, TAGS)


# English.


def test_hand_made_sentences_get_the_tags_of_nltk(english):
    theirs, ours = english
    sentences = [text.split(" ") for text in SENTENCES]
    assert ours(sentences) == by_nltk(theirs, sentences)
    assert [ours([words]) for words in sentences] == [[tags] for tags in by_nltk(theirs, sentences)]


def test_sst2_gets_the_tags_of_nltk(english, shared):
    theirs, ours = english
    batch = next(iter(Source(shared / "data" / "sst2" / "train.tsv").batches(["sentence"])))
    words = split_words(batch.column(0)[:5000])
    strings = words.strings.to_pylist()
    sentences = [strings[a:b] for a, b in pairwise(words.first.tolist())]
    expected = [tag for tags in by_nltk(theirs, sentences) for tag in tags]
    assert len(expected) > 30_000
    assert ours.tag(words.strings, words.first).to_pylist() == expected


WORD = st.one_of(
    st.sampled_from([word for text in SENTENCES for word in text.split(" ")]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
    st.text("aestdign-0129.' ", min_size=1, max_size=8),
)


@settings(deadline=None, max_examples=150)
@given(sentences=st.lists(st.lists(WORD, max_size=12), max_size=6))
def test_any_words_get_the_tags_of_nltk(english, sentences):
    theirs, ours = english
    assert ours(sentences) == by_nltk(theirs, sentences)


def test_a_long_sentence_without_a_known_word_gets_the_tags_of_nltk(english):
    theirs, ours = english
    generator = random.Random(0)
    words = ["".join(generator.choices("abcdeghinorst", k=5)) for _ in range(2000)]
    words = [word for word in words if word not in theirs.tagdict]
    assert ours([words]) == by_nltk(theirs, [words])


def test_english_weights_are_whole_thousandths_so_that_sums_are_exact(english):
    """The bound is that of whole numbers in float32; 14 features take part in a sum."""
    weights = english[1]._weights
    assert np.array_equal(weights, np.rint(weights))
    assert 14 * np.abs(weights).max() < 2**24


# Models made up, so that scores tie and no feature goes without use.


@pytest.mark.parametrize("largest", [0, 1, 3, 50])
@pytest.mark.parametrize("seed", range(5))
def test_made_up_models_tag_as_in_nltk(seed, largest):
    theirs = made_up(seed, largest)
    generator = random.Random(seed)
    sentences = [generator.choices(WORDS, k=generator.randint(0, 9)) for _ in range(200)]
    assert Perceptron(theirs)(sentences) == by_nltk(theirs, sentences)


def test_each_feature_of_nltk_is_one_of_ours():
    """Of each kind of feature, one that changes NLTK's tags changes ours alike."""
    sentences = [random.Random(seed).choices(WORDS, k=6) for seed in range(60)]
    names = [" ".join(feature.split(" ")[:2]) for feature in features_of_nltk()]
    assert len(set(names)) == 14
    # First letters give different tags, so that features of tags are met with too.
    letters = {f"i pref1 {letter}": {tag: 1.0} for letter, tag in zip("aA-", TAGS[:3], strict=True)}
    usual = by_nltk(model(letters, {}, TAGS), sentences)
    changed = set()
    for name, feature in zip(names, features_of_nltk(), strict=True):
        if name not in changed:
            theirs = model({**letters, feature: {"B": 2.0}}, {}, TAGS)
            expected = by_nltk(theirs, sentences)
            assert Perceptron(theirs)(sentences) == expected, feature
            changed |= {name} if expected != usual else set()
    assert changed == set(names)


def test_a_tie_falls_as_nltk_rounds_its_sums():
    """0.1 + 0.2 is more than 0.3 in NLTK's sums; in thousandths it ties, and the alphabet would say B."""
    weights = {"bias": {"A": 0.1, "B": 0.3}, "i word x": {"A": 0.2}}
    theirs = model(weights, {}, ["A", "B"])
    assert by_nltk(theirs, [["x"]]) == [["A"]]
    assert Perceptron(theirs)([["x", "x", "y"]]) == [["A", "A", "B"]]


def test_a_tie_of_equal_sums_falls_to_the_last_tag_of_the_alphabet():
    theirs = model({"bias": {"A": 0.3, "B": 0.3}}, {}, ["B", "A", "C"])
    assert Perceptron(theirs)([["x", "y"]]) == by_nltk(theirs, [["x", "y"]]) == [["B", "B"]]


def test_one_class_is_given_to_all():
    theirs = model({"bias": {"A": -1.0}}, {}, ["A"])
    assert Perceptron(theirs)([["x", "y"], []]) == [["A", "A"], []]


def test_nothing_depends_on_how_many_words_are_scored_together(monkeypatch):
    ours = Perceptron(made_up(1, 3))
    sentences = [random.Random(seed).choices(WORDS, k=seed % 7) for seed in range(100)]
    expected = ours(sentences)
    monkeypatch.setattr(_perceptron, "_AT_ONCE", 3)
    assert ours(sentences) == expected


# Arrays.


@pytest.mark.parametrize("sentences", [[], [[]], [[], []], [[], ["a"], []], [["a"], [], [], ["b", "a"]]])
def test_empty_sentences_have_no_tags(sentences):
    theirs = made_up(0, 3)
    assert Perceptron(theirs)(sentences) == by_nltk(theirs, sentences)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_slice_of_words_is_tagged_as_a_copy(kind):
    ours, words = Perceptron(made_up(2, 3)), pa.array([*WORDS, *WORDS], kind)
    first = np.array([0, 0, 3, 9, 10])
    tags = ours.tag(words.slice(5, 10), first)
    assert tags.to_pylist() == [
        tag for each in ours([WORDS[5:5], WORDS[5:8], WORDS[8:14], WORDS[14:15]]) for tag in each
    ]
    assert pa.types.is_dictionary(tags.type)
    assert len(tags) == 10


@given(st.lists(st.booleans(), max_size=60))
def test_waves_take_each_undecided_place_once_after_those_before_it(inner):
    undecided = np.array([False, False, *inner, False, False])
    waves = list(_waves(undecided))
    assert sorted(np.concatenate([np.zeros(0, np.int64), *waves]).tolist()) == np.flatnonzero(undecided).tolist()
    decided = ~undecided
    for wave in waves:
        assert decided[wave - 1].all()
        assert decided[wave - 2].all()
        decided[wave] = True
