"""What every augmenter must hold, whatever it does: ``discover`` finds them, so a new one is tested at once."""

import dataclasses
import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import corpus_of, draft_of, preview, rendered
from hypothesis import given, settings
from hypothesis import strategies as st

from augment import InSequence, OneOf, _ingest, augment, augment_file
from augment._corpus import Corpus
from augment._protect import protected_words
from augment._rows import Plan, all_copies
from augment.recipe import Recipe, recipe_from_json
from transferset import Source, StillhouseError, Task
from transferset.parameters import build, describe, discover, parameters
from transferset.words import placeholders, split_words

pytestmark = pytest.mark.usefixtures("one_thread")

AUGMENTERS = discover("augment", "fit")


def by_length(sentences):
    """Tags that need no data and cost nothing."""
    return [[str(len(word)) for word in words] for words in sentences]


#: What an augmenter needs so that it works on any data, without data that must be installed; ``models`` adds more.
NEEDED = {"pos": {"tagger": by_length}}
#: With what an augmenter edits nothing, and edits much, where that is not a rate of 0 and of 0.5.
IDLE = {"munge": {"p": 0.0}, "similar": {"words": 0}}
BUSY = {"munge": {"p": 0.7}, "similar": {"words": 4}, "random": {}}

HAS_RATE = [name for name, cls in AUGMENTERS.items() if "rate" in [each.name for each in parameters(cls)]]
FEATURE_NAMES = sorted(name for name, cls in AUGMENTERS.items() if getattr(cls, "edits", "texts") == "features")
TEXT_NAMES = sorted(set(AUGMENTERS) - set(FEATURE_NAMES))
#: Those that judge what other augmenters did: they are run behind one.
GATES = sorted(set(TEXT_NAMES) - set(HAS_RATE))

EVERY = pytest.mark.parametrize("name", sorted(AUGMENTERS))
OF_TEXTS = pytest.mark.parametrize("name", TEXT_NAMES)
OF_FEATURES = pytest.mark.parametrize("name", FEATURE_NAMES)
WITH_RATE = pytest.mark.parametrize("name", sorted(HAS_RATE))
#: Augmenters that learn nothing from the corpus: what they do to a row depends on that row alone, and on a model.
WITHOUT_CORPUS = pytest.mark.parametrize(
    "names", [["mask"], ["ngram"], ["mask", "ngram"], ["mask", "similar"], ["mlm"], ["vectors"], ["mlm", "vectors"]]
)


@pytest.fixture(scope="module", autouse=True)
def models(tiny_masked_lm):
    """What is a model by default is the tiny one: tests reach for no hub."""
    NEEDED.update(mlm={"model": str(tiny_masked_lm)}, vectors={"source": str(tiny_masked_lm)})


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


def table_of(rows, seed=0):
    """Features of every type, some of them missing."""
    some = np.random.default_rng(seed)
    return pa.table(
        {
            "size": pa.array(some.normal(size=rows), mask=some.random(rows) < 0.2),
            "count": pa.array(some.integers(0, 9, rows), mask=some.random(rows) < 0.1),
            "kind": pa.array(some.choice(["a", "b", "c"], rows), mask=some.random(rows) < 0.2),
            "flag": pa.array(some.random(rows) < 0.5),
        }
    )


