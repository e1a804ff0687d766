"""Taggers: NLTK's, spaCy's, functions, and word classes learned from the corpus or read from a file."""

import functools
import os
import sys
from collections import Counter
from itertools import pairwise

import pyarrow as pa
import pytest
from conftest import ROOT, corpus_of, preview

from augment import Pos
from augment._taggers import _nltk, _spacy, load_tagger, tagger_name
from transferset import StillhouseError
from transferset.words import split_words

NOUNS = ["cat", "dog", "bird", "horse", "child", "woman", "film", "boat"]
VERBS = ["sleeps", "eats", "runs", "sings", "waits", "falls", "grows", "speaks"]
TOY = [f"{('the', 'a')[(i + j) % 2]} {noun} {verb}" for i, noun in enumerate(NOUNS) for j, verb in enumerate(VERBS)]


def classes_of(texts, spec="classes"):
    """The class of each word of the texts by the tagger of that name."""
    tag = load_tagger(spec, corpus_of(texts))
    words = split_words(pa.array(texts, pa.string()))
    strings = words.strings.to_pylist()
    sentences = [strings[a:b] for a, b in pairwise(words.first.tolist())]
    tagged = zip(sentences, tag(sentences), strict=True)
    return {word: name for each, names in tagged for word, name in zip(each, names, strict=True)}


def one_tag(sentences):
    return [["x"] * len(words) for words in sentences]


# Names.


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [("nltkk", "nltk"), ("nltk:x", "nltk"), ("spacy", "spacy:MODEL"), ("class", "classes"), ("", "")],
)
def test_an_unknown_tagger_gets_the_known_ones(spec, nearest):
    with pytest.raises(StillhouseError) as error:
        load_tagger(spec, corpus_of(["a"]))
    assert "pos: tagger: must be one of nltk, spacy:MODEL, classes, classes:FILE, got" in str(error.value)
    assert nearest in str(error.value).partition("did you mean")[2]


def test_taggers_of_different_names_have_different_file_names():
    specs = ["nltk", "spacy:a/b", "spacy:a-b", "spacy:a.b", "classes", "classes:a b", "classes:" + "v" * 60, one_tag]
    specs += ["classes:" + "v" * 61, "spacy:\N{SNOWMAN}"]
    names = [tagger_name(spec) for spec in specs]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.replace("-", "").isalnum()
        assert name.isascii()
        assert len(name) < 60


# NLTK.


@pytest.fixture
def nltk_data(shared, monkeypatch):
    """NLTK reads NLTK_DATA once; an import before it was set must not matter here."""
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(shared / "nltk_data")])
    _nltk.cache_clear()
    yield
    _nltk.cache_clear()


def test_nltk_gives_penn_tags(nltk_data):
    tags = load_tagger("nltk", corpus_of(["a"]))([["the", "film", "is", "good"], [], ["quickly"]])
    assert [list(each) for each in tags] == [["DT", "NN", "VBZ", "JJ"], [], ["RB"]]


def test_nltk_replaces_nouns_by_nouns(nltk_data):
    for text in preview(["the film is good", "a movie was bad"], [Pos(rate=1.0, tagger="nltk")], copies=20):
        assert text.split()[1] in ("film", "movie")
        assert text.split()[0] in ("the", "a")


def test_missing_nltk_data_is_one_line_that_names_classes(monkeypatch, tmp_path):
    if (ROOT.parent / "shared" / "nltk_data").is_dir():
        # As the fixture ``shared`` does: NLTK reads this when it is first imported, which may be here.
        os.environ.setdefault("NLTK_DATA", str(ROOT.parent / "shared" / "nltk_data"))
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    _nltk.cache_clear()
    try:
        with pytest.raises(StillhouseError) as error:
            preview(["a film"], [Pos()])
    finally:
        _nltk.cache_clear()
    message = str(error.value)
    assert message.startswith("pos: tagger nltk must have its model 'averaged_perceptron_tagger_eng', got none in ")
    assert str(tmp_path) in message
    assert "--pos-tagger classes" in message
    assert "\n" not in message


# spaCy.


