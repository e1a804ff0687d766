"""Output rows of pairs: which of the two texts is edited in which copy, what stays as it is, what is recorded of it."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from test_augmenters import AWKWARD, by_length, replay

from augment import PAIRS, Mask, Ngram, Pos, Recipe, augment, load_recipe
from augment._corpus import Corpus
from augment._rows import Plan, all_copies
from transferset import StillhouseError, Task

PAIR = Task("pair", ("first", "second"))
FIRST, SECOND, BOTH = (True, False), (False, True), (True, True)
#: Which texts are edited in copies 1 to 6.
TURNS = {
    "cycle": [FIRST, SECOND, BOTH, FIRST, SECOND, BOTH],
    "alternate": [FIRST, SECOND] * 3,
    "first": [FIRST] * 6,
    "second": [SECOND] * 6,
    "both": [BOTH] * 6,
}
WORD_RULES = (Mask(rate=0.3), Pos(rate=0.3, tagger=by_length), Ngram(rate=0.3))


def table_of(pairs, task=PAIR):
    return pa.table(
        {name: pa.array(texts, pa.string()) for name, texts in zip(task.inputs, zip(*pairs, strict=True), strict=True)}
    )


def rich(count, words=8):
    """Pairs of which no two share a word."""
    return [tuple(" ".join(f"{side}{i}x{j}" for j in range(words)) for side in "ab") for i in range(count)]


def drafted(pairs, mode, copies, steps=(), seed=0):
    table = table_of(pairs).append_column("source", pa.array(np.arange(len(pairs))))
    corpus = Corpus.in_memory(PAIR, [table], whole=("[MASK]",))
    block = corpus.block(0)
    return Plan([step.fit(corpus) for step in steps], mode, seed).draft(block, *all_copies(block.rows, copies))


def made(pairs, mode, copies, steps=WORD_RULES, seed=0):
    return augment(table_of(pairs), Recipe("test", tuple(steps), pairs=mode), copies, seed, PAIR).to_pylist()


def close(hits, count, rate):
    """Whether the share is within three standard errors."""
    return abs(hits / count - rate) <= 3 * np.sqrt(rate * (1 - rate) / count)


def test_every_way_of_taking_turns_is_tested():
    assert set(PAIRS) == {*TURNS, "draw"}


@pytest.mark.parametrize("mode", sorted(TURNS))
def test_each_copy_edits_the_texts_whose_turn_it_is(mode):
    editable = drafted(rich(5), mode, 6).place >= 0
    assert [tuple(turn) for turn in editable.tolist()] == TURNS[mode] * 5


@pytest.mark.parametrize("mode", sorted(TURNS))
def test_edits_say_which_text_they_are_of(mode):
    found = {copy: set() for copy in range(1, 7)}
    for row in made(rich(60), mode, 6):
        if row["copy"]:
            assert row["edits"]
            found[row["copy"]].update(edit["input"] for edit in row["edits"])
    assert found == {copy: set(np.flatnonzero(turn)) for copy, turn in enumerate(TURNS[mode], 1)}


def test_draw_takes_first_second_and_both_a_third_of_the_copies_each():
    drawn = Counter(map(tuple, (drafted(rich(10_000, 1), "draw", 2).place >= 0).tolist()))
    assert set(drawn) == {FIRST, SECOND, BOTH}
    assert all(close(count, 20_000, 1 / 3) for count in drawn.values())


def test_draw_has_no_pattern_from_copy_to_copy_or_row_to_row():
    turns = (drafted(rich(6000, 1), "draw", 3).place >= 0) @ [1, 2]
    by_row = turns.reshape(-1, 3)
    for one, other in ((by_row[:, 0], by_row[:, 1]), (by_row[:, 1], by_row[:, 2]), (by_row[:-1, 0], by_row[1:, 0])):
        for pair, count in Counter(zip(one.tolist(), other.tolist(), strict=True)).items():
            assert close(count, len(one), 1 / 9), pair


def test_draw_follows_the_seed():
    once, again, other = (drafted(rich(50), "draw", 4, seed=seed).place for seed in (1, 1, 2))
    assert (once == again).all()
    assert (once != other).any()


def test_which_text_is_drawn_does_not_depend_on_where_blocks_are_cut():
    pairs = rich(30)
    whole = Plan([], "draw", 0).draft(Corpus.in_memory(PAIR, [numbered(pairs, 0)]).block(0), *all_copies(30, 2)).place
    late = Corpus.in_memory(PAIR, [numbered(pairs, 0), numbered(pairs[10:], 10)]).block(1)
    part = Plan([], "draw", 0).draft(late, *all_copies(20, 2)).place
    assert ((part >= 0) == (whole[20:] >= 0)).all()


def numbered(pairs, first):
    return table_of(pairs).append_column("source", pa.array(np.arange(first, first + len(pairs))))


@pytest.mark.parametrize("mode", PAIRS)
def test_awkward_pairs_are_what_their_edits_say_and_keep_every_other_byte(mode):
    pairs = [*zip(AWKWARD, AWKWARD[5:] + AWKWARD[:5], strict=True), *rich(5)]
    unedited = 0
    for row in made(pairs, mode, 6):
        for side, name in enumerate(PAIR.inputs):
            done = [edit for edit in row["edits"] if edit["input"] == side]
            assert replay(pairs[row["source"]][side], done, ("[MASK]",)) == row[name]
            unedited += bool(row["copy"]) and not done
        assert {edit["input"] for edit in row["edits"]} <= {0, 1}
    assert unedited > 0


@pytest.mark.parametrize("mode", sorted(TURNS))
def test_the_text_whose_turn_it_is_not_is_the_original_to_the_byte(mode):
    pairs = list(zip(AWKWARD, AWKWARD[5:] + AWKWARD[:5], strict=True))
    rows = [row for row in made(pairs, mode, 6) if row["copy"]]
    assert len(rows) > 30
    for row in rows:
        for name, text, turn in zip(PAIR.inputs, pairs[row["source"]], TURNS[mode][row["copy"] - 1], strict=True):
            assert turn or row[name].encode() == text.encode()


def test_edits_stand_in_order_of_text_and_position():
    for row in made(rich(40), "both", 6):
        places = [(edit["input"], edit["new"] is None, edit["position"]) for edit in row["edits"]]
        assert places == sorted(places)


def test_the_two_texts_of_a_pair_are_edited_independently():
    # Were their draws the same, equal texts would come out equal.
    pairs = [(" ".join(f"w{i}x{j}" for j in range(8)),) * 2 for i in range(200)]
    rows = [row for row in made(pairs, "both", 1, (Mask(rate=0.5),)) if row["copy"]]
    assert len(rows) == 200
    # Of 2**8 masks both draw the same one once in 256 times.
    assert sum(row["first"] == row["second"] for row in rows) < 8


def test_a_row_is_changed_if_either_text_is():
    steps = (Mask(rate=0.1),)
    draft = drafted(rich(300, 4), "both", 1, steps)
    sides = np.zeros((300, 2), np.bool_)
    for edits in draft.edits:
        texts = draft.row[edits.places]
        sides[draft.output[texts], draft.text[texts] // 300] = True
    assert (draft.changed() == sides.any(1)).all()
    assert {tuple(each) for each in sides.tolist()} == {FIRST, SECOND, BOTH, (False, False)}


@pytest.mark.parametrize("mode", ["cycle", "draw"])
def test_the_rates_of_tang2019_hold_in_each_edited_text(mode):
    steps = [
        Pos(rate=step.rate, tagger=by_length) if isinstance(step, Pos) else step
        for step in load_recipe("tang2019").steps
    ]
    draft = drafted(rich(1500), mode, 3, steps)
    side_of_text = draft.text // 1500
    for side in (0, 1):
        texts = np.flatnonzero(side_of_text == side)
        words = 8 * len(texts)
        for edits in draft.edits:
            assert close((side_of_text[draft.row[edits.places]] == side).sum(), words, 0.1), edits.rule
        assert close((side_of_text[draft.windows[0].rows] == side).sum(), len(texts), 0.25)
        lengths = draft.windows[0].count[side_of_text[draft.windows[0].rows] == side]
        assert all(close((lengths == n).sum(), len(lengths), 0.2) for n in range(1, 6))
    assert close(len(draft.text), 2 * 4500, 2 / 3)
    mask, pos = draft.edits
    assert not len(np.intersect1d(mask.places, pos.places))


def test_copies_are_duplicates_only_where_both_texts_are_equal():
    pairs = [("good film", "fine"), ("good film", "dull"), ("[MASK] film", "fine")]
    rows = made(pairs, "first", 40, (Mask(rate=0.5),))
    copies = [(row["first"], row["second"]) for row in rows if row["copy"]]
    assert len(set(copies)) == len(copies)
    assert not set(copies) & set(pairs)
    # The third row's copies and its original take nothing from the second's, whose second text is another.
    assert {first for first, second in copies if second == "dull"} == {"[MASK] film", "good [MASK]", "[MASK] [MASK]"}
    assert {first for first, second in copies if second == "fine"} == {"good [MASK]", "[MASK] [MASK]"}


def test_a_copy_is_a_duplicate_whichever_texts_were_edited():
    # Both as third copy and one text alone in the others make the same pair of masks.
    rows = made([("good", "fine")], "cycle", 6, (Mask(rate=1.0),))
    assert [(row["first"], row["second"]) for row in rows] == [
        ("good", "fine"),
        ("[MASK]", "fine"),
        ("good", "[MASK]"),
        ("[MASK]", "[MASK]"),
    ]


def one_tag(sentences):
    return [["x"] * len(words) for words in sentences]


def test_both_texts_draw_from_one_pool_of_words():
    pairs = [("red red red", "blue")] * 1500
    steps = (Pos(rate=1.0, tagger=one_tag),)
    draft = drafted(pairs, "both", 2, steps)
    new = np.array(draft.edits[0].new.to_pylist())
    side = draft.text[draft.row[draft.edits[0].places]] // 1500
    for each in (0, 1):
        assert set(new[side == each]) == {"red", "blue"}
        assert close((new[side == each] == "blue").sum(), (side == each).sum(), 0.25)


def test_tang2019_makes_10_copies_of_a_pair_and_20_of_a_text():
    recipe = load_recipe("tang2019").adjusted({"pos": {"tagger": "classes"}})
    assert (recipe.copies_of("pair"), recipe.copies_of("text")) == (10, 20)
    pairs = rich(12, 20)
    of_pairs = augment(table_of(pairs), recipe, task=PAIR)["copy"].to_numpy()
    of_texts = augment([first for first, _ in pairs], recipe)["copy"].to_numpy()
    assert (of_pairs.max(), of_texts.max()) == (10, 20)


def test_pairs_of_texts_without_words_have_no_copies():
    rows = made([("", ""), (" \n", "\t"), ("word", "")], "cycle", 9)
    assert [row["source"] for row in rows if row["copy"] == 0] == [0, 1, 2]
    assert {row["source"] for row in rows if row["copy"]} == {2}
    assert {row["second"] for row in rows if row["source"] == 2} == {""}


def test_an_unknown_way_of_taking_turns_gets_the_nearest():
    with pytest.raises(
        StillhouseError, match=r"^recipe test: pairs: must be one of cycle, .*: did you mean 'first'\?$"
    ):
        Recipe("test", WORD_RULES, pairs="frist")
