"""Typed rows: texts, labels and features are what the file says, or the row is named."""

from __future__ import annotations

import datetime
import json
import math
from collections import Counter
from inspect import signature
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transferset import Source, StillhouseError, Task, feature_types, read_rows
from transferset.tables import MISSING, classes_in, learn_classes

FEATURES = Task("features", ("a",))
BATCH = signature(Source.batches).parameters["rows"].default
#: More rows than a batch holds.
MANY = 2 * BATCH + 100
NOT_UTF_8 = pa.StringArray.from_buffers(3, pa.py_buffer(np.array([0, 1, 2, 4], np.int32)), pa.py_buffer(b"xy\xff\xfe"))


def text_task(**options):
    return Task("text", ("text",), "label", **options)


def jsonl(path, *objects):
    path.write_text("".join(json.dumps(each) + "\n" for each in objects))
    return Source(path)


def labelled(path, *labels):
    """A jsonl file with one text and each label in turn."""
    return jsonl(path, *({"text": "a film", "label": label} for label in labels))


def column_file(path, cells, *more):
    """A csv file of one feature column, and perhaps more rows of it after those that fill a batch."""
    path.write_text("\n".join(["a", *(f'"{cell}"' for cell in [*cells, *more])]) + "\n")
    return Source(path)


def column(source, task, name, types=None):
    return [value for batch in read_rows(source, task, types) for value in batch.column(name).to_pylist()]


def labels(source, **options):
    return column(source, text_task(**options), "label")


def features(source, task=FEATURES):
    types = feature_types(source, task)
    return types["a"], column(source, task, "a", types)


def learned(source, task, types=None):
    seen = [name for batch in read_rows(source, task, types) for name in classes_in(batch, task)]
    return learn_classes(task, seen).classes


def refused(source, task, types=None):
    with pytest.raises(StillhouseError) as caught:
        list(read_rows(source, task, types))
    assert str(caught.value).startswith(f"{source.path}: ")
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "films.jsonl"


# Texts.


@pytest.mark.parametrize(
    ("value", "got"), [(None, "null"), (3, "'3'|int64"), (["x"], "['x']|list"), (True, "'True'|bool")]
)
def test_a_text_that_is_none_is_refused_with_its_column(path, value, got):
    source = jsonl(path, {"text": "fine"}, {"text": value})
    message = refused(source, Task("text", ("text",)))
    assert "column 'text'" in message
    assert any(each in message for each in got.split("|"))


@pytest.mark.parametrize(("value", "got"), [(None, "only nulls"), (3, "int64"), ({"x": 1}, "struct")])
def test_a_column_without_texts_is_refused_at_its_first_row(path, value, got):
    message = refused(jsonl(path, {"text": value}, {"text": value}), Task("text", ("text",)))
    assert "row 1, column 'text' must hold text" in message
    assert got in message


def test_a_null_text_is_named_by_its_row_after_many_batches(path):
    source = jsonl(path, *({"text": "fine"} for _ in range(MANY)), {"text": None})
    assert f"row {MANY + 1}, column 'text' must hold text, got null" in refused(source, Task("text", ("text",)))


def test_the_second_text_of_a_pair_is_checked_too(path):
    source = jsonl(path, {"a": "x", "b": "y"}, {"a": "x"})
    assert "row 2, column 'b' must hold text, got null" in refused(source, Task("pair", ("a", "b")))


def test_a_text_of_parquet_that_is_not_utf_8_is_named_by_its_row(path):
    path = path.with_suffix(".parquet")
    pq.write_table(pa.table({"text": NOT_UTF_8}), path)
    assert "row 3, column 'text' must be valid UTF-8" in refused(Source(path), Task("text", ("text",)))


def test_a_label_of_parquet_that_is_not_utf_8_is_named_by_its_row(path):
    path = path.with_suffix(".parquet")
    pq.write_table(pa.table({"text": ["a", "b", "c"], "label": NOT_UTF_8}), path)
    for classes in ((), ("x", "y")):
        assert "row 3, column 'label'" in refused(Source(path), text_task(classes=classes))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_arrow_type_of_text_is_text(path, kind):
    array = pa.array(["café", ""], kind)
    pq.write_table(pa.table({"text": array, "label": array}), path.with_suffix(".parquet"))
    source = Source(path.with_suffix(".parquet"))
    assert column(source, text_task(), "text") == ["café", ""]
    assert labels(source) == ["café", None]


