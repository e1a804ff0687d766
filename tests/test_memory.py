"""Augmenting what is in memory: the rows of a file, whatever library they come from; one line for what is no text."""

import random
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import preview as preview_list
from test_augmenters import AWKWARD, TEXTS, by_length

import augment as package
from augment import InSequence, Mask, Munge, Ngram, OneOf, Pos, Random, Recipe, Similar, augment, augment_file, preview
from augment import _ingest as ingest_module
from transferset import Source, StillhouseError, Task

PLAIN = [Mask(rate=0.3), Ngram()]
GROUPS = Recipe(
    "groups",
    (
        OneOf((InSequence((Pos(rate=0.3, tagger=by_length), Ngram(rate=0.5))), Mask(rate=0.4)), (2.0, 1.0), 0.8),
        Pos(rate=0.2, tagger=by_length),
        Similar(),
    ),
    protect=("not", "/^the/"),
    pairs="draw",
)
TEXT = Task("text", ("text",), "label")
PROTECTING = Recipe("rows", (Random(),), protect=("town",))
PAIR = Task("pair", ("first", "second"), "label")
FEATURES = Task("features", ("age", "height", "smokes", "town"), "label", categorical=("town",))


def text_table(count=80):
    texts = [f"{number} {TEXTS[number % len(TEXTS)]}" for number in range(count)]
    return pa.table({"text": [*texts, *AWKWARD[:-1]], "label": ["x", "y", None, "x"] * (count // 4) + ["y"] * 19})


def pair_table():
    texts = text_table()
    return pa.table(
        {
            "other": pa.array(np.arange(len(texts))),
            "second": texts["text"].to_pylist()[::-1],
            "label": texts["label"],
            "first": texts["text"],
        }
    )


def feature_table(count=60):
    draws = np.random.default_rng(0)
    return pa.table(
        {
            "height": pa.array(draws.normal(170, 10, count).round(1), mask=draws.random(count) < 0.1),
            "age": pa.array(draws.integers(18, 90, count), mask=draws.random(count) < 0.1),
            "town": pa.array(draws.integers(0, 5, count)),
            "smokes": pa.array(draws.random(count) < 0.3, mask=draws.random(count) < 0.1),
            "label": pa.array([1, 0] * (count // 2)),
        }
    )


CASES = {
    "text plain": (text_table, TEXT, PLAIN),
    "text groups": (text_table, TEXT, GROUPS),
    "text without labels": (text_table, Task("text", ("text",)), PLAIN),
    "pairs plain": (pair_table, PAIR, PLAIN),
    "pairs groups": (pair_table, PAIR, GROUPS),
    "munge": (feature_table, FEATURES, "munge"),
    "features groups": (feature_table, FEATURES, [OneOf((Munge(), Random()), probability=0.5), Munge(p=0.2)]),
}
EVERY = pytest.mark.parametrize(("make", "task", "recipe"), CASES.values(), ids=CASES)


def rows_of_file(table, task, recipe, folder, **options):
    pq.write_table(table, folder / "rows.parquet")
    store = augment_file(Source(folder / "rows.parquet"), task, folder / "out", recipe, **options)
    return pa.concat_tables(store.tables()).drop_columns(["key"])


# The rows of a file.


@EVERY
@pytest.mark.parametrize("options", [{}, {"seed": 7, "keep_labels": True}, {"exact": True}])
def test_rows_are_those_of_a_file_with_the_same_contents(tmp_path, make, task, recipe, options):
    given = {"copies": 5, **options, "keep_labels": task.label is not None and options.get("keep_labels", False)}
    expected = rows_of_file(make(), task, recipe, tmp_path, **given)
    made = augment(make(), recipe, task=task, **given)
    assert made.schema.remove_metadata() == expected.schema.remove_metadata()
    assert made.to_pylist() == expected.to_pylist()
    assert (made["copy"].to_numpy() > 0).sum() > 50


@EVERY
def test_rows_do_not_depend_on_how_they_are_cut_into_blocks(monkeypatch, make, task, recipe):
    whole = augment(make(), recipe, 5, task=task)
    for name, size in (("PART_ROWS", 1), ("PART_ROWS", 60), ("PART_ROWS", 100), ("PART_BYTES", 3000)):
        with monkeypatch.context() as patch:
            patch.setattr(ingest_module, name, size)
            assert augment(make(), recipe, 5, task=task).equals(whole), (name, size)


@pytest.mark.parametrize("kind", ["text", "pair"])
def test_with_exact_counts_every_row_that_can_has_its_copies(monkeypatch, kind):
    texts = [" ".join(f"w{i}x{j}" for j in range(7)) for i in range(60)]
    data = pa.table({"first": texts, "second": texts[::-1]}) if kind == "pair" else texts
    given = {"copies": 6, "task": Task("pair", ("first", "second")) if kind == "pair" else None}
    steps = [Mask(rate=0.15), Ngram(shortest=5, longest=6)]
    whole = augment(data, steps, exact=True, **given)
    assert np.bincount(whole["source"].to_numpy()).tolist() == [7] * 60
    assert whole.num_rows > augment(data, steps, **given).num_rows
    places = list(zip(whole["source"].to_pylist(), whole["copy"].to_pylist(), strict=True))
    assert places == sorted(set(places))
    # A copy has a word that no other row has, so what was drawn again for the rows before does not matter.
    monkeypatch.setattr(ingest_module, "PART_ROWS", 70)
    assert augment(data, steps, exact=True, **given).equals(whole)


def test_with_exact_counts_rows_that_cannot_have_them_fall_short():
    made = augment(["word", "two words", "", "word"], [Mask(rate=0.5)], copies=4, exact=True)
    copies = [(row["source"], row["text"]) for row in made.to_pylist() if row["copy"]]
    assert sorted(copies) == [(0, "[MASK]"), (1, "[MASK] [MASK]"), (1, "[MASK] words"), (1, "two [MASK]")]


def short_and_long(count, letters):
    # Copies of the short texts are often equal to earlier ones, so it matters which block they stand in.
    long = " ".join(letter * letters for letter in "abcdefghij")
    return [f"{number} {long}" if number % 2 else f"a {number % 50} film" for number in range(count)]


def test_with_exact_counts_the_rows_are_those_of_a_file_cut_by_its_bytes(tmp_path):
    texts, steps = short_and_long(2000, 600), [Mask(rate=0.3)]
    expected = rows_of_file(pa.table({"text": texts}), Task("text", ("text",)), steps, tmp_path, copies=5, exact=True)
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) > 2
    assert augment(texts, steps, 5, exact=True).equals(expected.combine_chunks())


def test_with_exact_counts_rows_do_not_depend_on_how_a_table_is_laid_out(tmp_path, monkeypatch):
    monkeypatch.setattr(ingest_module, "PART_BYTES", 40_000)
    texts, steps, task = short_and_long(600, 20), [Mask(rate=0.3)], Task("text", ("text",))
    table = pa.table({"text": texts})
    expected = rows_of_file(table, task, steps, tmp_path, copies=5, exact=True).combine_chunks()
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) > 10
    layouts = {
        "chunks": pa.concat_tables([table.slice(0, 1), table.slice(1, 70), table.slice(71)]),
        "slice": pa.table({"text": pa.array([None, *texts])}).slice(1),
        "large": table.cast(pa.schema([("text", pa.large_string())])),
        "categories": pa.table({"text": table["text"].dictionary_encode()}),
        "pandas": table.to_pandas(),
    }
    for name, layout in layouts.items():
        assert augment(layout, steps, 5, task=task, exact=True).equals(expected), name


def test_with_exact_counts_features_are_cut_as_those_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(ingest_module, "PART_BYTES", 60_000)
    names = "abcdefghijkl"
    table = pa.table({name: np.random.default_rng(seed).integers(0, 2, 1000) for seed, name in enumerate(names)})
    expected = rows_of_file(table, Task("features", tuple(names)), "random", tmp_path, copies=5, exact=True)
    assert augment(table, "random", 5, exact=True).equals(expected.combine_chunks())


def test_a_bare_augmenter_is_a_recipe():
    step = OneOf((Mask(rate=0.5), Ngram(rate=1.0)))
    for bare in (Mask(rate=0.4), step):
        assert augment(TEXTS, bare, 4).equals(augment(TEXTS, [bare], 4))
        assert preview(TEXTS, bare, 4).equals(preview(TEXTS, [bare], 4))
    table = feature_table()
    assert augment(table, Munge(), 2, task=FEATURES).equals(augment(table, [Munge()], 2, task=FEATURES))


def test_parts_of_a_file_and_blocks_in_memory_may_be_cut_differently(tmp_path, monkeypatch):
    monkeypatch.setattr(ingest_module, "PART_ROWS", 70)
    expected = rows_of_file(pair_table(), PAIR, GROUPS, tmp_path, copies=4)
    monkeypatch.setattr(ingest_module, "PART_ROWS", 110)
    assert augment(pair_table(), GROUPS, 4, task=PAIR).to_pylist() == expected.to_pylist()


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("a", ["1", "2", "3"]),
        ("a", [" x", "y ", "x"]),
        ("a", ["x", "?", ""]),
        ("a", [Decimal("1.5"), Decimal("2.5"), None]),
        ("label", ["x", "", "y"]),
    ],
)
def test_odd_cells_are_read_as_those_of_a_file(tmp_path, column, values):
    table = pa.table({"a": [1, 2, 3], "b": [1, 2, 3], "label": ["x", "y", "x"]})
    table = table.set_column(table.column_names.index(column), column, pa.array(values))
    task = Task("features", ("a", "b"), "label")
    expected = rows_of_file(table, task, "random", tmp_path, copies=3)
    assert augment(table, "random", 3, task=task).to_pylist() == expected.to_pylist()


def test_odd_numbers_are_read_as_those_of_a_file(tmp_path):
    table = pa.table(
        {
            "a": pa.array([1.5, np.nan, np.inf, -0.0, None]),
            "b": pa.array([1, 2, None, 4, 5], pa.uint8()),
            "c": pa.array([1, 2.5, 3, 4, 5], pa.float32()),
            "d": pa.array(["x", "y", None, "x", "z"]).dictionary_encode(),
            "label": [1.0, 2.0, 1.0, None, 2.0],
        }
    )
    task = Task("features", ("a", "b", "c", "d"), "label", categorical=("b",))
    expected = rows_of_file(table, task, "munge", tmp_path, copies=6)
    assert augment(table, "munge", 6, task=task).to_pylist() == expected.to_pylist()


def test_the_copies_of_a_recipe_are_those_of_a_file(tmp_path):
    recipe = Recipe("few", tuple(PLAIN), copies=3, pair_copies=2)
    for table, task, copies in ((text_table(), TEXT, 3), (pair_table(), PAIR, 2)):
        assert augment(table, recipe, task=task)["copy"].to_numpy().max() == copies


def test_a_published_recipe_is_the_default_of_each_kind():
    numbered = [f"text number {i} of several" for i in range(12)]
    recipe = package.load_recipe("tang2019").adjusted({"pos": {"tagger": "classes"}})
    assert augment(numbered, recipe)["copy"].to_numpy().max() == 20
    made = augment(feature_table().drop_columns(["label"]))
    assert {edit["rule"] for edits in made["edits"].to_pylist() for edit in edits} == {"munge"}
    assert made["copy"].to_numpy().max() == 10


def test_calls_do_not_know_of_one_another():
    texts, features = text_table(), feature_table()
    first = augment(texts, GROUPS, 3, task=TEXT), augment(features, copies=3, task=FEATURES)
    second = augment(features, copies=3, task=FEATURES), augment(texts, GROUPS, 3, task=TEXT)
    assert first[0].equals(second[1])
    assert first[1].equals(second[0])


@EVERY
def test_the_global_generators_are_left_alone_and_do_not_matter(make, task, recipe):
    state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - what is tested
    try:
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002
        once = augment(make(), recipe, 2, task=task)
        assert random.getstate() == before
        assert (np.random.get_state()[1] == numpy_before[1]).all()  # noqa: NPY002
        assert np.random.get_state()[2:] == numpy_before[2:]  # noqa: NPY002
        random.seed(6)
        np.random.seed(6)  # noqa: NPY002
        assert augment(make(), recipe, 2, task=task).equals(once)
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)  # noqa: NPY002


