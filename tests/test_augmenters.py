"""What every augmenter must hold, whatever it does: ``discover`` finds them, so a new one is tested at once."""

import dataclasses
import random

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of, draft_of, preview, rendered
from hypothesis import given, settings
from hypothesis import strategies as st

from augment._block import Block
from augment.recipe import Recipe, recipe_from_json
from transferset.parameters import build, describe, discover, parameters
from transferset.words import split_words

AUGMENTERS = discover("augment", "fit")


def by_length(sentences):
    """Tags that need no data and cost nothing."""
    return [[str(len(word)) for word in words] for words in sentences]


#: What an augmenter needs so that it works on any text, without data that must be installed.
NEEDED = {"pos": {"tagger": by_length}}
#: Those that edit texts at a rate; the others are gates, or edit features.
EVERY = pytest.mark.parametrize(
    "name", sorted(name for name, cls in AUGMENTERS.items() if "rate" in [each.name for each in parameters(cls)])
)
#: Augmenters that learn nothing from the corpus: what they do to a row depends on that row alone.
WITHOUT_CORPUS = pytest.mark.parametrize("names", [["mask"], ["ngram"], ["mask", "ngram"]])

TEXTS = [
    "the film is not good",
    "a great and funny story , with no dull moment",
    "it 's slow",
    "the plot of this film is the plot of that film",
    "acting is never bad here and the movie is very fine",
]
AWKWARD = [
    "",
    "word",
    "   ",
    "\t\n\r\n",
    "  leading and trailing  ",
    "two  spaces   three",
    "tab\there\nand newline\r\nand more",
    "already [MASK] in it, and [MASK][MASK] twice",
    "[MASK]",
    "emoji 👨‍👩‍👧 👍🏽 🇩🇪 !!!",
    "שלום עולם, זה סרט טוב",
    "فيلم جميل جدا",
    "这部电影很好看。",
    "映画は とても 良い",
    "e\N{COMBINING ACUTE ACCENT}te\N{COMBINING ACUTE ACCENT} \N{COMBINING ACUTE ACCENT}alone",
    "non\N{NO-BREAK SPACE}breaking \N{ZERO WIDTH SPACE}zero\N{ZERO WIDTH JOINER}",
    "don't can't 'tis o'clock U.S. 3.14 1,000 -- ... a-b R&B n't 's",
    "nul \x00 and bell \x07",
    'quote " back\\slash <br /> {curly}',
    " ".join(f"w{number % 997}" for number in range(10_000)),
]


def replay(text, edits, whole=()):
    """The text after its recorded edits, worked out from the record alone, one text at a time."""
    words = split_words(pa.array([text], pa.string()), whole)
    spans = list(zip(words.start.tolist(), words.end.tolist(), strict=True))
    data = text.encode()
    new_words = [data[a:b] for a, b in spans]
    low, high = 0, len(spans)
    for edit in edits:
        first, last = edit["position"], edit["position"] + edit["words"]
        assert 0 <= first < last <= len(spans)
        if edit["new"] is None:
            assert edit["old"] is None
            low, high = first, last
            continue
        assert edit["old"].encode() == data[spans[first][0] : spans[last - 1][1]]
        new_words[first:last] = [edit["new"].encode(), *[b""] * (last - first - 1)]
    if (low, high) == (0, len(spans)):
        # All words kept: so is the white space around them.
        begin, end = 0, len(data)
    else:
        begin, end = spans[low][0], spans[high - 1][1]
    pieces, at = [], begin
    for (a, b), new in list(zip(spans, new_words, strict=True))[low:high]:
        pieces += [data[at:a], new]
        at = b
    return b"".join([*pieces, data[at:end]]).decode()


def make(name, **given):
    return build(AUGMENTERS[name], {**NEEDED.get(name, {}), **given}, name)


def busy(name):
    """The augmenter with a rate at which most rows change."""
    known = [each.name for each in parameters(AUGMENTERS[name])]
    return make(name, rate=0.5) if "rate" in known else make(name)