@pytest.fixture(scope="module")
def spacy_model(tmp_path_factory):
    """A tagger that two sentences taught three tags."""
    import spacy
    from spacy.training import Example

    language = spacy.blank("en")
    language.add_pipe("tagger")
    sentences = [("the cat sleeps", ["DT", "NN", "VBZ"]), ("a dog runs", ["DT", "NN", "VBZ"])]
    examples = [Example.from_dict(language.make_doc(text), {"tags": tags}) for text, tags in sentences]
    optimizer = language.initialize(lambda: examples)
    for _ in range(20):
        language.update(examples, sgd=optimizer)
    path = tmp_path_factory.mktemp("spacy") / "model"
    language.to_disk(path)
    return path


def test_a_spacy_model_tags_the_words_it_is_given(spacy_model):
    tag = load_tagger(f"spacy:{spacy_model}", corpus_of(["a"]))
    # "don't" would be two words of spaCy's own; it must stay the one it was.
    tags = tag([["the", "cat", "sleeps"], [], ["don't"], ["a", "dog"]])
    assert [list(each) for each in tags][::3] == [["DT", "NN", "VBZ"], ["DT", "NN"]]
    assert [len(each) for each in tags] == [3, 0, 1, 2]


def test_a_spacy_model_guides_the_replacement(spacy_model):
    texts = ["the cat sleeps", "", "a dog runs"]
    for text in preview(texts, [Pos(rate=1.0, tagger=f"spacy:{spacy_model}")], copies=10):
        words = text.split()
        assert words == [] or (
            words[0] in ("the", "a") and words[1] in ("cat", "dog") and words[2] in ("sleeps", "runs")
        )


@pytest.mark.parametrize("model", ["no_such_model", "/no/such/directory"])
def test_a_missing_spacy_model_is_one_line_that_names_classes(model):
    with pytest.raises(StillhouseError) as error:
        preview(["a film"], [Pos(tagger=f"spacy:{model}")])
    message = str(error.value)
    assert message.startswith(f"pos: tagger spacy:{model} must be an installed model or its directory")
    assert f"python -m spacy download {model}" in message
    assert "--pos-tagger classes" in message
    assert "\n" not in message


def test_a_spacy_pipeline_without_a_tagger_is_refused(tmp_path):
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(StillhouseError, match=r"must have a tagger, got the pipeline \[\].*--pos-tagger classes"):
        preview(["a film"], [Pos(tagger=f"spacy:{tmp_path / 'blank'}")])


def test_missing_spacy_is_one_line_with_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    _spacy.cache_clear()
    with pytest.raises(StillhouseError, match=r"must have spaCy installed: run `pip install 'stillhouse\[spacy\]'`"):
        preview(["a film"], [Pos(tagger="spacy:any")])


# Functions.


class Lengths:
    """A tagger that is an object and has no name of its own."""

    def __call__(self, sentences):
        return [[str(len(word)) for word in words] for words in sentences]

    def tag(self, sentences):
        return self(sentences)


def constant(tag, sentences):
    return [[tag] * len(words) for words in sentences]


@pytest.mark.parametrize(
    "tagger",
    [
        one_tag,
        lambda many: [["x"] * len(words) for words in many],
        Lengths().tag,
        Lengths(),
        functools.partial(constant, "x"),
    ],
    ids=["function", "lambda", "method", "object", "partial"],
)
def test_anything_that_can_be_called_is_a_tagger(tagger):
    drawn = preview(["aa bb", "cc"], [Pos(rate=1.0, tagger=tagger)], copies=30)
    assert {word for text in drawn for word in text.split()} == {"aa", "bb", "cc"}


def test_a_function_sees_the_words_of_each_text():
    seen = []

    def watch(sentences):
        seen.extend(list(words) for words in sentences)
        return one_tag(sentences)

    preview(["it 's  [MASK].", "", "don't"], [Pos(tagger=watch)])
    assert seen == [["it", "'s", "[MASK]", "."], [], ["do", "n't"]]


@pytest.mark.parametrize(
    "tagger",
    [
        lambda many: [words[1:] for words in many],
        lambda many: [[*words, "x"] for words in many],
        lambda many: [],
        # As many tags as words in all, but not in each sentence.
        lambda many: [["x"] * len(words) for words in reversed(many)],
        lambda many: [["x"] * sum(len(words) for words in many)],
    ],
    ids=["too few", "too many", "none", "misplaced", "flat"],
)
def test_a_function_that_gives_another_number_of_tags_is_refused(tagger):
    with pytest.raises(StillhouseError, match=r"^pos: tagger must give one tag"):
        preview(["one", "two words"], [Pos(rate=1.0, tagger=tagger)])


