"""The engine: parts that do not depend on workers or restarts, no duplicates, and nothing lost or half done."""

import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, one_line_error, preview, stillhouse
from hypothesis import given, settings
from hypothesis import strategies as st
from test_augmenters import AWKWARD, by_length, replay

from augment import (
    PAIRS,
    InSequence,
    Mask,
    Munge,
    Ngram,
    OneOf,
    Pos,
    Random,
    Recipe,
    Similar,
    augment_file,
    load_recipe,
)
from augment import _ingest as ingest_module
from augment import engine as engine_module
from augment._choose import choose_new
from transferset import KeySet, Source, StillhouseError, Task, TransferSet, content_keys, keys_from_arrow
from transferset.files import directory_lock

TEXT = Task("text", ("text",), "label")
STEPS = [Mask(rate=0.1), Pos(rate=0.1, tagger="classes"), Pos(rate=0.2, tagger=by_length), Ngram()]
#: Needs no tags, for tests that are not about them.
PLAIN = [Mask(rate=0.2), Ngram()]


def set_of(source, out, steps=PLAIN, task=TEXT, **options):
    source = source if isinstance(source, Source) else Source(source)
    return augment_file(source, task, out, steps, **{"copies": 5, **options})


def rows_of(store):
    return pa.concat_tables(store.tables()).to_pylist()


def parts_in(out):
    """The name and the bytes of every part file."""
    return {file.name: file.read_bytes() for file in sorted(out.glob("part-*.parquet"))}


def records_in(out):
    return {file.name: file.read_bytes() for file in sorted((out / "_manifest").glob("*.json"))}