# Texts from anywhere.

SOME = [*TEXTS, *AWKWARD[:-1], "a fine film", "a fine film"]


def sliced(kind):
    return pa.array(["before", *SOME, "after"], kind)[1:-1]


def chunked(kind=None):
    return pa.chunked_array([pa.array(part, kind or pa.string()) for part in (SOME[:3], [], SOME[3:10], SOME[10:])])


CONTAINERS = {
    "tuple": lambda: tuple(SOME),
    "dictionary views": lambda: dict(enumerate(SOME)).values(),
    "numpy of objects": lambda: np.array(SOME, object),
    "arrow": lambda: pa.array(SOME),
    "arrow large": lambda: pa.array(SOME, pa.large_string()),
    "arrow view": lambda: pa.array(SOME, pa.string_view()),
    "arrow dictionary": lambda: pa.array(SOME).dictionary_encode(),
    "arrow slice": lambda: sliced(pa.string()),
    "arrow large slice": lambda: sliced(pa.large_string()),
    "chunks": chunked,
    "large chunks": lambda: chunked(pa.large_string()),
    "dictionary chunks": lambda: chunked().dictionary_encode(),
    "slice of chunks": lambda: pa.chunked_array([pa.array(["before", *SOME[:4]]), pa.array(SOME[4:])]).slice(1),
    "table column": lambda: pa.table({"a": chunked()})["a"],
    "pandas objects": lambda: pd.Series(SOME, dtype=object),
    "pandas strings": lambda: pd.Series(SOME, dtype="str"),
    "pandas python strings": lambda: pd.Series(SOME, dtype=pd.StringDtype("python")),
    "pandas arrow strings": lambda: pd.Series(SOME, dtype=pd.ArrowDtype(pa.string())),
    "pandas categories": lambda: pd.Series(SOME, dtype="category"),
    "pandas with an index": lambda: pd.Series(SOME, index=range(100, 100 + len(SOME)))[::-1][::-1],
    "pandas column": lambda: pd.DataFrame({"text": SOME, "other": 1})["text"],
    "pandas index": lambda: pd.Index(SOME),
    "numpy strings": lambda: np.array(SOME, np.dtypes.StringDType()),
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_texts_are_the_same_from_any_container(make):
    expected = augment(list(SOME), PLAIN, 3)
    assert augment(make(), PLAIN, 3).equals(expected)
    assert preview(make(), PLAIN, 2).to_pylist() == preview_list(SOME, PLAIN, 2)
    assert expected.column_names == ["text", "source", "copy", "edits"]
    assert expected.filter(pa.array(expected["copy"].to_numpy() == 0))["text"].to_pylist() == SOME


def test_texts_are_the_same_from_polars():
    polars = pytest.importorskip("polars")
    expected = augment(SOME, PLAIN, 3)
    for series in (polars.Series(SOME), polars.Series(["before", *SOME])[1:], polars.DataFrame({"a": SOME})["a"]):
        assert augment(series, PLAIN, 3).equals(expected)


def test_texts_are_the_same_from_categories_of_polars():
    polars = pytest.importorskip("polars")
    series = polars.Series(SOME).cast(polars.Categorical)
    assert augment(series, PLAIN, 3).equals(augment(SOME, PLAIN, 3))


TABLES = {
    "arrow": lambda table: table,
    "chunks": lambda table: pa.concat_tables([table.slice(0, 7), table.slice(7, 0), table.slice(7)]),
    "slice": lambda table: pa.concat_tables([table.slice(3, 1), table]).combine_chunks().slice(1),
    "batch": lambda table: table.combine_chunks().to_batches()[0],
    "pandas": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas rows": lambda table: (
        pd.concat([table.slice(0, 1).to_pandas(types_mapper=pd.ArrowDtype)] * 2)
        if not len(table)
        else table.to_pandas(types_mapper=pd.ArrowDtype).set_index(pd.Index(range(5, 5 + len(table))))
    ),
}