@pytest.mark.parametrize("tag", [None, 7, 2.5, ["x"]])
def test_a_function_whose_tags_are_not_text_is_refused(tag):
    with pytest.raises(StillhouseError, match=r"^pos: tagger must give"):
        preview(
            ["one", "two words"], [Pos(rate=1.0, tagger=functools.wraps(one_tag)(functools.partial(constant, tag)))]
        )


def test_two_functions_made_by_one_line_are_not_taken_for_one_another():
    def tagger(apart):
        return lambda many: [[word if apart else "x" for word in words] for words in many]

    steps = [Pos(rate=0.0, tagger=tagger(apart=False)), Pos(rate=1.0, tagger=tagger(apart=True))]
    try:
        drawn = preview(["one two three four"], steps, copies=5)
    except StillhouseError:
        return  # to refuse them is as good as to keep them apart
    assert set(drawn) == {"one two three four"}


# Word classes.


def test_classes_are_the_same_every_time():
    assert classes_of(TOY * 3) == classes_of(TOY * 3)


def test_the_order_of_the_texts_does_not_change_which_words_are_together():
    def groups(classes):
        return sorted(sorted(word for word in classes if classes[word] == name) for name in set(classes.values()))

    assert groups(classes_of(TOY)) == groups(classes_of(TOY[::-1]))


def test_nouns_and_verbs_are_in_different_classes():
    classes = classes_of(TOY)
    nouns, verbs = {classes[word] for word in NOUNS}, {classes[word] for word in VERBS}
    assert not nouns & verbs
    assert not (nouns | verbs) & {classes["the"], classes["a"]}


def test_words_of_a_large_class_are_together():
    # A hundred made-up nouns and as many verbs: more words than there are classes, so words must share.
    nouns = [f"{a}{b}{c}u" for a in "bdfgk" for b in "aeiou" for c in "lmnr"]
    verbs = [f"{a}{b}{c}ing" for a in "bdfgk" for b in "aeiou" for c in "lmnr"]
    texts = [
        f"the {nouns[(i * 7 + j) % 100]} {verbs[(i * 3 + j * 11) % 100]} now" for i in range(100) for j in range(5)
    ]
    classes = classes_of(texts)
    of_nouns, of_verbs = (Counter(classes[word] for word in words) for words in (nouns, verbs))
    assert not set(of_nouns) & set(of_verbs)
    assert max(of_nouns.values()) >= 5
    assert max(of_verbs.values()) >= 5