def files_in(out):
    """Everything there is, with bytes and times of change."""
    files = (file for file in sorted(out.rglob("*")) if file.is_file())
    return {str(file.relative_to(out)): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


@pytest.fixture
def small_parts(monkeypatch):
    """Parts of a few hundred rows, so that a small file has many."""
    monkeypatch.setattr(ingest_module, "PART_ROWS", 200)


def unlabelled(path, texts):
    pq.write_table(pa.table({"text": texts}), path)
    return Source(path)


# What is in a set.


def test_originals_are_there_once_in_order_and_unchanged(labelled_file, tmp_path, small_parts):
    rows = rows_of(set_of(labelled_file, tmp_path / "out"))
    originals = [row for row in rows if row["copy"] == 0]
    lines = labelled_file.read_text().splitlines()[1:]
    assert [f"{row['text']},{row['label']}" for row in originals] == lines
    assert [row["source"] for row in originals] == list(range(len(lines)))
    assert all(row["edits"] == [] for row in originals)


def test_columns_and_their_types_are_the_documented_ones(labelled_file, tmp_path):
    (table,) = set_of(labelled_file, tmp_path / "out").tables()
    assert table.column_names == ["text", "label", "source", "copy", "key", "edits"]
    types = {field.name: field.type for field in table.schema}
    assert (types["text"], types["label"]) == (pa.string(), pa.string())
    assert (types["source"], types["copy"], types["key"]) == (pa.int64(), pa.int32(), pa.binary(16))
    assert types["edits"].value_type == pa.struct(
        [
            ("rule", pa.string()),
            ("input", pa.int16()),
            ("position", pa.int32()),
            ("words", pa.int32()),
            ("old", pa.string()),
            ("new", pa.string()),
        ]
    )


def test_rows_stand_in_order_of_source_and_copy(labelled_file, tmp_path, small_parts):
    places = [(row["source"], row["copy"]) for row in rows_of(set_of(labelled_file, tmp_path / "out"))]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert max(copy for _, copy in places) == 5


def test_copies_have_no_label(labelled_file, tmp_path):
    rows = rows_of(set_of(labelled_file, tmp_path / "out"))
    assert {row["label"] for row in rows if row["copy"] > 0} == {None}
    assert {row["label"] for row in rows if row["copy"] == 0} == {"neg", "pos"}


def test_keep_labels_gives_copies_the_label_of_their_source(labelled_file, tmp_path):
    rows = rows_of(set_of(labelled_file, tmp_path / "out", keep_labels=True))
    gold = {row["source"]: row["label"] for row in rows if row["copy"] == 0}
    assert any(row["copy"] > 0 for row in rows)
    assert all(row["label"] == gold[row["source"]] for row in rows)


def test_keep_labels_keeps_lists_of_labels(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("text,label\na fine film of war,drama|war\na film,\nwar is dull and long,war\n")
    task = Task("text", ("text",), "label", "multilabel")
    kept = rows_of(set_of(path, tmp_path / "kept", task=task, keep_labels=True))
    assert {(row["source"], tuple(row["label"])) for row in kept} == {(0, ("drama", "war")), (1, ()), (2, ("war",))}
    dropped = rows_of(set_of(path, tmp_path / "dropped", task=task))
    assert all((row["label"] is None) == (row["copy"] > 0) for row in dropped)


def test_keep_labels_is_refused_where_the_label_is_a_score(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("text,label\na fine film,1.5\n")
    task = Task("text", ("text",), "label", "regression")
    with pytest.raises(StillhouseError, match=r"^keep-labels: must not be used with regression"):
        set_of(path, tmp_path / "out", task=task, keep_labels=True)
    assert not (tmp_path / "out").exists()


def test_a_source_without_labels_makes_a_set_without_labels(tmp_path):
    store = set_of(
        unlabelled(tmp_path / "films.parquet", ["a fine film", "dull"]), tmp_path / "out", task=Task("text", ("text",))
    )
    (table,) = store.tables()
    assert table.column_names == ["text", "source", "copy", "key", "edits"]
    assert len(table) > 2


def test_rows_without_a_label_stay_without(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("text,label\nfine film,pos\nno label here,\ndull film,neg\n")
    rows = rows_of(set_of(path, tmp_path / "out", keep_labels=True))
    assert {row["label"] for row in rows if row["source"] == 1} == {None}


def test_keys_are_those_of_the_texts(labelled_file, tmp_path, small_parts):
    store = set_of(labelled_file, tmp_path / "out")
    for table in store.tables():
        assert (content_keys(TEXT, table) == keys_from_arrow(table["key"])).all()
    assert TransferSet.open(tmp_path / "out").verify() == []


def test_no_copy_equals_an_original_or_another_copy(tmp_path, small_parts):
    # Short texts and repeated rows: most copies are equal to something.
    texts = ["good film", "film", "[MASK]", "good film", "dull film", "good [MASK]", "", "a b c d"] * 40
    store = set_of(
        unlabelled(tmp_path / "films.parquet", texts), tmp_path / "out", task=Task("text", ("text",)), copies=20
    )
    assert len(store.parts()) > 5
    rows = rows_of(store)
    originals = [row for row in rows if row["copy"] == 0]
    copies = [row["text"] for row in rows if row["copy"] > 0]
    assert [row["text"] for row in originals] == texts
    assert copies
    assert not set(copies) & set(texts)
    assert len(set(copies)) == len(copies)
    assert len({row["key"] for row in rows}) == len({row["text"] for row in rows})


def test_the_first_of_equal_copies_is_the_one_that_stays(tmp_path):
    texts = ["good film", "dull film", "good film"]
    store = set_of(
        unlabelled(tmp_path / "films.parquet", texts), tmp_path / "out", task=Task("text", ("text",)), copies=9
    )
    drawn = preview(texts, PLAIN, copies=9)
    expected, seen = [], set(texts)
    for place, text in enumerate(drawn):
        if text not in seen:
            seen.add(text)
            expected.append((place // 9, place % 9 + 1, text))
    assert [(row["source"], row["copy"], row["text"]) for row in rows_of(store) if row["copy"] > 0] == expected


def test_the_counts_of_each_part_add_up(labelled_file, tmp_path, small_parts):
    store = set_of(labelled_file, tmp_path / "out")
    rows = rows_of(store)
    notes = [part.notes for part in store.parts()]
    total = {name: sum(each[name] for each in notes) for name in ("originals", "augmented", "unchanged", "duplicates")}
    assert total["originals"] == 200
    assert total["augmented"] == sum(row["copy"] > 0 for row in rows)
    assert total["augmented"] + total["unchanged"] + total["duplicates"] == 200 * 5
    for rule in ("mask", "ngram"):
        recorded = sum(each["edits"].get(rule, 0) for each in notes)
        assert recorded == sum(edit["rule"] == rule for row in rows for edit in row["edits"])
    assert [part.rows for part in store.parts()] == [len(table) for table in store.tables()]


def test_rates_of_0_add_nothing(labelled_file, tmp_path):
    steps = [Mask(rate=0.0), Pos(rate=0.0, tagger=by_length), Ngram(rate=0.0)]
    rows = rows_of(set_of(labelled_file, tmp_path / "out", steps))
    assert len(rows) == 200
    assert all(row["copy"] == 0 for row in rows)


def test_no_copies_make_a_set_of_originals(labelled_file, tmp_path):
    assert set_of(labelled_file, tmp_path / "out", copies=0).rows() == 200


# Bytes.


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_awkward_texts_keep_every_byte_and_are_what_their_edits_say(tmp_path, ending):
    path = tmp_path / f"films.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({"text": AWKWARD}), path)
    else:
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in AWKWARD))
    steps = [Mask(rate=0.2), Pos(rate=0.2, tagger=by_length), Ngram()]
    rows = rows_of(set_of(path, tmp_path / "out", steps, task=Task("text", ("text",)), copies=12))
    assert [row["text"] for row in rows if row["copy"] == 0] == AWKWARD
    assert sum(row["copy"] > 0 for row in rows) > 50
    for row in rows:
        assert bool(row["edits"]) == (row["copy"] > 0)
        assert replay(AWKWARD[row["source"]], row["edits"], ("[MASK]",)) == row["text"]


def test_every_row_made_from_sst2_is_what_its_edits_say(shared, tmp_path):
    path = tmp_path / "sst2.tsv"
    lines = (shared / "data" / "sst2" / "train.tsv").read_text().splitlines()
    path.write_text("\n".join(lines[:401]) + "\n")
    recipe = load_recipe("tang2019")
    steps = [dataclasses.replace(step, tagger="classes") if isinstance(step, Pos) else step for step in recipe.steps]
    rows = rows_of(set_of(path, tmp_path / "out", steps, task=Task("text", ("sentence",), "label"), copies=8))
    texts = {row["source"]: row["sentence"] for row in rows if row["copy"] == 0}
    rules = set()
    for row in rows:
        assert replay(texts[row["source"]], row["edits"], ("[MASK]",)) == row["sentence"]
        rules.update(edit["rule"] for edit in row["edits"])
    assert rules == {"mask", "pos", "ngram"}


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.integers(0, 99))
@settings(deadline=None, max_examples=15)
def test_any_texts_make_a_set_that_is_what_its_edits_say(tmp_path_factory, texts, seed):
    folder = tmp_path_factory.mktemp("any")
    steps = [Mask(rate=0.3), Pos(rate=0.3, tagger=by_length), Ngram()]
    source = unlabelled(folder / "films.parquet", texts)
    rows = rows_of(set_of(source, folder / "out", steps, task=Task("text", ("text",)), copies=3, seed=seed))
    assert [row["text"] for row in rows if row["copy"] == 0] == texts
    for row in rows:
        assert replay(texts[row["source"]], row["edits"], ("[MASK]",)) == row["text"]


# Seeds.


def test_a_set_has_the_texts_of_its_preview(tmp_path):
    texts = [f"row {i} has words of its own" for i in range(30)]
    store = set_of(
        unlabelled(tmp_path / "films.parquet", texts), tmp_path / "out", task=Task("text", ("text",)), seed=5
    )
    drawn = preview(texts, PLAIN, copies=5, seed=5)
    for row in rows_of(store):
        if row["copy"]:
            assert row["text"] == drawn[row["source"] * 5 + row["copy"] - 1]


def test_the_same_seed_makes_the_same_bytes_and_another_makes_others(labelled_file, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        set_of(labelled_file, tmp_path / name, STEPS, seed=seed)
    assert parts_in(tmp_path / "a") == parts_in(tmp_path / "b")
    assert parts_in(tmp_path / "a") != parts_in(tmp_path / "c")


def test_the_global_generators_are_left_alone(labelled_file, tmp_path):
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002 - what is tested
    set_of(labelled_file, tmp_path / "out", STEPS)
    after = np.random.get_state()  # noqa: NPY002
    assert random.getstate() == before
    assert (after[1] == numpy_before[1]).all()
    assert after[2:] == numpy_before[2:]


def test_rows_added_at_the_end_leave_the_copies_of_the_others_as_they_were(tmp_path):
    texts = [f"row {i} has words of its own" for i in range(60)]
    task = Task("text", ("text",))
    whole = rows_of(set_of(unlabelled(tmp_path / "whole.parquet", texts), tmp_path / "whole", task=task))
    part = rows_of(set_of(unlabelled(tmp_path / "part.parquet", texts[:40]), tmp_path / "part", task=task))
    assert [row for row in whole if row["source"] < 40] == part


def test_more_copies_leave_the_first_ones_as_they_were(tmp_path):
    # No two rows share a word but "[MASK]", so no copy of one can take the place of another's.
    texts = [" ".join(f"w{i}x{j}" for j in range(8)) for i in range(40)]
    source, task = unlabelled(tmp_path / "films.parquet", texts), Task("text", ("text",))
    few = rows_of(set_of(source, tmp_path / "few", [Mask(rate=0.3), Ngram(rate=0.2)], task, copies=3))
    many = rows_of(set_of(source, tmp_path / "many", [Mask(rate=0.3), Ngram(rate=0.2)], task, copies=9))
    assert [row for row in many if row["copy"] <= 3] == few


@pytest.mark.parametrize("part_rows", [50, 333, 65_536])
def test_rows_do_not_depend_on_where_parts_are_cut(labelled_file, tmp_path, monkeypatch, part_rows):
    expected = rows_of(set_of(labelled_file, tmp_path / "one", STEPS))
    monkeypatch.setattr(ingest_module, "PART_ROWS", part_rows)
    assert rows_of(set_of(labelled_file, tmp_path / "many", STEPS)) == expected


# Other kinds of task.


@pytest.mark.parametrize(
    ("file", "label", "rows", "classes"),
    [("adult/adult.csv", "income-per-year", 32_561, 2), ("letter/letter.tsv", "letter", 20_000, 26)],
)
def test_features_make_a_set_of_originals(shared, tmp_path, file, label, rows, classes):
    source = Source(shared / "data" / file)
    inputs = tuple(name for name in source.columns() if name != label)
    store = augment_file(source, Task("features", inputs, label), tmp_path / "out", copies=0)
    assert store.rows() == rows
    assert len(TransferSet.open(tmp_path / "out").task.classes) == classes
    table = pa.concat_tables(store.tables())
    assert table.column_names == [*inputs, label, "source", "copy", "key", "edits"]
    assert table["source"].to_pylist() == list(range(rows))
    assert TransferSet.open(tmp_path / "out").verify() == []
    if label == "letter":
        assert {str(table.schema.field(name).type) for name in inputs} == {"int64"}
    else:
        assert str(table.schema.field("age").type) == "int64"
        assert table["workclass"].null_count > 0
        assert "?" not in table["workclass"].to_pylist()


def mrpc(shared):
    return Source(shared / "data" / "mrpc" / "train.tsv"), Task("pair", ("#1 String", "#2 String"), "Quality")


def test_pairs_make_a_set_of_originals(shared, tmp_path):
    source, task = mrpc(shared)
    store = augment_file(source, task, tmp_path / "out", copies=0)
    assert store.rows() == 4080
    table = pa.concat_tables(store.tables())
    first = source.path.read_text("utf-8-sig").split("\n")[1].rstrip("\r").split("\t")
    assert table.slice(0, 1).to_pylist()[0]["#1 String"] == first[3]
    assert table.slice(0, 1).to_pylist()[0]["#2 String"] == first[4]
    assert TransferSet.open(tmp_path / "out").verify() == []


def test_a_recipe_of_no_copies_takes_pairs(shared, tmp_path):
    source, task = mrpc(shared)
    assert augment_file(source, task, tmp_path / "out", "tang2019", copies=0).rows() == 4080


TWO_COLUMNS = "a,b,label\none,two,x\nthree,four,y\n"


@pytest.mark.parametrize(
    ("kind", "recipe", "wanted"),
    [
        ("features", "tang2019", "texts"),
        ("features", PLAIN, "texts"),
        ("features", [OneOf((Mask(), Ngram()))], "texts"),
        ("pair", "munge", "features"),
        ("pair", [InSequence((Random(),), 0.5)], "features"),
        ("text", "random", "features"),
    ],
)
def test_recipes_for_something_else_are_refused(tmp_path, kind, recipe, wanted):
    path = tmp_path / "films.csv"
    path.write_text(TWO_COLUMNS)
    task = Task(kind, ("a",) if kind == "text" else ("a", "b"), "label")
    with pytest.raises(StillhouseError) as error:
        augment_file(Source(path), task, tmp_path / "out", recipe, copies=2)
    assert str(error.value).endswith(f"must be given {wanted}, got a task of kind '{kind}'")
    assert not (tmp_path / "out").exists()
    # Without copies nothing is edited, and any recipe will do.
    assert augment_file(Source(path), task, tmp_path / "out", recipe, copies=0).rows() == 2


def test_protected_words_are_refused_for_features(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text(TWO_COLUMNS)
    recipe, task = Recipe("rows", (Random(),), protect=("one",)), Task("features", ("a", "b"), "label")
    with pytest.raises(StillhouseError, match=r"^recipe rows: protect is for words, got a task of kind 'features'$"):
        augment_file(Source(path), task, tmp_path / "out", recipe, copies=2)
    assert not (tmp_path / "out").exists()
    assert augment_file(Source(path), task, tmp_path / "out", recipe, copies=0).rows() == 2


@pytest.mark.parametrize(
    ("copies", "message"),
    [
        (2.0, "copies must be a whole number, got 2.0"),
        (True, "copies must be a whole number, got True"),
        ("2", "copies must be a whole number, got '2'"),
        (-1, "copies must be at least 0, got -1"),
    ],
)
def test_copies_that_are_no_number_of_copies_are_refused(labelled_file, tmp_path, copies, message):
    with pytest.raises(StillhouseError) as error:
        set_of(labelled_file, tmp_path / "out", copies=copies)
    assert str(error.value) == message
    assert not (tmp_path / "out").exists()


def test_a_bare_augmenter_is_a_recipe(labelled_file, tmp_path):
    bare = set_of(labelled_file, tmp_path / "bare", Mask(rate=0.2))
    listed = set_of(labelled_file, tmp_path / "listed", [Mask(rate=0.2)])
    assert rows_of(bare) == rows_of(listed)
    assert bare.about == listed.about


@pytest.mark.parametrize(
    ("options", "recipe"),
    [
        (["--text", "a"], "munge"),
        (["--text", "a", "--text-pair", "b"], "random"),
        (["--features", "a,b"], "tang2019"),
    ],
)
def test_the_command_refuses_a_recipe_for_something_else_in_one_line(tmp_path, options, recipe):
    path = tmp_path / "films.csv"
    path.write_text(TWO_COLUMNS)
    done = stillhouse("augment", path, *options, "--label", "label", "--recipe", recipe, "--out", tmp_path / "out")
    assert f"recipe {recipe}: must be given" in one_line_error(done)
    assert not (tmp_path / "out").exists()


# Pairs.

PAIR = Task("pair", ("first", "second"), "label")


def pair_file(path, pairs, labels=("x", "y")):
    first, second = zip(*pairs, strict=True)
    label = [labels[number % len(labels)] for number in range(len(pairs))]
    pq.write_table(pa.table({"second": second, "label": label, "first": first}), path)
    return Source(path)


@pytest.fixture(scope="module")
def pairs_of_films(labelled_file, tmp_path_factory):
    texts = [line.rpartition(",")[0] for line in labelled_file.read_text().splitlines()[1:]]
    return pair_file(tmp_path_factory.mktemp("pairs") / "films.parquet", list(zip(texts, texts[::-1], strict=True)))


@pytest.mark.parametrize("mode", PAIRS)
def test_pairs_of_a_set_are_what_their_edits_say(tmp_path, mode):
    pairs = list(zip(AWKWARD[:-1], AWKWARD[4:-1] + AWKWARD[:4], strict=True))
    recipe = Recipe("test", (Mask(rate=0.2), Pos(rate=0.2, tagger=by_length), Ngram()), pairs=mode)
    rows = rows_of(set_of(pair_file(tmp_path / "films.parquet", pairs), tmp_path / "out", recipe, PAIR, copies=9))
    assert [(row["first"], row["second"]) for row in rows if row["copy"] == 0] == pairs
    assert sum(row["copy"] > 0 for row in rows) > 30
    edited = set()
    for row in rows:
        for side, name in enumerate(PAIR.inputs):
            done = [edit for edit in row["edits"] if edit["input"] == side]
            assert replay(pairs[row["source"]][side], done, ("[MASK]",)) == row[name]
            # A text without edits is the original to the byte.
            assert done or row[name].encode() == pairs[row["source"]][side].encode()
        edited.add(tuple(sorted({edit["input"] for edit in row["edits"]})))
    sides = {"first": {(0,)}, "second": {(1,)}, "alternate": {(0,), (1,)}, "both": {(0,), (1,), (0, 1)}}
    assert edited - {()} == sides.get(mode, {(0,), (1,), (0, 1)})


def test_columns_of_pairs_are_the_documented_ones(pairs_of_films, tmp_path):
    (table,) = set_of(pairs_of_films, tmp_path / "out", task=PAIR).tables()
    assert table.column_names == ["first", "second", "label", "source", "copy", "key", "edits"]
    assert (content_keys(PAIR, table) == keys_from_arrow(table["key"])).all()
    assert {row["label"] for row in table.to_pylist() if row["copy"]} == {None}
    assert TransferSet.open(tmp_path / "out").verify() == []


def test_no_pair_is_there_twice_though_texts_are(tmp_path, small_parts):
    pairs = [("good film", "fine"), ("good film", "dull"), ("film", "fine"), ("good film", "fine")] * 20
    store = set_of(pair_file(tmp_path / "films.parquet", pairs), tmp_path / "out", task=PAIR, copies=20)
    assert len(store.parts()) > 3
    rows = rows_of(store)
    copies = [(row["first"], row["second"]) for row in rows if row["copy"]]
    assert len(set(copies)) == len(copies)
    assert not set(copies) & set(pairs)
    assert len({row["key"] for row in rows}) == len(set(copies) | set(pairs))
    # Copies that share one text stay.
    assert len({first for first, _ in copies}) < len(copies) > len({second for _, second in copies})


def test_parts_of_pairs_are_the_same_bytes_for_any_number_of_workers(pairs_of_films, tmp_path, small_parts):
    recipe = Recipe("test", (OneOf((Mask(rate=0.2), Pos(rate=0.3, tagger="classes"))), Ngram()), pairs="draw")
    for workers in (1, 2):
        set_of(pairs_of_films, tmp_path / str(workers), recipe, PAIR, workers=workers, exact=True)
    assert len(parts_in(tmp_path / "1")) > 5
    assert parts_in(tmp_path / "2") == parts_in(tmp_path / "1")
    assert records_in(tmp_path / "2") == records_in(tmp_path / "1")


def test_pairs_get_the_pair_copies_of_a_recipe(pairs_of_films, labelled_file, tmp_path):
    recipe = load_recipe("tang2019").adjusted({"pos": {"tagger": by_length}})
    for source, task, copies in ((pairs_of_films, PAIR, 10), (Source(labelled_file), TEXT, 20)):
        store = augment_file(source, task, tmp_path / task.kind, recipe)
        assert store.about["copies"] == copies
        assert max(row["copy"] for row in rows_of(store)) == copies


def test_the_pairs_of_mrpc_are_augmented(shared, tmp_path):
    source, task = mrpc(shared)
    store = augment_file(source, task, tmp_path / "out", "tang2019", copies=2)
    table = pa.concat_tables(store.tables())
    first, second = (table[name].to_pylist() for name in task.inputs)
    source_row, copy = (table[name].to_numpy() for name in ("source", "copy"))
    place = np.flatnonzero(copy == 0)
    assert len(place) == 4080
    # Copy 1 edits the first text and copy 2 the second, so nearly all differ from the original in that one alone.
    for number, edited, kept in ((1, first, second), (2, second, first)):
        rows = np.flatnonzero(copy == number)
        assert len(rows) > 4000
        for row in rows:
            original = place[source_row[row]]
            assert kept[row] == kept[original]
            assert edited[row] != edited[original]
    whole = rule = 0
    for row, edits in enumerate(table["edits"].to_pylist()[:600]):
        for side, texts in enumerate((first, second)):
            done = [edit for edit in edits if edit["input"] == side]
            assert replay(texts[place[source_row[row]]], done, ("[MASK]",)) == texts[row]
        whole += bool(copy[row])
        rule += any(edit["rule"] == "ngram" for edit in edits)
    assert 0.18 < rule / whole < 0.32
    assert TransferSet.open(tmp_path / "out").verify() == []


# Features.

FEATURES = Task("features", ("height", "age", "town"), "label")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    draws = np.random.default_rng(0)
    lines = ["town,age,label,height"]
    for _ in range(90):
        town, age = draws.choice(["Ulm", "Köln", "?"]), draws.choice([*range(20, 60), ""])
        lines.append(f"{town},{age},{draws.choice(['x', 'y'])},{draws.normal(170, 9):.2f}")
    path = tmp_path_factory.mktemp("people") / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return Source(path)


def cell(value):
    return None if value is None else str(value)


@pytest.mark.parametrize("recipe", ["munge", "random", [OneOf((Munge(), Random()), (1.0, 2.0), 0.7), Munge(p=0.1)]])
def test_features_of_a_set_are_what_their_edits_say(people, tmp_path, small_parts, recipe):
    store = set_of(people, tmp_path / "out", recipe, FEATURES)
    rows = rows_of(store)
    assert len(store.parts()) > 2
    assert len(rows) > 3 * 90
    originals = [row for row in rows if row["copy"] == 0]
    assert [row["source"] for row in originals] == list(range(90))
    assert {row["town"] for row in originals} == {"Ulm", "Köln", None}
    for row in rows:
        assert bool(row["edits"]) == (row["copy"] > 0)
        done = {edit["input"]: edit for edit in row["edits"]}
        assert len(done) == len(row["edits"])
        for number, name in enumerate(FEATURES.inputs):
            old = originals[row["source"]][name]
            if number not in done:
                assert row[name] == old
                continue
            edit = done[number]
            assert (edit["position"], edit["words"]) == (None, None)
            assert row[name] != old
            if name == "height":
                assert (float(edit["old"]), float(edit["new"])) == (old, row[name])
            else:
                assert (edit["old"], edit["new"]) == (cell(old), cell(row[name]))
    values = [tuple(row[name] for name in FEATURES.inputs) for row in rows if row["copy"]]
    assert len(set(values)) == len(values)
    assert TransferSet.open(tmp_path / "out").verify() == []
    assert {field.name: field.type for field in store.tables().__next__().schema}["age"] == pa.int64()


@pytest.mark.parametrize("exact", [False, True])
def test_parts_of_features_are_the_same_bytes_for_any_number_of_workers(people, tmp_path, small_parts, exact):
    for workers in (1, 2):
        set_of(people, tmp_path / str(workers), "munge", FEATURES, workers=workers, exact=exact)
    assert len(parts_in(tmp_path / "1")) > 2
    assert parts_in(tmp_path / "2") == parts_in(tmp_path / "1")
    assert records_in(tmp_path / "2") == records_in(tmp_path / "1")


def test_features_are_munged_10_times_where_nothing_is_said(people, tmp_path):
    store = augment_file(people, FEATURES, tmp_path / "out")
    assert (store.about["recipe"]["name"], store.about["copies"]) == ("munge", 10)
    rows = rows_of(store)
    assert max(row["copy"] for row in rows) == 10
    assert {row["label"] for row in rows if row["copy"]} == {None}


# Exact counts.


def rich_texts(count=60, words=8):
    return [" ".join(f"w{i}x{j}" for j in range(words)) for i in range(count)]


def test_with_exact_every_row_that_can_gets_all_its_copies(tmp_path, small_parts):
    source, task = unlabelled(tmp_path / "films.parquet", rich_texts()), Task("text", ("text",))
    # Whatever is left of a row has a word of its own in it, so none can take a copy from another.
    steps = [Mask(rate=0.15), Ngram(shortest=5, longest=6)]
    loose, exact, many = (
        rows_of(set_of(source, tmp_path / name, steps, task, **options))
        for name, options in (("loose", {}), ("exact", {"exact": True}), ("many", {"copies": 105}))
    )
    assert len(loose) < 60 * 6
    copies = [[row for row in exact if row["source"] == each and row["copy"]] for each in range(60)]
    assert [len(each) for each in copies] == [5] * 60
    # They are those of a run with more copies: the first five that are new.
    for each, rows in enumerate(copies):
        assert rows == [row for row in many if row["source"] == each and row["copy"]][:5]
    assert [row for row in exact if row["copy"] <= 5] == loose


def test_with_exact_copies_are_numbered_in_order_and_none_equals_another(tmp_path, small_parts):
    # Rows that share most of their words, and each there twice: copies of one are often those of another.
    texts = [f"good film {i}" for i in range(40)] * 2
    source = unlabelled(tmp_path / "films.parquet", texts)
    store = set_of(source, tmp_path / "out", task=Task("text", ("text",)), exact=True)
    rows = rows_of(store)
    places = [(row["source"], row["copy"]) for row in rows]
    assert places == sorted(set(places))
    assert 5 < max(copy for _, copy in places) <= 5 * 21
    copies = [row["text"] for row in rows if row["copy"]]
    assert len(set(copies)) == len(copies)
    assert not set(copies) & set(texts)
    assert np.bincount([source for source, copy in places if copy]).max() == 5
    notes = [part.notes for part in store.parts()]
    assert sum(each["augmented"] for each in notes) == len(copies)
    assert sum(each["unchanged"] + each["duplicates"] for each in notes) > 0


def test_with_exact_each_copy_is_drawn_once_and_no_more_than_are_missing():
    # Row r has something new in every (r + 1)-th copy; row 3 never has.
    drawn = {row: [1, 2, 3] for row in range(4)}

    def found(row, copy):
        new = np.flatnonzero((copy % (row + 1) == 0) & (row < 3))
        keys = np.stack([row[new], copy[new]], 1).astype(np.uint64)
        return keys, row[new]

    def more(row, copy):
        assert (np.diff(row) >= 0).all()
        for each, number in zip(row.tolist(), copy.tolist(), strict=True):
            assert number == drawn[each][-1] + 1
            drawn[each].append(number)
        return found(row, copy)

    keep = choose_new(KeySet(), 4, 3, found(np.repeat(np.arange(4), 3), np.tile([1, 2, 3], 4)), more)
    assert keep.all()
    # Three of the first row at once; of the others so many as their third new one takes, asked for by the missing.
    assert drawn[0] == [1, 2, 3]
    assert drawn[1] == [1, 2, 3, 4, 5, 6]
    assert drawn[2][-1] == 9
    assert len(drawn[3]) == 3 * 21


@pytest.mark.parametrize("copies", [1, 4])
def test_with_exact_texts_of_one_word_fall_short_and_end(tmp_path, copies):
    texts = [f"w{i}" for i in range(30)]
    source = unlabelled(tmp_path / "films.parquet", texts)
    rows = rows_of(set_of(source, tmp_path / "out", task=Task("text", ("text",)), copies=copies, exact=True))
    # A masked word is the same for all, and an n-gram of one word is the word.
    assert [row["text"] for row in rows if row["copy"]] == ["[MASK]"]
    assert [row["text"] for row in rows if not row["copy"]] == texts


def test_with_exact_a_recipe_that_changes_nothing_ends(tmp_path, labelled_file):
    assert set_of(labelled_file, tmp_path / "out", [Mask(rate=0.0)], exact=True).rows() == 200
    assert set_of(labelled_file, tmp_path / "none", copies=0, exact=True).rows() == 200


def test_with_exact_pairs_go_on_taking_turns(tmp_path):
    pairs = list(zip(rich_texts(20, 4), rich_texts(20, 3)[::-1], strict=True))
    source = pair_file(tmp_path / "films.parquet", pairs)
    rows = rows_of(set_of(source, tmp_path / "out", Recipe("test", (Mask(rate=0.3),)), PAIR, copies=6, exact=True))
    assert np.bincount([row["source"] for row in rows]).tolist() == [7] * 20
    turns = [(0,), (1,), (0, 1)]
    late = [row for row in rows if row["copy"] > 6]
    assert late
    for row in late:
        assert {edit["input"] for edit in row["edits"]} <= set(turns[(row["copy"] - 1) % 3])


def test_with_exact_features_get_all_their_copies(people, tmp_path):
    rows = rows_of(set_of(people, tmp_path / "out", "random", FEATURES, copies=4, exact=True))
    assert np.bincount([row["source"] for row in rows]).tolist() == [5] * 90


@pytest.mark.parametrize("steps", [PLAIN, [OneOf((Mask(rate=0.4), Pos(rate=0.4, tagger="classes"))), Similar()]])
def test_with_exact_parts_are_the_same_bytes_for_any_number_of_workers(tmp_path, labelled_file, small_parts, steps):
    for workers in (1, 2):
        set_of(labelled_file, tmp_path / str(workers), steps, workers=workers, exact=True)
    assert len(parts_in(tmp_path / "1")) > 5
    assert parts_in(tmp_path / "2") == parts_in(tmp_path / "1")
    assert records_in(tmp_path / "2") == records_in(tmp_path / "1")


@pytest.mark.parametrize(("name", "value"), [("copies", -1), ("workers", 0), ("workers", -3)])
def test_bad_numbers_are_refused_and_leave_nothing(labelled_file, tmp_path, name, value):
    with pytest.raises(StillhouseError, match=rf"{name} must be at least [01], got {value}$"):
        set_of(labelled_file, tmp_path / "out", **{name: value})
    assert not (tmp_path / "out").exists()


# Workers.


@pytest.mark.parametrize("workers", [2, 3])
def test_parts_are_the_same_bytes_for_any_number_of_workers(labelled_file, tmp_path, small_parts, workers):
    set_of(labelled_file, tmp_path / "one", STEPS, workers=1)
    set_of(labelled_file, tmp_path / "more", STEPS, workers=workers)
    assert len(parts_in(tmp_path / "one")) > 5
    assert parts_in(tmp_path / "more") == parts_in(tmp_path / "one")
    assert records_in(tmp_path / "more") == records_in(tmp_path / "one")
    assert not (tmp_path / "more" / "_scratch").exists()


def one_tag_too_many(sentences):
    return [["x"] * (len(words) + 1) for words in sentences]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tagger_that_fails_in_a_worker_is_one_error_and_leaves_nothing(labelled_file, tmp_path, small_parts, workers):
    with pytest.raises(StillhouseError, match=r"^pos: tagger must give one tag"):
        set_of(labelled_file, tmp_path / "out", [Pos(tagger=one_tag_too_many)], workers=workers)
    assert not (tmp_path / "out").exists()


def test_a_function_that_workers_cannot_take_is_one_error_and_leaves_nothing(labelled_file, tmp_path, small_parts):
    with pytest.raises(StillhouseError, match=r"pos: tagger|workers: "):
        set_of(labelled_file, tmp_path / "out", [Pos(tagger=lambda many: by_length(many))], workers=2)  # noqa: PLW0108
    assert not (tmp_path / "out").exists()


# Restarts.


class Killed(BaseException):
    """Stands for a kill: no code of ours catches it."""


def stop_at_sync(monkeypatch, number):
    """Every file is synced before it counts; here the n-th one never is."""
    real, calls = os.fsync, iter(range(1, 10**9))

    def fsync(handle):
        if next(calls) == number:
            raise Killed
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_run_stopped_at_any_file_it_writes_is_finished_by_the_same_call(labelled_file, tmp_path, monkeypatch):
    monkeypatch.setattr(ingest_module, "PART_ROWS", 500)
    steps = [Pos(rate=0.2, tagger=by_length), Mask(rate=0.2), Ngram()]
    set_of(labelled_file, tmp_path / "whole", steps)
    expected = parts_in(tmp_path / "whole"), records_in(tmp_path / "whole")
    assert len(expected[0]) >= 3
    for number in range(1, 1000):
        out = tmp_path / f"stopped-{number}"
        with monkeypatch.context() as patch:
            stop_at_sync(patch, number)
            try:
                set_of(labelled_file, out, steps)
            except Killed:
                pass
            else:
                break
        set_of(labelled_file, out, steps)
        assert (parts_in(out), records_in(out)) == expected, number
        assert not (out / "_scratch").exists()
    assert number > 20


COMMAND = """
import sys
from augment import _ingest
_ingest.PART_ROWS = 12_000
from stillhouse.cli import main
sys.argv = ["stillhouse", *sys.argv[1:]]
main()
"""


def start(*arguments):
    """The command line with smaller parts, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def kill_when(process, reached):
    """Kills the whole group as soon as something is so; whether the process was still alive then."""
    while not reached():
        try:
            process.wait(0.005)
        except subprocess.TimeoutExpired:
            continue
        process.communicate()
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def test_a_set_killed_again_and_again_is_the_set_of_one_run(labelled_file, tmp_path):
    header, *lines = labelled_file.read_text().splitlines()
    path = tmp_path / "films.csv"
    path.write_text("\n".join([header, *(f"{number} {line}" for number in range(10) for line in lines)]) + "\n")
    options = ("--text", "text", "--label", "label", "--pos-tagger", "classes", "--copies", 60)
    whole, out = tmp_path / "whole", tmp_path / "out"
    once = start("augment", path, *options, "--workers", 1, "--out", whole)
    _, errors = once.communicate(timeout=300)
    assert once.returncode == 0, errors
    assert len(parts_in(whole)) >= 8

    def records():
        return len(list((out / "_manifest").glob("[0-9]*.json")))

    moments = [
        (out / "_scratch" / "block-000003.arrow").exists,
        lambda: any((out / "_scratch").glob("learned-classes-*")),
        lambda: any((out / "_scratch").glob("learned-pos-*pool*")),
        (out / "_manifest" / "about.json").exists,
        lambda: records() >= 1,
        lambda: records() >= 4,
        lambda: records() >= 6,
    ]
    killed = []
    for workers, moment in zip([1, 1, 2, 1, 2, 1, 1], moments, strict=True):
        killed.append(kill_when(start("augment", path, *options, "--workers", workers, "--out", out), moment))
        assert set(parts_in(out).values()) <= set(parts_in(whole).values())
    assert sum(killed) >= 5
    last = start("augment", path, *options, "--workers", 2, "--out", out)
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    assert parts_in(out) == parts_in(whole)
    assert records_in(out) == records_in(whole)
    assert not (out / "_scratch").exists()


def stop_at_commit(monkeypatch, number):
    """The n-th part is never committed."""
    real, calls = engine_module.Store.commit, iter(range(1, 10**9))

    def commit(store, *given, **options):
        if next(calls) == number:
            raise Killed
        return real(store, *given, **options)

    monkeypatch.setattr(engine_module.Store, "commit", commit)


@pytest.mark.parametrize("workers", [1, 2])
def test_with_exact_a_run_stopped_at_any_part_is_finished_by_the_same_call(
    labelled_file, tmp_path, monkeypatch, workers
):
    monkeypatch.setattr(ingest_module, "PART_ROWS", 300)
    set_of(labelled_file, tmp_path / "whole", exact=True)
    expected = parts_in(tmp_path / "whole"), records_in(tmp_path / "whole")
    assert len(expected[0]) >= 4
    numbers = range(1, len(expected[0]) + 1) if workers == 1 else [3]
    for number in numbers:
        out = tmp_path / f"stopped-{number}"
        with monkeypatch.context() as patch:
            stop_at_commit(patch, number)
            with pytest.raises(Killed):
                set_of(labelled_file, out, exact=True)
        assert len(parts_in(out)) == number - 1
        set_of(labelled_file, out, exact=True, workers=workers)
        assert (parts_in(out), records_in(out)) == expected, number
        assert not (out / "_scratch").exists()


def test_a_killed_set_is_not_taken_for_a_finished_one(labelled_file, tmp_path, monkeypatch):
    monkeypatch.setattr(ingest_module, "PART_ROWS", 500)
    with monkeypatch.context() as patch:
        stop_at_sync(patch, 8)
        with pytest.raises(Killed):
            set_of(labelled_file, tmp_path / "out")
    with pytest.raises(StillhouseError, match=r"must be finished, .* run the same `stillhouse augment` again"):
        TransferSet.open(tmp_path / "out")


@pytest.mark.parametrize("gone", [[0], [1, 3], [-1]])
def test_a_part_deleted_with_its_record_is_made_again(labelled_file, tmp_path, small_parts, gone):
    out = tmp_path / "out"
    parts = set_of(labelled_file, out, STEPS).parts()
    expected = parts_in(out), records_in(out)
    for part in [parts[place] for place in gone]:
        (out / part.file).unlink()
        (out / "_manifest" / f"{part.slot:06d}.json").unlink()
    set_of(labelled_file, out, STEPS)
    assert (parts_in(out), records_in(out)) == expected


def test_a_part_that_was_written_but_not_committed_is_made_again(labelled_file, tmp_path, small_parts):
    out = tmp_path / "out"
    set_of(labelled_file, out)
    expected = parts_in(out), records_in(out)
    (out / "_manifest" / "000002.json").unlink()
    set_of(labelled_file, out)
    assert (parts_in(out), records_in(out)) == expected


def test_a_damaged_part_is_named_and_not_built_upon(labelled_file, tmp_path, small_parts):
    out = tmp_path / "out"
    store = set_of(labelled_file, out)
    (out / store.parts()[1].file).write_bytes(b"damaged")
    (out / "_manifest" / "000003.json").unlink()
    with pytest.raises(StillhouseError, match=rf"{store.parts()[1].file}: must have checksum"):
        set_of(labelled_file, out)


def test_a_finished_set_run_again_writes_nothing(labelled_file, tmp_path, small_parts):
    set_of(labelled_file, tmp_path / "out", STEPS)
    before = files_in(tmp_path / "out")
    store = set_of(labelled_file, tmp_path / "out", STEPS)
    after = files_in(tmp_path / "out")
    assert after.keys() == before.keys()
    assert after == before
    assert store.rows() == sum(part.rows for part in store.parts())


# Another set in the same place.


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"seed": 1}, "seed"),
        ({"copies": 6}, "copies"),
        ({"keep_labels": True}, "keep_labels"),
        ({"exact": True}, "exact"),
        ({"steps": Recipe("steps", tuple(PLAIN), pairs="both")}, "recipe"),
        ({"steps": Recipe("steps", tuple(PLAIN), protect=("film",))}, "recipe"),
        ({"steps": [InSequence(tuple(PLAIN), 0.5)]}, "recipe"),
        ({"steps": [Mask(rate=0.2)]}, "recipe"),
        ({"steps": [Mask(rate=0.25), Ngram()]}, "recipe"),
        ({"steps": [Mask(rate=0.2, token="<mask>"), Ngram()]}, "(recipe|mask_token)"),
        ({"task": Task("text", ("text",))}, "task"),
        ({"task": Task("text", ("text",), "label", classes=("pos", "neg"))}, "task"),
    ],
)
def test_other_options_into_the_same_directory_are_refused_by_name(labelled_file, tmp_path, options, name):
    set_of(labelled_file, tmp_path / "out")
    before = files_in(tmp_path / "out")
    with pytest.raises(StillhouseError) as error:
        set_of(labelled_file, tmp_path / "out", **options)
    assert re.search(
        f": {name}[a-z0-9 ]* must be what the transfer set was made with .*: use another --out", str(error.value)
    )
    after = files_in(tmp_path / "out")
    assert {file: after.get(file) for file in before} == before


def test_a_refused_call_leaves_a_finished_set_as_it_was(labelled_file, tmp_path):
    set_of(labelled_file, tmp_path / "out")
    before = files_in(tmp_path / "out")
    with pytest.raises(StillhouseError, match="seed must be what"):
        set_of(labelled_file, tmp_path / "out", seed=1)
    assert sorted(files_in(tmp_path / "out")) == sorted(before)


def test_the_refusal_shows_what_differs_between_two_recipes(labelled_file, tmp_path):
    set_of(labelled_file, tmp_path / "out", [Mask(), Ngram(rate=0.25)])
    with pytest.raises(StillhouseError) as error:
        set_of(labelled_file, tmp_path / "out", [Mask(), Ngram(rate=0.75)])
    assert "0.25" in str(error.value)
    assert "0.75" in str(error.value)


def changed_sources(lines):
    edited = [*lines[:50], "another text,pos", *lines[51:]]
    return {
        "edited": edited,
        "swapped": [lines[0], lines[2], lines[1], *lines[3:]],
        "shorter": lines[:150],
        "longer": [*lines, *lines[1:]],
    }


@pytest.mark.parametrize("change", ["edited", "swapped", "shorter", "longer"])
def test_another_source_into_the_same_directory_is_refused_by_name(labelled_file, tmp_path, small_parts, change):
    path = tmp_path / "films.csv"
    lines = labelled_file.read_text().splitlines()
    path.write_text("\n".join(lines) + "\n")
    set_of(path, tmp_path / "out")
    before = parts_in(tmp_path / "out")
    path.write_text("\n".join(changed_sources(lines)[change]) + "\n")
    with pytest.raises(StillhouseError) as error:
        set_of(path, tmp_path / "out")
    # The number of parts differs too, but that is no option of the user's.
    assert str(error.value).startswith(f"{tmp_path / 'out'}: source ")
    assert parts_in(tmp_path / "out") == before


def stopped_before_its_manifest(labelled_file, out, monkeypatch, steps, **options):
    """What a run leaves that is killed after it learned from the corpus, and before the set has a description."""
    with monkeypatch.context() as patch:
        patch.setattr(engine_module.Store, "create", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            set_of(labelled_file, out, steps, **options)
    assert (out / "_scratch").is_dir()
    assert not (out / "_manifest" / "about.json").exists()


@pytest.mark.parametrize(
    ("steps", "options"),
    [
        (STEPS, {"copies": 2}),
        (STEPS, {"copies": 11}),
        ([Mask(token="[film]"), *STEPS[1:]], {}),
        ([Mask(token="[great-film]"), *STEPS[1:]], {}),
        ([Pos(rate=0.3, tagger=by_length)], {}),
        (STEPS, {"seed": 9}),
    ],
    ids=["fewer copies", "more copies", "mask token of one word", "mask token of two words", "tagger", "seed"],
)
def test_what_a_killed_run_learned_does_not_leak_into_one_with_other_options(
    labelled_file, tmp_path, monkeypatch, small_parts, steps, options
):
    path = tmp_path / "films.csv"
    path.write_text(labelled_file.read_text().replace("film", "[film] [great-film]"))
    set_of(path, tmp_path / "fresh", steps, **options)
    stopped_before_its_manifest(path, tmp_path / "out", monkeypatch, STEPS)
    set_of(path, tmp_path / "out", steps, **options)
    assert parts_in(tmp_path / "out") == parts_in(tmp_path / "fresh")


def test_a_killed_run_may_be_followed_by_one_of_another_source(labelled_file, tmp_path, monkeypatch, small_parts):
    path = tmp_path / "films.csv"
    lines = labelled_file.read_text().splitlines()
    path.write_text("\n".join(lines[:101]) + "\n")
    set_of(path, tmp_path / "fresh", STEPS)
    stopped_before_its_manifest(labelled_file, tmp_path / "out", monkeypatch, STEPS)
    set_of(path, tmp_path / "out", STEPS)
    assert parts_in(tmp_path / "out") == parts_in(tmp_path / "fresh")


# Two at once.


def test_a_second_process_on_the_same_directory_is_refused(labelled_file, tmp_path):
    set_of(labelled_file, tmp_path / "out")
    before = files_in(tmp_path / "out")
    with directory_lock(tmp_path / "out", "exclusive"):
        done = stillhouse(
            "augment",
            labelled_file,
            "--text",
            "text",
            "--label",
            "label",
            "--pos-tagger",
            "classes",
            "--out",
            tmp_path / "out",
        )
    assert "must not be in use, got another process writing to it" in one_line_error(done)
    assert files_in(tmp_path / "out") == before


def test_a_process_that_is_refused_leaves_the_work_of_the_one_that_writes(labelled_file, tmp_path):
    # The first is still reading its source: there is no description yet, only its scratch files and its lock.
    out = tmp_path / "out"
    with directory_lock(out, "exclusive"):
        (out / "_scratch").mkdir()
        (out / "_scratch" / "block-000000.arrow").write_bytes(b"the other's")
        with pytest.raises(StillhouseError, match="must not be in use, got another process writing to it"):
            set_of(labelled_file, out)
        assert (out / "_scratch" / "block-000000.arrow").read_bytes() == b"the other's"
        # Were the lock's file gone, a third process could take a lock of its own.
        with pytest.raises(StillhouseError, match="must not be in use"):
            set_of(labelled_file, out)
        assert (out / "_manifest" / "lock").exists()