@pytest.mark.parametrize("convert", TABLES.values(), ids=TABLES)
@EVERY
def test_tables_are_the_same_from_any_library(make, task, recipe, convert):
    expected = augment(make(), recipe, 3, task=task, keep_labels=task.label is not None)
    assert augment(convert(make()), recipe, 3, task=task, keep_labels=task.label is not None).equals(expected)


@EVERY
def test_tables_are_the_same_from_polars(make, task, recipe):
    polars = pytest.importorskip("polars")
    expected = augment(make(), recipe, 3, task=task, keep_labels=task.label is not None)
    assert augment(polars.from_arrow(make()), recipe, 3, task=task, keep_labels=task.label is not None).equals(expected)


def test_a_pandas_table_of_numpy_columns_is_that_of_arrow():
    table = feature_table().drop_columns(["smokes"])
    task = Task("features", ("height", "age", "town"), "label", categorical=("town",))
    # Integers with gaps are floats there.
    floats = table.set_column(1, "age", table["age"].cast(pa.float64()))
    assert augment(table.to_pandas(), "munge", 3, task=task).equals(augment(floats, "munge", 3, task=task))


def test_all_columns_of_a_table_are_features_where_nothing_is_said():
    table = feature_table().drop_columns(["label"])
    made = augment(table, "random", copies=2)
    assert made.column_names == ["height", "age", "town", "smokes", "source", "copy", "edits"]
    assert (
        made.filter(pa.array(made["copy"].to_numpy() == 0)).select(table.column_names).to_pylist() == table.to_pylist()
    )