def test_words_are_replaced_even_in_a_small_vocabulary():
    # Fewer words than classes: were each word alone in its class, nothing would ever change.
    drawn = preview(TOY, [Pos(rate=1.0, tagger="classes")], copies=5)
    changed = sum(text != TOY[place // 5] for place, text in enumerate(drawn))
    assert changed > len(drawn) / 2


def test_capitals_do_not_change_the_class():
    classes = classes_of([*TOY, "The Cat Sleeps", "THE DOG RUNS"])
    assert (classes["The"], classes["Cat"], classes["DOG"]) == (classes["the"], classes["cat"], classes["dog"])


@pytest.mark.parametrize("text", ["ΛΟΓΟΣ", "İstanbul", "ΛΌΓΟΣ λόγος", "STRASSE straße", "ǅ"])
def test_every_word_with_letters_has_a_class(text):
    classes = classes_of([text, *TOY])
    assert "rare" not in classes.values()


def test_numbers_are_a_class_and_each_symbol_is_one():
    classes = classes_of([*TOY, "in 1999 , 3.5 stars ! or 7 ..."])
    assert classes["1999"] == classes["3.5"] == classes["7"]
    assert len({classes[word] for word in ("1999", ",", "!", "...", "in", "stars")}) == 6


@pytest.mark.parametrize(
    "texts",
    [["word"], ["word word word"], ["a", "b"], ["word", "", "  "]],
    ids=["one", "repeated", "two", "with empty texts"],
)
def test_a_corpus_of_hardly_any_words_has_classes(texts):
    drawn = preview(texts, [Pos(rate=1.0, tagger="classes")], copies=3)
    known = {word for text in texts for word in text.split()}
    assert {word for text in drawn for word in text.split()} <= known


@pytest.mark.parametrize(
    "texts",
    [["... !!", "?"], ["12 3.5"], [""], ["  ", ""], ["👍🏽 👍🏽"]],
    ids=["symbols", "numbers", "empty", "spaces", "emoji"],
)
def test_a_corpus_without_a_word_of_letters_has_classes_too(texts):
    drawn = preview(texts, [Pos(rate=1.0, tagger="classes")], copies=3)
    assert len(drawn) == 3 * len(texts)
    assert {word for text in drawn for word in text.split()} <= {word for text in texts for word in text.split()}


def test_chinese_has_classes():
    texts = [f"{who}{what}{whom}" for who in "我你他她" for what in "爱看打听" for whom in "猫狗鸟鱼"]
    classes = classes_of(texts)
    assert set(classes) == set("我你他她爱看打听猫狗鸟鱼")
    who, what, whom = ({classes[word] for word in group} for group in ("我你他她", "爱看打听", "猫狗鸟鱼"))
    assert not who & what
    assert not what & whom
    assert not who & whom
    for text in preview(texts, [Pos(rate=1.0, tagger="classes")], copies=2):
        assert len(text) == 3


# Word classes from vectors.

#: gensim opens a file without header twice and leaves the first to the garbage collector.
GENSIM = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


def write_vectors(path, groups):
    """A GloVe file in which the words of a group point the same way."""
    width = len(groups)
    lines = []
    for axis, words in enumerate(groups):
        for number, word in enumerate(words):
            values = [0.01 * number * (place != axis) + (place == axis) for place in range(width)]
            lines.append(" ".join([word, *(f"{value:.4f}" for value in values)]))
    path.write_text("\n".join(lines) + "\n")
    return path


@GENSIM
def test_classes_may_come_from_a_file_of_vectors(tmp_path):
    path = write_vectors(tmp_path / "glove.txt", [NOUNS, VERBS, ["the", "a"]])
    classes = classes_of(TOY, f"classes:{path}")
    assert not {classes[word] for word in NOUNS} & {classes[word] for word in VERBS}


@GENSIM
def test_another_file_of_vectors_makes_other_classes(tmp_path):
    # In the second file nouns and verbs of the same place in their lists mean the same.
    first = write_vectors(tmp_path / "a.txt", [NOUNS, VERBS, ["the", "a"]])
    second = write_vectors(tmp_path / "b.txt", [list(pair) for pair in zip(NOUNS, VERBS, strict=True)])
    corpus = corpus_of(TOY)
    by_first, by_second = (load_tagger(f"classes:{path}", corpus) for path in (first, second))
    alone = load_tagger(f"classes:{second}", corpus_of(TOY))
    words = [[*NOUNS, *VERBS]]
    assert by_second(words) == alone(words)
    assert by_second(words) != by_first(words)


@GENSIM
def test_a_file_of_vectors_that_changed_is_read_again(tmp_path):
    corpus = corpus_of(TOY)
    path = write_vectors(tmp_path / "a.txt", [NOUNS, VERBS, ["the", "a"]])
    before = load_tagger(f"classes:{path}", corpus)([[*NOUNS, *VERBS]])
    write_vectors(path, [list(pair) for pair in zip(NOUNS, VERBS, strict=True)])
    after = load_tagger(f"classes:{path}", corpus_of(TOY))([[*NOUNS, *VERBS]])
    assert before != after


def test_a_missing_file_of_vectors_is_named(tmp_path):
    with pytest.raises(StillhouseError, match=r"nowhere\.txt: must be a GloVe or word2vec file, got nothing there"):
        preview(TOY, [Pos(tagger=f"classes:{tmp_path / 'nowhere.txt'}")])


@GENSIM
def test_vectors_of_other_words_are_refused(tmp_path):
    path = write_vectors(tmp_path / "other.txt", [["quelque"], ["chose"]])
    with pytest.raises(StillhouseError, match=r"other\.txt: must have vectors for words of the corpus, got none of 18"):
        preview(TOY, [Pos(tagger=f"classes:{path}")])