TABLE = table_of(30)
AWKWARD_TABLES = [
    TABLE,
    TABLE[:2],
    pa.table({"text": AWKWARD, "number": range(len(AWKWARD))}),
    pa.table({"text": [None, "", " ", "[MASK]", "שלום", "这 👍🏽"]}),
    pa.table({"x": [0.0, -0.0, 5e-324, 1.7e308, None], "y": [1, 2, 3, 4, 5]}),
    pa.table({"x": [2**63 - 1, -(2**63), 0, None, 2**62 + 1]}),
    pa.table({"same": [1.5] * 9, "nothing": pa.nulls(9, pa.string()), "no number": pa.nulls(9, pa.int64())}),
    pa.table({"flag": [True, False, None, True]}),
    pa.table({"zip": pa.array([80331, 10115, 80331, 20095])}),
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
    """The augmenter with parameters with which most rows change."""
    return make(name, rate=0.5) if name in HAS_RATE else make(name, **BUSY.get(name, {}))


def steps_of(name):
    """The busy augmenter as the steps of a recipe: a gate stands behind a rule."""
    return [make("mask", rate=0.5), busy(name)] if name in GATES else [busy(name)]


def data_of(name):
    return TABLE if name in FEATURE_NAMES else TEXTS


def drafted(texts, steps, copies, seed=0):
    recipe = Recipe("test", tuple(steps), copies)
    whole = () if recipe.mask_token is None else (recipe.mask_token,)
    corpus = corpus_of(pa.array(texts, pa.string()), whole)
    draft = draft_of(corpus.block(0), copies, seed)
    for step in steps:
        step.fit(corpus)(draft)
    return draft


def corpus_in_blocks(data, recipe, block_rows=None):
    """Texts, or a table of features, cut into blocks."""
    is_table = isinstance(data, pa.Table)
    table = data if is_table else pa.table({"text": pa.array(data, pa.string())})
    task = Task("features" if is_table else "text", tuple(table.column_names))
    rows = table.append_column("source", pa.array(np.arange(len(table))))
    each = block_rows or max(1, len(rows))
    blocks = [rows.slice(start, each) for start in range(0, len(rows), each)]
    return Corpus.in_memory(task, blocks, whole=placeholders(recipe.mask_token), protect=recipe.protect)


def drawn(steps, data, copies, seed=0, block_rows=None, protect=()):
    """The rows that an engine is given before it drops duplicates: all copies that are changed and wanted."""
    recipe = Recipe("test", tuple(steps), copies, protect=tuple(protect))
    corpus = corpus_in_blocks(data, recipe, block_rows)
    plan = Plan([step.fit(corpus) for step in steps], recipe.pairs, seed)
    blocks = [
        plan.draw_up(corpus, index, *all_copies(len(corpus.rows(index)), copies)) for index in range(corpus.blocks)
    ]
    return pa.concat_tables(blocks).to_pylist()


def inputs_of(rows):
    """What the rows hold, less what was done to them."""
    return [tuple(value for key, value in row.items() if key not in ("source", "copy", "edits")) for row in rows]


def assert_replayed(texts, steps, copies, seed=0):
    draft = drafted(texts, steps, copies, seed)
    texts_of, edits = rendered(draft)
    unchanged = (~draft.changed() & ~draft.dropped).tolist()
    for row, (text, done) in enumerate(zip(texts_of.to_pylist(), edits.to_pylist(), strict=True)):
        original = texts[draft.text[row]]
        assert replay(original, done, draft.block.whole) == text
        if unchanged[row]:
            assert text == original
    return draft


def as_strings(table, rows):
    """For each row of the table asked for, its cells as text by name."""
    strings = {name: pc.cast(table[name], pa.string()) for name in table.column_names}
    return pa.table(strings).take(pa.array(rows, pa.int64())).to_pylist()


def assert_accounted(table, steps, copies):
    """Rows of features are of the table's types and ranges, and differ from their originals in the recorded cells."""
    made = drawn(steps, table, copies)
    names = table.column_names
    after = pa.table([pa.array([row[name] for row in made], table[name].type) for name in names], names)
    before = as_strings(table, [row["source"] for row in made])
    for row, old, new in zip(made, before, as_strings(after, range(len(made))), strict=True):
        done = {names[edit["input"]]: (edit["old"], edit["new"]) for edit in row["edits"]}
        assert done == {name: (old[name], new[name]) for name in names if old[name] != new[name]}
        assert len(done) == len(row["edits"])
        assert {edit["rule"] for edit in row["edits"]} <= {type(step).__name__.lower() for step in steps}
        assert all(edit["position"] is None and edit["words"] is None for edit in row["edits"])
    for name in names:
        known, found = table[name].drop_null().to_pylist(), after[name].drop_null().to_pylist()
        if known and not isinstance(known[0], str):
            assert all(min(known) <= value <= max(known) for value in found)
        else:
            assert set(found) <= set(known)
    return made


def test_there_are_augmenters():
    assert {"mask", "mlm", "ngram", "pos", "similar", "vectors"} <= set(TEXT_NAMES)
    assert {"munge", "random"} <= set(FEATURE_NAMES)
    # Whatever edits at no rate says here how it edits nothing; only the random control always does something.
    assert set(AUGMENTERS) - set(HAS_RATE) - set(IDLE) == {"random"}


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
    for each in (step, InSequence((step,), 0.5), OneOf((step, step), (1.0, 2.0), 0.5)):
        stored = Recipe("trip", (each,), 3).to_json()
        again = recipe_from_json("trip", {**stored, "copies": 3}, "trip")
        assert again == Recipe("trip", (each,), 3)


@WITH_RATE
def test_rate_0_changes_nothing(name):
    draft = assert_replayed([*TEXTS, *AWKWARD], [make(name, rate=0.0)], copies=2)
    assert not draft.changed().any()


@pytest.mark.parametrize("name", sorted({*HAS_RATE, *IDLE}))
def test_an_idle_augmenter_changes_nothing_and_leaves_every_byte(name):
    idle = make(name, **IDLE.get(name, {"rate": 0.0}))
    if name in FEATURE_NAMES:
        assert [drawn([idle], table, copies=3) for table in AWKWARD_TABLES] == [[]] * len(AWKWARD_TABLES)
        return
    assert preview([*TEXTS, *AWKWARD], [idle], copies=1) == [*TEXTS, *AWKWARD]
    behind = [make("mask", rate=0.5)]
    assert drawn([*behind, idle], TEXTS, copies=3) == drawn(behind, TEXTS, copies=3)


@WITH_RATE
@pytest.mark.parametrize("rate", [None, "0.5", -0.1, 1.1, float("nan")])
def test_a_rate_that_is_no_share_is_one_line(name, rate):
    with pytest.raises(StillhouseError) as error:
        AUGMENTERS[name](**{**NEEDED.get(name, {}), "rate": rate})
    assert str(error.value) == f"{name}: rate must be between 0 and 1, got {rate}"


@WITH_RATE
def test_rate_1_changes_something(name):
    assert drafted(TEXTS, [make(name, rate=1.0)], copies=2).changed().any()


@EVERY
def test_most_rows_change_or_some_are_dropped(name):
    data = data_of(name)
    made = drawn(steps_of(name), data, copies=20)
    everything = len(data) * 20
    if name in GATES:
        assert 0 < len(made) < len(drawn(steps_of(name)[:-1], data, copies=20))
    else:
        assert len(made) > everything * 0.4


@EVERY
def test_the_same_seed_gives_the_same_rows_and_another_gives_others(name):
    steps, data = steps_of(name), data_of(name)
    once = drawn(steps, data, copies=5, seed=3)
    assert drawn(steps, data, copies=5, seed=3) == once
    assert drawn(steps, data, copies=5, seed=4) != once
    assert drawn(steps, data, copies=5, seed=-3) != once


@OF_TEXTS
def test_a_preview_is_the_texts_as_they_are_drawn_up(name):
    steps, copies = steps_of(name), 5
    shown = np.array(preview(TEXTS, steps, copies, seed=3)).reshape(len(TEXTS), copies)
    rows = drawn(steps, TEXTS, copies, seed=3)
    assert [shown[row["source"], row["copy"] - 1] for row in rows] == [row["text"] for row in rows]
    assert preview(TEXTS, steps, copies, seed=3) == shown.ravel().tolist()
    assert preview(TEXTS, steps, copies, seed=4) != shown.ravel().tolist()


@EVERY
def test_copies_of_a_row_differ_from_one_another(name):
    rows = drawn(steps_of(name), data_of(name), copies=20)
    assert len({made for made, row in zip(inputs_of(rows), rows, strict=True) if row["source"] == 4}) > 5


@EVERY
def test_more_copies_leave_the_first_ones_as_they_were(name):
    steps, data = steps_of(name), data_of(name)
    few, many = (drawn(steps, data, copies) for copies in (3, 7))
    assert [row for row in many if row["copy"] <= 3] == few
    assert len(many) > len(few)


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


@EVERY
@pytest.mark.parametrize("size", [1, 4, 7])
def test_where_blocks_are_cut_does_not_matter(name, size):
    steps = steps_of(name)
    data = TABLE if name in FEATURE_NAMES else [*TEXTS, *AWKWARD]
    assert drawn(steps, data, 3, block_rows=size) == drawn(steps, data, 3)


@pytest.mark.parametrize("size", [1, 4, 7])
@pytest.mark.parametrize("names", [["mask", "ngram"], ["mlm", "vectors"], ["mask", "pos", "ngram", "similar"]])
def test_where_blocks_are_cut_does_not_matter_to_several_augmenters(names, size):
    steps, texts = [make(name, **({"rate": 0.3} if name in HAS_RATE else {})) for name in names], [*TEXTS, *AWKWARD]
    assert drawn(steps, texts, 3, block_rows=size) == drawn(steps, texts, 3)


@OF_TEXTS
def test_awkward_texts_are_what_their_edits_say(name):
    assert_replayed([*AWKWARD, *TEXTS], steps_of(name), copies=6)


@OF_TEXTS
@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_an_awkward_text_alone_is_what_its_edits_say(name, text):
    assert_replayed([text], steps_of(name), copies=4)


@OF_FEATURES
@pytest.mark.parametrize("table", AWKWARD_TABLES, ids=range(len(AWKWARD_TABLES)))
def test_a_table_is_what_its_edits_say(name, table):
    assert_accounted(table, steps_of(name), copies=6)


@OF_FEATURES
def test_a_table_through_all_augmenters_is_what_its_edits_say(name):
    steps = [busy(each) for each in (name, *FEATURE_NAMES)]
    assert len(assert_accounted(table_of(80), steps, copies=5)) > 200


def all_of_texts(rate):
    """Every augmenter of texts one after the other, the gates last."""
    rules = [make(name, rate=rate) for name in TEXT_NAMES if name in HAS_RATE]
    return [*rules, *(make(name) for name in GATES)]


def test_awkward_texts_through_all_augmenters_are_what_their_edits_say():
    steps = [make("mask", rate=0.3), make("pos", rate=0.3), make("ngram", rate=0.4)]
    draft = assert_replayed([*AWKWARD, *TEXTS], steps, copies=20)
    assert draft.changed().any()
    draft = assert_replayed([*AWKWARD, *TEXTS], all_of_texts(0.2), copies=10)
    assert (
        len(
            {
                each.rule
                for each in (*draft.edits, *draft.windows)
                if len(each.rows if hasattr(each, "rows") else each.places)
            }
        )
        > 4
    )


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.integers(0, 1000), st.floats(0, 0.5))
@settings(deadline=None, max_examples=150)
def test_any_text_is_what_its_edits_say(texts, seed, rate):
    steps = [make("mask", rate=rate), make("pos", rate=rate), make("ngram", rate=0.5)]
    assert_replayed(texts, steps, copies=3, seed=seed)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=8), st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_any_text_through_all_augmenters_is_what_its_edits_say(texts, seed):
    assert_replayed(texts, all_of_texts(0.25), copies=3, seed=seed)


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


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), min_size=1, max_size=8), st.integers(0, 9))
@settings(deadline=None, max_examples=15)
def test_texts_of_difficult_pieces_through_all_augmenters_are_what_their_edits_say(texts, seed):
    assert_replayed(texts, all_of_texts(0.25), copies=3, seed=seed)