def test_texts_keep_their_white_space_and_may_be_empty(path):
    source = jsonl(path, {"text": "  a \n"}, {"text": ""}, {"text": "NA"})
    assert column(source, Task("text", ("text",)), "text") == ["  a \n", "", "NA"]


def test_columns_come_in_the_order_of_the_task(path):
    source = jsonl(path, {"label": "x", "b": "2", "a": "1"})
    (batch,) = read_rows(source, Task("pair", ("a", "b"), "label"))
    assert batch.schema.names == ["a", "b", "label"]
    assert batch.schema.types == [pa.string()] * 3


# Labels.


def test_class_labels_are_text_and_an_empty_one_is_missing(path):
    source = labelled(path, "pos", "", None, "neg")
    assert labels(source) == ["pos", None, None, "neg"]
    assert labels(source, classes=("neg", "pos")) == ["pos", None, None, "neg"]


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ([1, 0, None], ["1", "0", None]),
        ([1.0, -0.0, 12.0, None], ["1", "0", "12", None]),
        ([True, False, None], ["true", "false", None]),
        ([None, None], [None, None]),
        (["1.0", " x "], ["1.0", " x "]),
    ],
)
def test_numbers_and_truths_as_classes_get_plain_names(path, stored, named):
    assert labels(labelled(path, *stored)) == named


@pytest.mark.parametrize("label", [0.5, math.nan, math.inf, -math.inf, 1e300])
def test_a_number_that_is_no_class_is_named_by_its_row(path, label):
    assert "row 2, column 'label'" in refused(labelled(path, 1.0, label), text_task())


@pytest.mark.parametrize("label", [["x"], {"x": 1}])
def test_a_class_label_must_be_plain(path, label):
    assert "row 1, column 'label' must hold a class name or number" in refused(labelled(path, label), text_task())


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.int8(), pa.uint64()])
def test_class_labels_may_be_of_any_number_type(path, kind):
    numbers = pa.array(np.array([2, 0], np.float32)).cast(kind)
    pq.write_table(pa.table({"text": ["a", "b"], "label": numbers}), path.with_suffix(".parquet"))
    assert labels(Source(path.with_suffix(".parquet"))) == ["2", "0"]


def test_a_label_outside_the_classes_is_named_with_the_classes(path):
    message = refused(labelled(path, "neg", None, "", "Pos"), text_task(classes=("neg", "pos")))
    assert "row 4, column 'label' must hold one of the classes neg, pos, got 'Pos'" in message


def test_a_label_outside_the_classes_is_named_after_many_batches(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "fine,pos\n" * MANY + "fine,neg\nbad,maybe\nbad,perhaps\n")
    message = refused(Source(path), text_task(classes=("neg", "pos")))
    assert f"row {MANY + 2}, column 'label' must hold one of the classes neg, pos, got 'maybe'" in message


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [([1, 2.5, None], [1.0, 2.5, None]), (["1", "", "-2.5e1"], [1.0, None, -25.0]), ([None, None], [None, None])],
)
def test_scores_are_numbers_and_an_empty_one_is_missing(path, cells, numbers):
    assert labels(labelled(path, *cells), target="regression") == numbers


@pytest.mark.parametrize(
    ("good", "bad"),
    [("1.5", "good"), ("1.5", "1,5"), ("1.5", "nan"), ("1.5", "inf"), (1.5, math.inf), (1.5, math.nan), ([], [1])],
)
def test_a_score_that_is_no_finite_number_is_named_by_its_row(path, good, bad):
    message = refused(labelled(path, good, None, bad), text_task(target="regression"))
    assert f"row {1 if good == [] else 3}, column 'label' must hold a" in message
    assert "number, got" in message


