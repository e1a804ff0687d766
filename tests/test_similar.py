"""The gate: drops exactly the copies of which too few words are left as they were."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import corpus_of, draft_of
from test_augmenters import AWKWARD, TEXTS, by_length

from augment import InSequence, Mask, Ngram, OneOf, Pos, Similar, augment, load_recipe
from augment._corpus import Corpus
from augment._rows import Plan, all_copies
from transferset import StillhouseError, Task
from transferset.words import split_words

RULES = [Mask(rate=0.3), Ngram(rate=0.4)]


def drawn(texts, steps, copies=12, pairs="cycle"):
    """All copies that are wanted and changed, duplicates too."""
    task = Task("text", ("a",)) if len(texts) == 1 else Task("pair", ("a", "b"))
    table = pa.table([*texts, np.arange(len(texts[0]))], names=[*task.inputs, "source"])
    corpus = Corpus.in_memory(task, [table], whole=("[MASK]",))
    plan = Plan([step.fit(corpus) for step in steps], pairs, 0)
    return plan.draw_up(corpus, 0, *all_copies(len(table), copies)).to_pylist()


def rows_of(texts, steps, copies=12):
    return augment(texts, steps, copies).to_pylist()


def untouched(text, edits):
    """How many words of a text are left and are none of the edited ones, by the record of its edits."""
    left = set(range(split_words(pa.array([text]), ("[MASK]",)).first[-1]))
    for edit in edits:
        if edit["new"] is None:
            left &= set(range(edit["position"], edit["position"] + edit["words"]))
    return len(left - {edit["position"] for edit in edits if edit["new"] is not None})


@pytest.mark.parametrize("words", [0, 1, 2, 3, 6, 99])
def test_the_gate_drops_exactly_the_copies_with_fewer_words_left(words):
    texts = [f"row{i} {text}" for i in range(12) for text in TEXTS]
    without, gated = (drawn([texts], steps) for steps in (RULES, [*RULES, Similar(words)]))
    assert gated == [row for row in without if untouched(texts[row["source"]], row["edits"]) >= words]
    assert words == 0 or len(gated) < len(without)
    assert words == 99 or len(gated) > 50


def test_one_word_is_asked_for_by_default():
    assert Similar() == Similar(words=1)


def test_a_gate_judges_what_was_done_before_it():
    texts = [f"w{i} a b c" for i in range(50)]
    early = rows_of(texts, [Mask(rate=0.1), Similar(words=3), Ngram(rate=1.0, longest=1)])
    left = [untouched(texts[row["source"]], row["edits"]) for row in early if row["copy"]]
    assert set(left) == {0, 1}


def test_a_dropped_copy_is_found_neither_as_row_nor_as_duplicate():
    # Row 0 loses the copy that row 1 has: it must not keep row 1 from having it.
    made = rows_of(["a", "a b"], [Mask(rate=0.5), Similar(words=1)], copies=30)
    assert [row["text"] for row in made] == ["a", "a b", *(row["text"] for row in made[2:])]
    assert {row["text"] for row in made[2:]} == {"[MASK] b", "a [MASK]"}


def test_texts_without_words_pass():
    draft = draft_of(corpus_of([*AWKWARD, "", "word"]).block(0), 3, 0)
    Similar(words=2)._edit(draft)
    few = [len(split_words(pa.array([text])).strings) for text in [*AWKWARD, "", "word"]]
    assert draft.dropped.tolist() == [count == 1 for count in few for _ in range(3)]


@pytest.mark.parametrize("words", [1, 2, 3])
@pytest.mark.parametrize("pairs", ["cycle", "second", "both"])
def test_of_a_pair_every_edited_text_must_pass(words, pairs):
    texts = [f"a{i} b{i}" for i in range(120)], [f"c{i} d{i} e{i} f{i}" for i in range(120)]
    rules = [Mask(rate=0.3)]
    without, gated = (drawn(texts, steps, 6, pairs) for steps in (rules, [*rules, Similar(words)]))
    turns = {"cycle": [(0,), (1,), (0, 1)], "second": [(1,)], "both": [(0, 1)]}[pairs]

    def passes(row):
        left = {
            side: untouched(texts[side][row["source"]], [edit for edit in row["edits"] if edit["input"] == side])
            for side in turns[(row["copy"] - 1) % len(turns)]
        }
        return min(left.values()) >= words

    assert gated == [row for row in without if passes(row)]
    assert len(gated) < len(without)


@pytest.mark.parametrize("gate_first", [True, False])
def test_a_gate_in_a_branch_judges_that_branch(gate_first):
    texts = [f"w{i} a b c" for i in range(400)]
    gated, other = InSequence((Mask(rate=1.0), Similar(words=1))), Pos(rate=1.0, tagger=by_length)
    copies = drawn([texts], [OneOf((gated, other) if gate_first else (other, gated))], copies=1)
    assert 140 < len(copies) < 260
    assert {edit["rule"] for row in copies for edit in row["edits"]} == {"pos"}


def test_dbert_never_changes_every_word():
    recipe = load_recipe("dbert").adjusted({"pos": {"tagger": by_length, "rate": 0.4}, "mask": {"rate": 0.4}})
    texts = [f"w{i}" for i in range(30)] + [f"v{i} u{i}" for i in range(60)] + [f"good film {i}" for i in range(60)]
    made = augment(texts, recipe).to_pylist()
    copied = {row["source"] for row in made if row["copy"]}
    assert copied <= set(range(30, 150))
    assert len(copied) > 100
    for row in made:
        if row["copy"]:
            assert {edit["rule"] for edit in row["edits"]} <= {"mask", "pos"}
            assert len(row["edits"]) < len(texts[row["source"]].split())
    pairs = pa.table({"a": texts, "b": texts[::-1]})
    made = augment(pairs, recipe, task=Task("pair", ("a", "b"))).to_pylist()
    assert max(row["copy"] for row in made) == 10
    edited = set()
    for row in made:
        for side in (0, 1):
            done = [edit for edit in row["edits"] if edit["input"] == side]
            text = pairs["ab"[side]][row["source"]].as_py()
            assert not done or len(done) < len(text.split())
        edited.add(tuple(sorted({edit["input"] for edit in row["edits"]})))
    assert edited == {(), (0,), (1,), (0, 1)}


def test_dbert_draws_which_text_of_a_pair_is_edited():
    recipe = load_recipe("dbert")
    assert [type(step).__name__ for step in recipe.steps] == ["Mask", "Pos", "Similar"]
    assert (recipe.pairs, recipe.copies_of("pair"), recipe.copies_of("text")) == ("draw", 10, 20)


def test_dbert_drops_what_its_rules_change_whole_and_nothing_else():
    texts = [f"u{i} v{i}" for i in range(500)]
    recipe = load_recipe("dbert").adjusted({"pos": {"tagger": by_length}})
    without = drawn([texts], recipe.steps[:-1], 20)
    whole = [row for row in without if len(row["edits"]) == 2]
    assert len(whole) > 100
    assert drawn([texts], recipe.steps, 20) == [row for row in without if len(row["edits"]) < 2]


def test_fewer_than_no_words_are_refused():
    with pytest.raises(StillhouseError, match=r"^similar: words must be at least 0, got -1$"):
        Similar(words=-1)