@OF_TEXTS
def test_edits_are_recorded_in_order_under_the_name_of_the_augmenter(name):
    draft = drafted(TEXTS, steps_of(name), copies=10)
    for done in rendered(draft)[1].to_pylist():
        assert {edit["rule"] for edit in done} <= {"mask" if name in GATES else name}
        positions = [edit["position"] for edit in done]
        assert positions == sorted(positions)
        assert len(set(positions)) == len(positions)


PROTECTED = ["film", "FUNNY story", "great and", "/[0-9w]+7/", ":stop-words:", "[MASK]", "这", "שלום"]


@OF_TEXTS
def test_protected_words_are_never_touched(name):
    texts = [*TEXTS, *AWKWARD]
    rate = {"rate": 0.9} if name in HAS_RATE else {}
    steps = [*([make("mask", rate=0.9)] if name in GATES else []), make(name, **rate)]
    whole = placeholders(Recipe("test", tuple(steps)).mask_token)
    kept = [protected_words(split_words(pa.array([text]), whole), PROTECTED) for text in texts]
    assert all(flags.any() for flags in kept[: len(TEXTS)])
    made = drawn(steps, texts, copies=10, protect=PROTECTED)
    assert len(made) > len(TEXTS)
    for row in made:
        flags = kept[row["source"]]
        # Words of the text may have become others: a sign in front of one may give way to something that joins it.
        assert row["text"] == replay(texts[row["source"]], row["edits"], whole)
        for edit in row["edits"]:
            inside = flags[edit["position"] : edit["position"] + edit["words"]].sum()
            assert inside == (0 if edit["new"] is not None else flags.sum())