def test_hugging_face_data_sets_are_mapped_in_batches(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    table = text_table(40).slice(0, 40)
    data = datasets.Dataset.from_dict(table.to_pydict())

    def grow(batch):
        made = augment(batch["text"], PLAIN, copies=4)
        labels = [batch["label"][place] for place in made["source"].to_pylist()]
        return {"text": made["text"].to_pylist(), "label": labels}

    # A fingerprint given is one that need not be worked out from the function.
    once = {"batched": True, "batch_size": 20, "keep_in_memory": True}
    grown = data.map(grow, remove_columns=data.column_names, new_fingerprint="a", **once)
    expected = [augment(table.slice(start, 20), PLAIN, 4, task=TEXT, keep_labels=True) for start in (0, 20)]
    assert grown.to_list() == pa.concat_tables(expected).select(["text", "label"]).to_pylist()

    arrow = data.with_format("arrow").map(
        lambda batch: augment(batch, PLAIN, 4, task=TEXT, keep_labels=True), new_fingerprint="b", **once
    )
    assert arrow.with_format(None).to_list() == pa.concat_tables(expected).to_pylist()


# Labels.


def test_copies_have_no_label_unless_it_is_kept():
    for task, table in ((TEXT, text_table()), (PAIR, pair_table()), (FEATURES, feature_table())):
        recipe = "munge" if task.kind == "features" else PLAIN
        gold = [None if label is None else str(label) for label in table["label"].to_pylist()]
        for keep in (False, True):
            rows = augment(table, recipe, 3, task=task, keep_labels=keep).to_pylist()
            assert any(row["copy"] for row in rows)
            for row in rows:
                assert row["label"] == (gold[row["source"]] if keep or not row["copy"] else None)


def test_lists_of_labels_are_kept():
    table = pa.table({"text": TEXTS, "label": [["a"], [], ["a", "b"], None, ["b"]]})
    task = Task("text", ("text",), "label", "multilabel")
    rows = augment(table, PLAIN, 3, task=task, keep_labels=True).to_pylist()
    assert all(row["label"] == table["label"][row["source"]].as_py() for row in rows)
    assert len(rows) > 10


def test_scores_stay_with_the_originals():
    table = pa.table({"text": TEXTS, "label": [1, 2, 3, None, 5]})
    task = Task("text", ("text",), "label", "regression")
    rows = augment(table, PLAIN, 3, task=task).to_pylist()
    assert [row["label"] for row in rows if not row["copy"]] == [1.0, 2.0, 3.0, None, 5.0]
    assert {row["label"] for row in rows if row["copy"]} == {None}
    with pytest.raises(StillhouseError, match=r"^keep-labels: must not be used with regression"):
        augment(table, PLAIN, 3, task=task, keep_labels=True)


# Nothing at all.


@pytest.mark.parametrize("empty", [[], (), np.array([], object), pa.array([], pa.string()), pd.Series([], dtype="str")])
@pytest.mark.parametrize("copies", [0, 3])
def test_no_texts_make_no_rows(empty, copies):
    made = augment(empty, GROUPS, copies)
    assert made.num_rows == 0
    assert made.schema.remove_metadata() == augment(TEXTS, GROUPS, 1).schema.remove_metadata()
    assert preview(empty, PLAIN, copies).to_pylist() == []


@pytest.mark.parametrize("name", [name for name, (_, task, _) in CASES.items() if task.kind != "features"])
def test_no_rows_make_no_rows(name):
    make, task, recipe = CASES[name]
    made = augment(make().slice(0, 0), recipe, 3, task=task)
    assert made.num_rows == 0
    assert made.schema.remove_metadata() == augment(make(), recipe, 3, task=task).schema.remove_metadata()


@pytest.mark.parametrize(("recipe", "copies"), [("random", 3), ("munge", 0)])
def test_no_rows_of_features_make_no_rows(recipe, copies):
    assert augment(feature_table().slice(0, 0), recipe, copies, task=FEATURES).num_rows == 0


def test_munge_says_that_it_needs_two_rows():
    for rows in (0, 1):
        with pytest.raises(StillhouseError, match=rf"^munge: must have at least 2 rows.*, got {rows}$"):
            augment(feature_table().drop_null().slice(0, rows), "munge", 2, task=FEATURES)


def test_no_copies_make_the_originals():
    made = augment(text_table(), PLAIN, 0, task=TEXT)
    assert made.select(["text", "label"]).to_pylist() == text_table().to_pylist()
    assert set(made["copy"].to_pylist()) == {0}


# What is no text.


def one_line(call):
    with pytest.raises(StillhouseError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "texts",
    [
        ["fine", None, "dull", None],
        ("fine", None),
        np.array(["fine", None], object),
        pa.array(["fine", None]),
        pa.chunked_array([["fine"], [None]]),
        pa.array(["before", "fine", None])[1:],
        pd.Series(["fine", None]),
        pd.Series(["fine", np.nan], dtype=object),
        pd.Series(["fine", pd.NA], dtype="str", index=[9, 4]),
    ],
)
def test_a_missing_text_is_named_by_its_row(texts):
    message = "data: row 2, column 'text' must hold text, got null"
    assert one_line(lambda: augment(texts, PLAIN)) == message
    assert one_line(lambda: preview(texts, PLAIN)) == message


def test_a_missing_text_of_a_table_is_named_by_its_column_and_row():
    table = pa.table({"first": ["a", "b", "c"], "second": ["a", "b", None], "label": ["x", "y", "x"]})
    assert one_line(lambda: augment(table, PLAIN, task=PAIR)) == "data: row 3, column 'second' must hold text, got null"


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ([["fine"], ["dull"]], "values of type list<item: string>"),
        ([{"text": "fine"}], "values of type struct<text: string>"),
        ([b"\xff"], "values of type binary"),
        ([1, 2], "values of type int64"),
        ([1.5], "values of type double"),
        ([True], "values of type bool"),
        (range(2), "values of type int64"),
        (pd.Series([1, 2]), "values of type int64"),
        (pa.array([1, 2]), "values of type int64"),
        (np.arange(2), "values of type int64"),
        ([None, None], "only nulls"),
    ],
)
def test_other_than_texts_are_refused_by_their_type(texts, kind):
    message = f"data: row 1, column 'text' must hold text, got {kind}"
    assert one_line(lambda: augment(texts, PLAIN)) == message
    assert one_line(lambda: preview(texts, PLAIN)) == message


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ("a fine film", "str"),
        (b"a fine film", "bytes"),
        ({"text": ["a fine film"]}, "dict"),
        ({"a fine film"}, "set"),
        (dict.fromkeys(TEXTS).keys(), "dict_keys"),
        ((text for text in TEXTS), "generator"),
        (map(str, TEXTS), "map"),
        (3, "int"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_list_is_refused(texts, kind):
    message = f"data: must be a list or column of texts, or a table, got {kind}"
    assert one_line(lambda: augment(texts, PLAIN)) == message
    assert one_line(lambda: preview(texts, PLAIN)) == message


@pytest.mark.parametrize("texts", [["fine", 3], ["fine", "\ud83d"], np.array([["fine"], ["dull"]]), np.array("fine")])
def test_lists_that_are_no_column_are_refused(texts):
    assert one_line(lambda: augment(texts, PLAIN)).startswith("data: must be texts, got ")


def test_a_column_of_numbers_is_refused_as_text():
    message = one_line(lambda: augment(pa.table({"text": [1, 2]}), PLAIN, task=Task("text", ("text",))))
    assert message == "data: row 1, column 'text' must hold text, got values of type int64"


# What else is refused.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: augment(TEXTS, PLAIN, -1), "copies must be at least 0, got -1"),
        (lambda: augment(TEXTS, PLAIN, 1, -1), "seed must be at least 0, got -1"),
        (lambda: augment(TEXTS, "tang2091"), "did you mean 'tang2019'?"),
        (lambda: augment(TEXTS, "munge"), "recipe munge: must be given features, got a task of kind 'text'"),
        (lambda: augment(pair_table(), "random", task=PAIR), "must be given features, got a task of kind 'pair'"),
        (lambda: augment(feature_table(), PLAIN, task=FEATURES), "must be given texts, got a task of kind 'features'"),
        (lambda: augment(text_table(), PLAIN, task=PAIR), "data: column: must be one of text, label, got 'first'"),
        (lambda: augment(pa.table({"source": [1, 2]})), "a column must not be called 'source'"),
        (lambda: augment(pa.table({})), "features must name at least one input column"),
        (
            lambda: augment(pa.table({"a": [[1], [2]]})),
            "data: row 1, column 'a' and on must hold values of type string: ",
        ),
        (lambda: augment(pa.table({"a": pa.nulls(2)})), "data: column 'a' must hold a value, got only missing ones"),
        (
            lambda: augment(pa.table([[1], [2]], ["a", "a"])),
            "data: each column must have a name of its own, got 'a' tw",
        ),
        (
            lambda: augment(pd.DataFrame([[1, 2]], columns=["a", "a"])),
            "data: must be a table Arrow can read, got Dupli",
        ),
        (lambda: augment(pd.DataFrame({"a": [1, "x"]})), "data: must be a table Arrow can read, got "),
        (lambda: augment(TEXTS, PLAIN, 1, keep_labels=True), "keep-labels: must be given a label column, got a task w"),
        (lambda: augment(TEXTS, PLAIN, 1, 1.5), "seed must be a whole number, got 1.5"),
        (lambda: augment(TEXTS, Mask), "recipe steps: steps must be augmenters, got "),
        (lambda: augment(TEXTS, 3), "recipe: must be a name, a file or augmenters, got 3"),
        (lambda: augment(TEXTS, PLAIN, 2.0), "copies must be a whole number, got 2.0"),
        (lambda: augment(TEXTS, PLAIN, True), "copies must be a whole number, got True"),
        (lambda: augment(TEXTS, PLAIN, "3"), "copies must be a whole number, got '3'"),
        (
            lambda: augment(feature_table(), PROTECTING, task=FEATURES),
            "recipe rows: protect is for words, got a task of ",
        ),
        (lambda: augment(TEXTS, [Mask(rate=0.6), Mask(rate=0.6)]), "rates of word rules must add up to at most 1"),
    ],
)
def test_what_cannot_be_done_is_one_line(call, message):
    assert message in one_line(call)