def drafted(texts, steps, copies, seed=0):
    recipe = Recipe("test", tuple(steps), copies)
    whole = () if recipe.mask_token is None else (recipe.mask_token,)
    corpus = corpus_of(pa.array(texts, pa.string()), whole)
    draft = draft_of(corpus.block(0), copies, seed)
    for step in steps:
        step.fit(corpus)(draft)
    return draft


def assert_replayed(texts, steps, copies, seed=0):
    draft = drafted(texts, steps, copies, seed)
    texts_of, edits = rendered(draft)
    changed = draft.changed().tolist()
    for row, (text, done) in enumerate(zip(texts_of.to_pylist(), edits.to_pylist(), strict=True)):
        original = texts[draft.text[row]]
        assert replay(original, done, draft.block.whole) == text
        if not changed[row]:
            assert text == original
    return draft


def test_there_are_augmenters():
    assert {"mask", "ngram", "pos"} <= set(AUGMENTERS)


@EVERY
def test_parameters_are_the_fields_of_a_frozen_dataclass_and_explained(name):
    cls = AUGMENTERS[name]
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert cls.__doc__
    assert "Source:" in cls.__doc__
    for each in parameters(cls):
        assert each.help, each.name
        assert each.default is not dataclasses.MISSING, each.name


@EVERY
def test_a_step_is_the_same_after_a_trip_through_the_manifest(name):
    step = AUGMENTERS[name]()
    assert build(AUGMENTERS[name], describe(step), name) == step
    stored = Recipe("trip", (step,), 3).to_json()
    again = recipe_from_json("trip", {**stored, "copies": 3}, "trip")
    assert again == Recipe("trip", (step,), 3)


@EVERY
def test_rate_0_changes_nothing(name):
    draft = assert_replayed([*TEXTS, *AWKWARD], [make(name, rate=0.0)], copies=2)
    assert not draft.changed().any()


@EVERY
def test_rate_1_changes_something(name):
    assert drafted(TEXTS, [make(name, rate=1.0)], copies=2).changed().any()


@EVERY
def test_the_same_seed_gives_the_same_texts_and_another_gives_others(name):
    steps = [busy(name)]
    once = preview(TEXTS, steps, copies=5, seed=3)
    assert preview(TEXTS, steps, copies=5, seed=3) == once
    assert preview(TEXTS, steps, copies=5, seed=4) != once
    assert preview(TEXTS, steps, copies=5, seed=-3) != once


@EVERY
def test_copies_of_a_row_differ_from_one_another(name):
    assert len(set(preview(TEXTS[4:], [busy(name)], copies=20))) > 5


@EVERY
def test_more_copies_leave_the_first_ones_as_they_were(name):
    few = np.array(preview(TEXTS, [busy(name)], copies=3)).reshape(len(TEXTS), 3)
    many = np.array(preview(TEXTS, [busy(name)], copies=7)).reshape(len(TEXTS), 7)
    assert (many[:, :3] == few).all()


@WITHOUT_CORPUS
def test_rows_after_a_row_do_not_matter_to_it(names):
    steps = [busy(name) for name in names]
    every = preview([*TEXTS, *AWKWARD], steps, copies=4)
    for count in range(1, len(TEXTS)):
        assert preview(TEXTS[:count], steps, copies=4) == every[: 4 * count]


@WITHOUT_CORPUS
def test_other_texts_in_the_rows_before_do_not_matter(names):
    steps = [busy(name) for name in names]
    assert (
        preview(["other words", "", TEXTS[4]], steps, copies=4)[8:]
        == preview([TEXTS[0], TEXTS[1], TEXTS[4]], steps, copies=4)[8:]
    )