def behind_a_rule(name, step):
    """The steps of a recipe in which ``step`` stands for the busy augmenter."""
    return [*steps_of(name)[:-1], step]


@EVERY
@pytest.mark.parametrize("group", [InSequence, OneOf])
def test_with_probability_0_an_augmenter_changes_nothing(name, group):
    data, never = data_of(name), group((busy(name),), probability=0.0)
    assert drawn(behind_a_rule(name, never), data, copies=5) == drawn(steps_of(name)[:-1], data, copies=5)


@EVERY
@pytest.mark.parametrize("group", [InSequence, OneOf, lambda steps: InSequence((OneOf(steps),))])
def test_with_probability_1_an_augmenter_is_as_it_is_bare(name, group):
    data, always = data_of(name), group((busy(name),))
    assert drawn(behind_a_rule(name, always), data, copies=5) == drawn(steps_of(name), data, copies=5)


@EVERY
@pytest.mark.parametrize("group", [InSequence, OneOf])
def test_with_a_probability_between_rows_are_as_with_the_bare_augmenter_or_without_it(name, group):
    data, often = data_of(name), group((busy(name),), probability=0.5)

    def by_place(steps):
        return {(row["source"], row["copy"]): row for row in drawn(steps, data, copies=30)}

    made, bare, without = map(by_place, (behind_a_rule(name, often), steps_of(name), steps_of(name)[:-1]))
    places = sorted({*made, *bare, *without})
    assert all(made.get(place) in (bare.get(place), without.get(place)) for place in places)
    edited = [made.get(place) == bare[place] for place in places if place in bare and bare[place] != without.get(place)]
    dropped = [place not in made for place in places if place not in bare]
    assert 0.35 < np.mean(edited + dropped) < 0.65