@pytest.mark.parametrize(
    ("task", "missing"),
    [
        (Task("text", ("text",), "label"), "label"),
        (Task("pair", ("text", "other")), "other"),
        (Task("features", ("text", "size")), "size"),
    ],
)
def test_bare_texts_are_refused_for_a_task_of_more_columns(task, missing):
    recipe = "random" if task.kind == "features" else PLAIN
    message = f"data: column: must be one of text, got {missing!r}"
    assert one_line(lambda: augment(TEXTS, recipe, task=task)).startswith(message)


def test_bare_texts_bear_the_name_that_the_task_gives_them():
    made = augment(TEXTS, PLAIN, 3, task=Task("text", ("review",)))
    assert made.column_names == ["review", "source", "copy", "edits"]
    assert made.rename_columns(["text", *made.column_names[1:]]).equals(augment(TEXTS, PLAIN, 3))
    message = one_line(lambda: augment(["fine", None], PLAIN, task=Task("text", ("review",))))
    assert message == "data: row 2, column 'review' must hold text, got null"


def test_a_label_that_is_no_class_of_the_task_is_refused():
    table = pa.table({"text": ["fine", "dull"], "label": ["pos", "nge"]})
    task = Task("text", ("text",), "label", classes=("neg", "pos"))
    message = "data: row 2, column 'label' must hold one of the classes neg, pos, got 'nge'"
    assert one_line(lambda: augment(table, PLAIN, task=task)) == message