def test_several_classes_come_from_lists(path):
    source = labelled(path, ["a", "b"], [], None, ["b"])
    assert labels(source, target="multilabel") == [["a", "b"], [], None, ["b"]]
    assert labels(source, target="multilabel", classes=("a", "b")) == [["a", "b"], [], None, ["b"]]
    assert labels(labelled(path, [1, 2]), target="multilabel") == [["1", "2"]]


def test_several_classes_come_from_text(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,label\na film,a|b\na film,\na film,b\n")
    assert labels(Source(path), target="multilabel") == [["a", "b"], [], ["b"]]


def test_rows_without_labels_stay_without_labels_however_the_batches_fall(path):
    # The first batches hold nothing but nulls: they say no more about the type than a null among lists does.
    source = labelled(path, *[None] * MANY, ["a"])
    assert labels(source, target="multilabel") == [*[None] * MANY, ["a"]]


def test_a_class_outside_the_known_ones_is_named_among_several(path):
    source = labelled(path, ["a"], [], None, ["b", "c"])
    message = refused(source, text_task(target="multilabel", classes=("a", "b")))
    assert "row 4, column 'label' must hold one of the classes a, b, got 'c'" in message
    source = labelled(path, "a|b", "", "c|a")
    assert "row 3, column 'label'" in refused(source, text_task(target="multilabel", classes=("a", "b")))


@pytest.mark.parametrize("label", [1, 0.5, True, {"a": 1}, [["a"]], [{"a": 1}]])
def test_several_classes_must_be_a_list_of_names(path, label):
    message = refused(labelled(path, label), text_task(target="multilabel"))
    assert "row 1, column 'label' must hold a list of class names" in message


def test_no_class_of_several_has_an_empty_name(path):
    """Two separators in a row are read as one or refused."""
    try:
        found = labels(labelled(path, "a||b", "a|"), target="multilabel")
    except StillhouseError:
        return
    assert "" not in chain.from_iterable(found)


def test_labels_are_stored_in_the_type_that_the_task_says(path):
    for target, label in (("classification", 1), ("regression", 1), ("multilabel", "1")):
        task = text_task(target=target)
        (batch,) = read_rows(labelled(path, label), task)
        assert batch.schema.field("label").type == task.label_type


def test_classes_are_learned_in_standard_order(path):
    one, many = text_task(), text_task(target="multilabel")
    assert learned(labelled(path, "10", "9", "", "1", "9"), one) == ("1", "9", "10")
    assert learned(labelled(path, "b|a", "", "c"), many) == ("a", "b", "c")


def test_given_classes_keep_their_order_and_regression_has_none(path):
    assert learn_classes(text_task(classes=("pos", "neg")), ["x"]).classes == ("pos", "neg")
    task = text_task(target="regression")
    (batch,) = read_rows(labelled(path, 1.5), task)
    assert classes_in(batch, task) == []
    assert learn_classes(task, []) == task


def test_too_few_classes_are_an_error():
    with pytest.raises(StillhouseError, match="label 'label': must have at least 2 classes, got pos"):
        learn_classes(text_task(), ["pos", "pos"])
    with pytest.raises(StillhouseError, match="at least 1 classes, got none"):
        learn_classes(text_task(target="multilabel"), [])
    assert learn_classes(text_task(target="multilabel"), ["a"]).classes == ("a",)
    assert learn_classes(Task("text", ("text",)), []).classes == ()


# Features.


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "-2", "?"], pa.int64(), [1, -2, None]),
        (["1", "2.5", ""], pa.float64(), [1.0, 2.5, None]),
        (["1e3", ".5"], pa.float64(), [1000.0, 0.5]),
        (["1", "x", "NA"], pa.string(), ["1", "x", None]),
        (["True", "False"], pa.string(), ["True", "False"]),
        ([" 1 ", "2"], pa.int64(), [1, 2]),
        ([" a b ", "c"], pa.string(), ["a b", "c"]),
        (["1", "inf"], pa.string(), ["1", "inf"]),
        (["1,5", "2"], pa.string(), ["1,5", "2"]),
    ],
)
def test_the_type_of_a_text_column_is_the_narrowest_that_holds_it(tmp_path, cells, kind, values):
    assert features(column_file(tmp_path / "x.csv", cells)) == (kind, values)


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        ([1, 2, None], pa.int64(), [1, 2, None]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([1.5, math.nan, math.inf], pa.float64(), [1.5, None, None]),
        ([True, None, False], pa.bool_(), [True, None, False]),
        (["a", None, "?"], pa.string(), ["a", None, None]),
        ([2**62 + 1], pa.int64(), [2**62 + 1]),
    ],
)
def test_the_type_of_a_typed_column_is_its_own(path, cells, kind, values):
    assert features(jsonl(path, *({"a": cell} for cell in cells))) == (kind, values)