@WITHOUT_CORPUS
@pytest.mark.parametrize("size", [1, 4, 7])
def test_where_blocks_are_cut_does_not_matter(names, size):
    steps = [busy(name) for name in names]
    texts = [*TEXTS, *AWKWARD]
    whole = drafted(texts, steps, 3)
    corpus = corpus_of(pa.array(texts))
    found = []
    for index, first in enumerate(range(0, len(texts), size)):
        block = Block(index, first, pa.array(texts[first : first + size]), whole=whole.block.whole)
        draft = draft_of(block, 3, 0)
        for step in steps:
            step.fit(corpus)(draft)
        found += rendered(draft)[0].to_pylist()
    assert found == rendered(whole)[0].to_pylist()


@EVERY
def test_awkward_texts_are_what_their_edits_say(name):
    assert_replayed([*AWKWARD, *TEXTS], [busy(name)], copies=6)


@EVERY
@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_an_awkward_text_alone_is_what_its_edits_say(name, text):
    assert_replayed([text], [busy(name)], copies=4)


def test_awkward_texts_through_all_augmenters_are_what_their_edits_say():
    steps = [make("mask", rate=0.3), make("pos", rate=0.3), make("ngram", rate=0.4)]
    draft = assert_replayed([*AWKWARD, *TEXTS], steps, copies=20)
    assert draft.changed().any()


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.integers(0, 1000), st.floats(0, 0.5))
@settings(deadline=None, max_examples=150)
def test_any_text_is_what_its_edits_say(texts, seed, rate):
    steps = [make("mask", rate=rate), make("pos", rate=rate), make("ngram", rate=0.5)]
    assert_replayed(texts, steps, copies=3, seed=seed)


PIECES = [
    "[MASK]",
    "a",
    "n't",
    "'s",
    "don't",
    " ",
    "  ",
    "\n",
    ".",
    "...",
    "u.s.",
    "3.5",
    "很",
    "好",
    "\u0301",
    "\u200d",
    "👍🏽",
    "-",
]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), min_size=1, max_size=4), st.integers(0, 9))
@settings(deadline=None, max_examples=150)
def test_texts_of_difficult_pieces_are_what_their_edits_say(texts, seed):
    steps = [make("mask", rate=0.4), make("pos", rate=0.4), make("ngram", rate=0.5)]
    assert_replayed(texts, steps, copies=3, seed=seed)


@EVERY
def test_edits_are_recorded_in_order_under_the_name_of_the_augmenter(name):
    draft = drafted(TEXTS, [busy(name)], copies=10)
    for done in rendered(draft)[1].to_pylist():
        assert {edit["rule"] for edit in done} <= {name}
        positions = [edit["position"] for edit in done]
        assert positions == sorted(positions)
        assert len(set(positions)) == len(positions)


@EVERY
def test_the_texts_given_are_not_changed(name):
    texts = pa.array([*TEXTS, *AWKWARD])
    kept = [None if buffer is None else buffer.to_pybytes() for buffer in texts.buffers()]
    preview(texts, [busy(name)], copies=3)
    assert [None if buffer is None else buffer.to_pybytes() for buffer in texts.buffers()] == kept


@EVERY
def test_a_slice_of_an_array_gives_what_its_texts_give(name):
    sliced = pa.array(["before", *TEXTS, "after"])[1:-1]
    assert preview(sliced, [busy(name)], copies=2) == preview(TEXTS, [busy(name)], copies=2)


@EVERY
def test_no_texts_give_no_texts(name):
    assert preview([], [busy(name)], copies=3) == []


@EVERY
def test_the_global_generators_are_left_alone(name):
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002 - what is tested
    preview([*TEXTS, *AWKWARD], [busy(name)], copies=3)
    after = np.random.get_state()  # noqa: NPY002
    assert random.getstate() == before
    assert (after[1] == numpy_before[1]).all()
    assert after[2:] == numpy_before[2:]


@EVERY
def test_the_global_generators_do_not_matter(name):
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        once = preview(TEXTS, [busy(name)], copies=3)
        random.seed(2)
        np.random.seed(2)  # noqa: NPY002
        assert preview(TEXTS, [busy(name)], copies=3) == once
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002
