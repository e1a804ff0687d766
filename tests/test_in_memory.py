"""What is in memory stands in for a file: the columns of any library, as they are read; one line for what is none."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferset import Source, StillhouseError, Task, feature_types, read_rows
from transferset.in_memory import InMemory, is_table

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [0.5, 1.5, None]})


def one_line(call):
    with pytest.raises(StillhouseError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def read(source, *columns, rows=8192):
    return pa.Table.from_batches(source.batches(columns, rows)).to_pydict()


class Stream:
    """A column that is known by its stream alone."""

    def __init__(self, column):
        self.column = column

    def __len__(self):
        return len(self.column)

    def __arrow_c_stream__(self, requested_schema=None):
        return self.column.__arrow_c_stream__(requested_schema)


class StreamOfTables(Stream):
    """A table of a library that Arrow does not know."""

    columns = ("a", "b", "c")


# What is a table and what a column.


@pytest.mark.parametrize(
    ("data", "table"),
    [
        (TABLE, True),
        (TABLE.to_batches()[0], True),
        (TABLE.to_pandas(), True),
        (StreamOfTables(TABLE), True),
        (TABLE["a"], False),
        (TABLE["a"].chunk(0), False),
        (Stream(TABLE["b"]), False),
        (pd.Series(["x"]), False),
        (pd.Index(["x"]), False),
        (np.array(["x"]), False),
        (["x"], False),
        ({"a": [1]}, False),
        ("x", False),
        (None, False),
    ],
)
def test_tables_are_told_from_columns(data, table):
    assert is_table(data) is table


def test_tables_of_polars_are_told_from_its_columns():
    polars = pytest.importorskip("polars")
    frame = polars.from_arrow(TABLE)
    assert is_table(frame)
    assert not is_table(frame["a"])
    source = InMemory.of(frame, "text")
    assert source.columns() == ["a", "b", "c"]
    assert read(source, "b", "a") == {"b": ["x", None, "z"], "a": [1, 2, 3]}


@pytest.mark.parametrize(
    "data", [TABLE, TABLE.to_batches()[0], StreamOfTables(TABLE), pa.concat_tables([TABLE[:1], TABLE[1:]])]
)
def test_tables_keep_their_columns(data):
    source = InMemory.of(data, "text")
    assert source.columns() == ["a", "b", "c"]
    assert read(source, "c", "a") == {"c": [0.5, 1.5, None], "a": [1, 2, 3]}
    assert source.path == "data"


@pytest.mark.parametrize(
    "data",
    [
        ["x", None, "z"],
        ("x", None, "z"),
        {1: "x", 2: None, 3: "z"}.values(),
        np.array(["x", None, "z"], object),
        TABLE["b"],
        TABLE["b"].chunk(0),
        TABLE["b"].cast(pa.large_string()),
        TABLE["b"].cast(pa.string_view()),
        TABLE["b"].dictionary_encode(),
        pa.chunked_array([["x"], [], [None, "z"]]),
        Stream(TABLE["b"]),
        pd.Series(["x", None, "z"], index=[9, 9, 9]),
        pd.Series(["x", None, "z"], dtype="category"),
        pd.Series(["x", None, "z"], dtype=pd.ArrowDtype(pa.string())),
    ],
)
def test_a_column_is_a_table_of_the_name_given(data):
    source = InMemory.of(data, "review")
    assert source.columns() == ["review"]
    assert read(source, "review") == {"review": ["x", None, "z"]}


@pytest.mark.parametrize("data", [[], (), pa.array([], pa.string()), pd.Series([], dtype="str"), np.array([], object)])
def test_no_values_make_no_rows(data):
    source = InMemory.of(data, "text")
    assert source.columns() == ["text"]
    assert sum(batch.num_rows for batch in source.batches(["text"])) == 0


def test_what_is_given_is_not_modified():
    texts, frame = ["x", "y"], pd.DataFrame({"a": pd.Series(["x", "y"], dtype="category")}, index=[7, 5])
    before = frame.copy(deep=True)
    read(InMemory.of(texts, "text"), "text")
    read(InMemory.of(frame, "text"), "a")
    assert texts == ["x", "y"]
    pd.testing.assert_frame_equal(frame, before)


# Batches.


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_batches_are_the_rows_in_order_whatever_the_chunks(lengths, rows):
    starts = np.cumsum([0, *lengths])
    whole = pa.table({"n": np.arange(starts[-1]), "t": [f"text {i}" for i in range(starts[-1])]})
    chunks = [whole.slice(start, length) for start, length in zip(starts[:-1].tolist(), lengths, strict=True)]
    batches = list(InMemory.of(pa.concat_tables(chunks), "text").batches(["t", "n"], rows))
    assert all(batch.num_rows <= rows for batch in batches)
    assert pa.Table.from_batches(batches, whole.select(["t", "n"]).schema).equals(whole.select(["t", "n"]))


def test_batches_can_be_read_again():
    source = InMemory.of(TABLE, "text")
    assert read(source, "a") == read(source, "a")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["x", None, "y", "x"], pa.string()),
        (["x", None, "y", "x"], pa.large_string()),
        (["x", None, "y", "x"], pa.string_view()),
        ([3, None, 5, 3], pa.int64()),
        ([3, None, 5, 3], pa.uint8()),
        ([0.5, None, 1.5, 0.5], pa.float64()),
    ],
)
@pytest.mark.parametrize("index", [pa.int8(), pa.uint32(), pa.int64()])
def test_of_a_dictionary_its_values_are_read(values, kind, index):
    distinct = list(dict.fromkeys(value for value in values if value is not None))
    places = pa.array([None if value is None else distinct.index(value) for value in values], index)
    column = pa.DictionaryArray.from_arrays(places, pa.array(distinct, kind))
    # The chunks have dictionaries of their own.
    other = pa.DictionaryArray.from_arrays(pa.array([0], index), pa.array(distinct[::-1], kind))
    (batch, *rest) = InMemory.of(pa.table({"a": pa.chunked_array([column, other])}), "text").batches(["a"])
    read_back = pa.Table.from_batches([batch, *rest])["a"]
    assert read_back.type == (kind if values[0] != "x" else pa.string())
    assert read_back.to_pylist() == [*values, distinct[-1]]


def test_a_missing_value_in_the_dictionary_itself_is_missing():
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["x", None]))
    assert read(InMemory.of(column, "text"), "text") == {"text": ["x", None, None, "x"]}


def test_a_dictionary_without_chunks_has_no_rows():
    empty = pa.table({"a": pa.chunked_array([], pa.dictionary(pa.int8(), pa.string()))})
    (*batches,) = InMemory.of(empty, "text").batches(["a"])
    assert sum(batch.num_rows for batch in batches) == 0


# As a file.


def test_rows_and_types_are_those_of_a_file(tmp_path):
    table = pa.table(
        {
            "age": [" 41", "?", "7", "30"],
            "town": pa.array(["Ulm", "Köln ", "Ulm", None]).dictionary_encode(),
            "share": pa.array([0.5, np.nan, np.inf, None]),
            "member": [True, None, False, True],
            "label": [1.0, 0.0, None, 1.0],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    task = Task("features", ("age", "town", "share", "member"), "label")
    made = []
    for source in (Source(tmp_path / "rows.parquet"), InMemory.of(table, "text")):
        types = feature_types(source, task)
        assert list(map(str, types.values())) == ["int64", "string", "double", "bool"]
        made.append(pa.Table.from_batches(read_rows(source, task, types)))
    assert made[0].equals(made[1])
    assert made[1]["age"].to_pylist() == [41, None, 7, 30]


def test_rows_are_counted_over_all_batches():
    texts = [f"text {i}" for i in range(20_000)]
    texts[17_000] = None
    source = InMemory.of(pa.chunked_array([texts[:5], texts[5:]]), "review")
    message = one_line(lambda: list(read_rows(source, Task("text", ("review",)))))
    assert message == "data: row 17001, column 'review' must hold text, got null"


# What is refused.


@pytest.mark.parametrize(
    "data",
    [
        "a film",
        b"a film",
        {"text": ["a film"]},
        {"a film"},
        frozenset({"a film"}),
        {"a film": 1}.keys(),
        {"a film": 1}.items(),
        (text for text in ["a film"]),
        iter(["a film"]),
        7,
        None,
        print,
        pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches()),
    ],
)
def test_what_is_no_list_is_refused_by_its_kind(data):
    message = one_line(lambda: InMemory.of(data, "text"))
    assert message == f"data: must be a list or column of texts, or a table, got {type(data).__name__}"


@pytest.mark.parametrize(
    "data",
    [["fine", 3], [3, "fine"], ["\ud83d"], [object()], np.array([["a", "b"]]), np.array("a"), [1, "x"], [["a"], "a"]],
)
def test_a_list_that_is_no_column_is_refused(data):
    assert one_line(lambda: InMemory.of(data, "text")).startswith("data: must be texts, got ")


@pytest.mark.parametrize(
    "data",
    [pd.DataFrame({"a": [1, "x"]}), pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame({"a": [object()]})],
    ids=["kinds", "names", "objects"],
)
def test_a_table_that_arrow_cannot_read_is_refused(data):
    assert one_line(lambda: InMemory.of(data, "text")).startswith("data: must be a table Arrow can read, got ")


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    source = InMemory.of(TABLE.rename_columns(["text", "label", "town"]), "text")
    message = one_line(lambda: list(source.batches(["text", "labels"])))
    assert message == "data: column: must be one of text, label, town, got 'labels': did you mean 'label'?"


def test_a_name_that_stands_twice_is_refused():
    source = InMemory.of(pa.table([[1], [2], [3]], ["a", "b", "a"]), "text")
    for call in (source.columns, lambda: list(source.batches(["b"]))):
        assert one_line(call) == "data: each column must have a name of its own, got 'a' twice"