@pytest.mark.parametrize("cell", MISSING)
def test_every_way_of_writing_missing_is_missing(tmp_path, cell):
    assert features(column_file(tmp_path / "x.csv", ["1", cell, f" {cell} "])) == (pa.int64(), [1, None, None])


@pytest.mark.parametrize(
    ("early", "late", "kind", "values"),
    [
        (1, 2.5, pa.float64(), (1.0, 2.5)),
        (2.5, 1, pa.float64(), (2.5, 1.0)),
        ("1", "x", pa.string(), ("1", "x")),
        ("x", "1", pa.string(), ("x", "1")),
        (None, 1, pa.int64(), (None, 1)),
        (1, None, pa.int64(), (1, None)),
    ],
)
def test_types_are_joined_across_batches(path, early, late, kind, values):
    source = jsonl(path, *[{"a": early}] * MANY, {"a": late})
    found, cells = features(source)
    assert found == kind
    assert Counter(cells) == Counter({values[0]: MANY, values[1]: 1})


@pytest.mark.parametrize(("early", "shown"), [(2, "2"), (True, "true"), (0.5, "0.5")])
def test_parts_of_other_types_are_joined_as_names(tmp_path, early, shown):
    pq.write_table(pa.table({"a": [early]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "2.parquet")
    assert features(Source(tmp_path)) == (pa.string(), [shown, "x"])


def test_a_mixture_of_types_fares_alike_wherever_the_batches_fall(path):
    fared = set()
    for numbers in (1, BATCH, BATCH + 1):
        source = jsonl(path, *[{"a": 2}] * numbers, {"a": "x"})
        try:
            kind = str(feature_types(source, FEATURES)["a"])
        except StillhouseError:
            kind = "refused"
        fared.add(kind)
    assert len(fared) == 1


def test_a_column_with_nothing_but_missing_cells_is_an_error(tmp_path):
    with pytest.raises(StillhouseError, match="column 'a' must hold a value, got only missing ones"):
        feature_types(column_file(tmp_path / "x.csv", ["?", "", "NA"]), FEATURES)


def test_a_categorical_column_is_text_whatever_it_holds(path):
    task = Task("features", ("a", "b"), categorical=("a",))
    source = jsonl(path, {"a": 10, "b": 1}, {"a": 9, "b": 2}, {"a": None, "b": 3})
    types = feature_types(source, task)
    assert types == {"a": pa.string(), "b": pa.int64()}
    assert column(source, task, "a", types) == ["10", "9", None]


def test_a_categorical_column_of_text_keeps_its_zeros(tmp_path):
    task = Task("features", ("a",), categorical=("a",))
    assert features(column_file(tmp_path / "x.csv", ["007", "7", "1.0"]), task) == (pa.string(), ["007", "7", "1.0"])


@pytest.mark.parametrize("cell", [[1], {"b": 1}])
def test_a_feature_that_is_no_plain_value_is_an_error(path, cell):
    source = jsonl(path, {"a": cell})
    with pytest.raises(StillhouseError, match="column 'a'"):
        features(source)


def test_bytes_that_are_no_text_are_no_feature(path):
    pq.write_table(pa.table({"a": pa.array([b"\xff"])}), path.with_suffix(".parquet"))
    with pytest.raises(StillhouseError, match="column 'a'"):
        features(Source(path.with_suffix(".parquet")))


def test_a_date_is_a_name_and_not_a_number_of_days(path):
    pq.write_table(pa.table({"a": [datetime.date(2020, 2, 29)]}), path.with_suffix(".parquet"))
    assert features(Source(path.with_suffix(".parquet"))) == (pa.string(), ["2020-02-29"])


def test_a_number_past_int64_is_an_error_that_names_the_column(path):
    pq.write_table(pa.table({"a": pa.array([2**63 + 5], pa.uint64())}), path.with_suffix(".parquet"))
    with pytest.raises(StillhouseError, match="column 'a'"):
        features(Source(path.with_suffix(".parquet")))


@pytest.fixture(scope="module")
def cells_file(tmp_path_factory):
    return tmp_path_factory.mktemp("cells") / "x.tsv"


TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6)


@settings(deadline=None, max_examples=80)
@given(cells=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6))
def test_whole_numbers_are_never_changed(cells_file, cells):
    cells_file.write_text("a\n" + "".join(f"{cell}\n" for cell in cells))
    assert features(Source(cells_file)) == (pa.int64(), cells)