@pytest.mark.parametrize(
    ("labels", "target", "message"),
    [
        (["x"], "regression", "must hold a number, got 'x'"),
        ([np.inf], "regression", "must hold a finite number, got inf"),
        ([3], "multilabel", "must hold a list of class names, or names joined by '|', got values of type int64"),
        (["|x"], "multilabel", "must hold names joined by '|', got '|x'"),
        ([["x", None]], "multilabel", "must hold a list of class names, got a null in it"),
        ([1.5], "classification", "must hold a class, got 1.5: is this --task regression?"),
        ([["x"]], "classification", "must hold a class name or number, got values of type list<item: string>"),
        ([{"a": 1}], "classification", "must hold a class name or number, got values of type struct<a: int64>"),
    ],
)
def test_labels_of_another_kind_are_one_line(labels, target, message):
    table = pa.table({"text": ["a fine film"], "label": labels})
    told = one_line(lambda: augment(table, PLAIN, task=Task("text", ("text",), "label", target)))
    assert told == f"data: row 1, column 'label' {message}"


@pytest.mark.parametrize(
    ("labels", "target"),
    [
        (["x|y", "", None, "x"], "multilabel"),
        (["1", "", None, "-2.5"], "regression"),
        ([1.0, 0.0, None, 1.0], "classification"),
        ([True, False, None, True], "classification"),
    ],
)
def test_labels_are_read_as_those_of_a_file(tmp_path, labels, target):
    table = pa.table({"text": ["a fine film", "a dull one", "so so", "not bad"], "label": labels})
    task = Task("text", ("text",), "label", target)
    expected = rows_of_file(table, task, PLAIN, tmp_path, copies=3)
    assert augment(table, PLAIN, 3, task=task).to_pylist() == expected.to_pylist()


def test_a_preview_of_feature_rules_is_refused():
    assert "must be given features" in one_line(lambda: preview(TEXTS, "munge"))


def test_a_preview_of_fewer_than_no_copies_is_refused():
    assert one_line(lambda: preview(TEXTS, PLAIN, -1)) == "copies must be at least 0, got -1"
    assert one_line(lambda: preview(TEXTS, PLAIN, 1.5)) == "copies must be a whole number, got 1.5"
    assert one_line(lambda: preview(TEXTS, PLAIN, 1, -1)) == "seed must be at least 0, got -1"