@OF_TEXTS
def test_the_texts_given_are_not_changed(name):
    texts = pa.array([*TEXTS, *AWKWARD])
    kept = [None if buffer is None else buffer.to_pybytes() for buffer in texts.buffers()]
    preview(texts, steps_of(name), copies=3)
    assert [None if buffer is None else buffer.to_pybytes() for buffer in texts.buffers()] == kept


@OF_FEATURES
def test_the_table_given_is_not_changed(name):
    table = table_of(30)

    def contents():
        chunks = [chunk for column in table.columns for chunk in column.chunks]
        return [None if each is None else each.to_pybytes() for chunk in chunks for each in chunk.buffers()]

    before = contents()
    augment(table, steps_of(name), copies=3)
    assert contents() == before


@OF_TEXTS
def test_a_slice_of_an_array_gives_what_its_texts_give(name):
    sliced = pa.array(["before", *TEXTS, "after"])[1:-1]
    assert preview(sliced, steps_of(name), copies=2) == preview(TEXTS, steps_of(name), copies=2)


@OF_FEATURES
def test_a_slice_of_a_table_gives_what_its_rows_give(name):
    sliced = pa.concat_tables([table_of(5, seed=1), TABLE, table_of(5, seed=2)]).combine_chunks()[5:-5]
    assert drawn(steps_of(name), sliced, copies=2) == drawn(steps_of(name), TABLE, copies=2)