@settings(deadline=None, max_examples=80)
@given(cells=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
@example([1e-310, -0.0, 0.1, 1.7976931348623157e308])
def test_fractions_are_never_changed(cells_file, cells):
    cells_file.write_text("a\n" + "".join(f"{cell!r}\n" for cell in cells))
    kind, found = features(Source(cells_file))
    assert kind == pa.float64()
    assert [cell.hex() for cell in found] == [cell.hex() for cell in cells]


@settings(deadline=None, max_examples=80)
@given(cells=st.lists(TEXTS, min_size=1, max_size=6))
@example(["1.", "x"])
def test_names_are_never_changed(cells_file, cells):
    cells_file.write_text("a\n" + "".join(f"{cell}\n" for cell in [*cells, "a name"]), "utf-8")
    kind, found = features(Source(cells_file))
    assert kind == pa.string()
    assert found == [*(None if cell in MISSING else cell for cell in cells), "a name"]


def test_identities_past_int64_do_not_fall_together(tmp_path):
    """Numbers of twenty digits are kept apart or refused, not rounded."""
    source = column_file(tmp_path / "x.csv", [2**63, 2**63 + 1])
    try:
        _, found = features(source)
    except StillhouseError:
        return
    assert found[0] != found[1]


def test_a_column_of_codes_in_base_sixteen_is_no_number(tmp_path):
    assert features(column_file(tmp_path / "x.csv", ["0x10", "0x1F"])) == (pa.string(), ["0x10", "0x1F"])


# The files that people have.


def test_adult_has_six_numbers_and_eight_names(shared):
    source = Source(shared / "data" / "adult" / "adult.csv")
    *inputs, label = source.columns()
    task = Task("features", tuple(inputs), label)
    types = feature_types(source, task)
    numbers = [name for name, kind in types.items() if kind == pa.int64()]
    assert numbers == ["age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
    assert [kind for name, kind in types.items() if name not in numbers] == [pa.string()] * 8
    table = pa.Table.from_batches(read_rows(source, task, types))
    raw = pa.Table.from_batches(source.batches(source.columns()))
    for name in ("workclass", "occupation", "native-country"):
        assert table[name].null_count == raw[name].to_pylist().count("?") > 0
        assert [cell or "?" for cell in table[name].to_pylist()] == raw[name].to_pylist()
    assert [str(age) for age in table["age"].to_pylist()] == raw["age"].to_pylist()


def test_letter_is_whole_numbers_and_26_classes(shared):
    source = Source(shared / "data" / "letter" / "letter.tsv")
    *inputs, label = source.columns()
    task = Task("features", tuple(inputs), label)
    types = feature_types(source, task)
    assert types == dict.fromkeys(inputs, pa.int64())
    assert learned(source, task, types) == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_stsb_scores_are_numbers(shared):
    source = Source(shared / "data" / "stsb" / "train.tsv", header=False)
    scores = column(source, Task("pair", ("6", "7"), "5", target="regression"), "5")
    assert len(scores) == 5_749
    assert all(0 <= score <= 5 for score in scores)