@OF_TEXTS
def test_no_texts_give_no_texts(name):
    assert preview([], steps_of(name), copies=3) == []
    assert len(augment([], steps_of(name), copies=3)) == 0


@OF_TEXTS
def test_no_copies_give_the_originals_and_learn_nothing(name):
    assert augment(TEXTS, steps_of(name), copies=0)["text"].to_pylist() == TEXTS


@OF_FEATURES
def test_no_rows_give_no_rows_or_one_line(name):
    try:
        made = augment(TABLE[:0], steps_of(name), copies=3).to_pylist()
    except StillhouseError as error:
        made = str(error).splitlines()
    assert made == [] or (len(made) == 1 and made[0].startswith(f"{name}: "))


def generator_states():
    import torch

    _, words, *rest = np.random.get_state()  # noqa: NPY002 - what is tested
    return random.getstate(), words.tolist(), rest, torch.get_rng_state().tolist()


@EVERY
def test_the_global_generators_are_left_alone(name):
    before = generator_states()
    augment(TABLE if name in FEATURE_NAMES else [*TEXTS, *AWKWARD], steps_of(name), copies=3)
    assert generator_states() == before


@EVERY
def test_the_global_generators_do_not_matter(name):
    import torch

    state, numpy_state, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        made = []
        for seed in (1, 2):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.manual_seed(seed)
            made.append(drawn(steps_of(name), data_of(name), copies=3))
        assert made[0] == made[1]
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(torch_state)


@pytest.fixture
def small_parts(monkeypatch):
    """Blocks of a few rows, so that a small file has many."""
    monkeypatch.setattr(_ingest, "PART_ROWS", 60)


def written(data, folder, steps, **options):
    """The rows of the transfer set of a file that holds the data."""
    table = data if isinstance(data, pa.Table) else pa.table({"text": data})
    path = folder / "rows.parquet"
    pq.write_table(table, path)
    task = Task("features" if isinstance(data, pa.Table) else "text", tuple(table.column_names))
    store = augment_file(Source(path), task, folder / "out", steps, **options)
    assert len(store.parts()) > 2
    return pa.concat_tables(store.tables())


@EVERY
def test_a_file_gives_what_memory_gives(name, tmp_path, small_parts):
    data = TABLE if name in FEATURE_NAMES else [*TEXTS, *AWKWARD]
    memory = augment(data, steps_of(name), copies=4, seed=1)
    file = written(data, tmp_path, steps_of(name), copies=4, seed=1)
    assert file.select(memory.column_names).to_pylist() == memory.to_pylist()


@pytest.mark.parametrize("kind", ["texts", "features"])
def test_two_workers_write_what_one_does(kind, tmp_path, small_parts):
    data = TABLE if kind == "features" else [*TEXTS, *AWKWARD]
    steps = [busy(name) for name in FEATURE_NAMES] if kind == "features" else all_of_texts(0.2)
    made = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        made.append(written(data, folder, steps, copies=4, seed=1, workers=workers))
    assert made[1].equals(made[0])
    files = [sorted((each.name, each.read_bytes()) for each in tmp_path.glob(f"{n}/out/part-*")) for n in (1, 2)]
    assert files[0] == files[1]
