"""Features as numbers and codes: what is learned, what is unknown, missing or far away, and the file it is kept in."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from students import _features
from students._features import Features, Nominal, Numeric, learn_features
from students._number import LIMIT, Sample, Scaling, scaled
from transferset import StillhouseError, Task

TASK = Task("features", ("size", "count", "sure", "colour"), "label", classes=("no", "yes"))
SCHEMA = pa.schema([("size", pa.float64()), ("count", pa.int64()), ("sure", pa.bool_()), ("colour", pa.string())])
cells = st.tuples(
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.booleans(),
    st.none() | st.text("abcé ", max_size=2),
)
tables = st.lists(cells, min_size=1, max_size=30)


def table_of(rows):
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


def columns_of(table):
    return [table[name] for name in TASK.inputs]


def learned(table, task=TASK):
    return learn_features([table], task)


def of_one(values, name="size"):
    """A column of numbers as a student reads it."""
    task = Task("features", (name,))
    table = pa.table({name: values})
    return learned(table, task).encode([table[name]]).numbers


@settings(deadline=None, max_examples=100)
@given(tables)
def test_what_is_read_back_is_what_was_learned(rows):
    features = learned(table_of(rows))
    assert features.settings() == {}
    again = Features.read({}, features.files())
    assert again == features
    assert again.types == features.types == {field.name: field.type for field in SCHEMA}
    assert again.files() == features.files()
    ours, theirs = (each.encode(columns_of(table_of(rows))) for each in (features, again))
    np.testing.assert_array_equal(ours.numbers, theirs.numbers)
    np.testing.assert_array_equal(ours.codes, theirs.codes)


@settings(deadline=None, max_examples=100)
@given(tables, st.integers(1, 7), st.integers(0, 2**32))
def test_neither_the_order_of_rows_nor_that_of_tables_matters(rows, size, seed):
    table = table_of(rows)
    shuffled = table.take(np.random.default_rng(seed).permutation(len(rows)))
    pieces = [shuffled.slice(start, size) for start in range(0, len(rows), size)]
    assert learn_features([shuffled.slice(0, 0), *pieces], TASK) == learned(table)


@settings(deadline=None, max_examples=100)
@given(tables, tables)
def test_numbers_are_finite_and_bounded_and_codes_in_range_whatever_is_asked(rows, others):
    features = learned(table_of(rows))
    encoded = features.encode(columns_of(table_of(others)))
    assert encoded.numbers.shape == (len(others), features.numbers)
    assert np.isfinite(encoded.numbers).all()
    assert np.abs(encoded.numbers).max() <= LIMIT
    for codes, most in zip(encoded.codes.T, features.cardinalities, strict=True):
        assert codes.min() >= 0
        assert codes.max() < most


@settings(deadline=None, max_examples=50)
@given(tables, tables)
def test_a_row_is_the_same_alone_and_in_any_batch(rows, others):
    features, table = learned(table_of(rows)), table_of(others)
    together = features.encode(columns_of(table)).batch(np.arange(len(others)))
    for place in range(len(others)):
        alone = features.encode(columns_of(table.slice(place, 1))).batch(np.array([0]))
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], all_of_them[place], rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50))
def test_larger_numbers_are_not_smaller_when_scaled(values):
    order = np.argsort(values, kind="stable")
    scaled = of_one(values)[:, 0][order]
    assert (np.diff(scaled) >= -1e-5).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=50), st.floats(1e-6, 1e6), st.floats(-10, 10))
def test_the_unit_and_the_origin_of_a_column_make_no_difference(values, unit, shift):
    plain = np.array(values, float)
    np.testing.assert_allclose(of_one(plain * unit + shift * unit), of_one(plain), atol=2e-3)


def test_numbers_of_a_bulk_are_standardized():
    values = np.random.default_rng(0).normal(50, 7, 5000)
    (scaled,) = of_one(values).T
    assert abs(scaled.mean()) < 1e-3
    assert abs(scaled.std() - 1) < 1e-3
    assert np.corrcoef(scaled, values)[0, 1] > 0.99


def test_a_long_tail_leaves_the_bulk_apart():
    """Plain standardizing would put nine tenths of these within a thousandth of each other."""
    values = np.exp(np.random.default_rng(0).normal(0, 4, 5000))
    (scaled,) = of_one(values).T
    low, high = np.quantile(scaled, [0.1, 0.9])
    assert high - low > 1


def test_a_column_that_mostly_has_one_value_tells_the_others_apart():
    (scaled,) = of_one([0] * 92 + [1000, 2000, 3000, 4000, 5000, 6000, 7000, 99999]).T
    assert len(np.unique(scaled.round(3))) == 9


def test_a_constant_column_is_zero_whatever_comes_later():
    table = pa.table({"size": [0.1, 0.1, 0.1]})
    features = learned(table, Task("features", ("size",)))
    assert features.encode([pa.array([0.1, 5.0, None])]).numbers.tolist() == [[0.0], [0.0], [0.0]]


def test_missing_numbers_are_zero_and_said_so_where_any_was_missing_in_learning():
    with_some, without = [1.0, None, 3.0, 5.0], [1.0, 2.0, 3.0, 5.0]
    encoded = of_one(with_some)
    assert encoded[:, 1].tolist() == [0, 1, 0, 0]
    assert encoded[1, 0] == 0
    features = learned(pa.table({"size": without}), Task("features", ("size",)))
    assert features.encode([pa.array(with_some)]).numbers[1].tolist() == [0.0]
    nothing = of_one(pa.array([None, None], pa.float64()))
    assert nothing.tolist() == [[0, 1], [0, 1]]


def test_numbers_that_are_not_numbers_are_missing_and_infinite_ones_far():
    features = learned(pa.table({"size": [1.0, 2.0, 3.0, None]}), Task("features", ("size",)))
    numbers = features.encode([pa.array([np.nan, np.inf, -np.inf, 1e308], from_pandas=False)]).numbers
    assert numbers.tolist() == [[0, 1], [LIMIT, 0], [-LIMIT, 0], [LIMIT, 0]]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.none() | st.sampled_from("abcdef"), min_size=1, max_size=40), st.integers(1, 9))
def test_categories_are_those_of_a_plain_count_most_frequent_first(values, size):
    counts = Counter(value for value in values if value is not None)
    column = pa.table({"kind": pa.array(values, pa.string())})
    pieces = [column.slice(start, size) for start in range(0, len(values), size)]
    (found,) = learn_features(pieces, Task("features", ("kind",))).columns
    assert found.categories == tuple(sorted(counts, key=lambda name: (-counts[name], name)))
    codes = found.codes(column["kind"]).tolist()
    assert [found.categories[code - 1] if code else None for code in codes] == values


def test_categories_that_are_unknown_or_missing_have_code_0():
    features = learned(pa.table({"kind": ["b", "a", "b"]}), Task("features", ("kind",)))
    rows = features.encode([pa.chunked_array([["a", None], ["b", "new", ""]])])
    assert rows.codes.tolist() == [[2], [0], [1], [0], [0]]
    assert features.cardinalities == (3,)


def test_only_the_most_frequent_categories_get_a_code(monkeypatch):
    monkeypatch.setattr(_features, "MOST_CATEGORIES", 3)
    monkeypatch.setattr(_features, "_MOST_COUNTED", 8)
    often = ["x", "y", "z"]
    pieces = [pa.table({"kind": [*often, f"rare {number}"]}) for number in range(50)]
    (found,) = learn_features(pieces, Task("features", ("kind",))).columns
    assert found.categories == ("x", "y", "z")


def test_a_sample_of_more_rows_than_it_holds_is_even():
    sample = Sample(1, 1000)
    for start in range(0, 50_000, 7_000):
        sample.add(np.arange(start, min(start + 7_000, 50_000), dtype=float)[:, None])
    assert sample.values.shape == (1000, 1)
    rows = np.sort(sample.values[:, 0])
    assert np.diff(rows).max() < 5 * 50
    # Of rows that come in copies, all copies are chosen about equally often.
    for copies in (2, 3, 6, 21):
        counts = np.bincount(rows.astype(int) % copies, minlength=copies)
        assert counts.min() > 0.6 * 1000 / copies


def test_a_scaling_of_a_sample_is_near_that_of_all_rows():
    values = np.random.default_rng(0).lognormal(3, 1, 200_000)
    sample = Sample(1, 1 << 14)
    sample.add(values[:, None])
    ours, exact = (scaled(values[:, None], [Scaling.learned(each)]) for each in (sample.values[:, 0], values))
    assert np.abs(ours - exact).max() < 0.1


def test_rows_are_laid_end_to_end_and_taken_back():
    table = table_of([(1.0, 2, True, "a"), (None, 5, False, None), (2.5, None, None, "b")])
    features = learned(table)
    rows = features.encode(columns_of(table))
    assert rows.names == ("numbers", "codes")
    assert rows.lengths.tolist() == [1, 1, 1]
    twice = {name: np.concatenate([each, each]) for name, each in rows.columns().items()}
    again = features.inputs(twice)
    assert len(again) == 6
    numbers, codes = again.batch(np.array([5, 0]))
    np.testing.assert_array_equal(numbers, rows.numbers[[2, 0]])
    assert (numbers.dtype, codes.dtype) == (np.float32, np.int64)
    assert codes.tolist() == rows.codes[[2, 0]].tolist()


@pytest.mark.parametrize(("column", "shapes"), [([1, 2], [(2, 1), (2, 0)]), (["a", "b"], [(2, 0), (2, 1)])])
def test_tables_without_numbers_or_without_categories_have_both_arrays(column, shapes):
    features = learned(pa.table({"a": column}), Task("features", ("a",)))
    rows = features.encode([pa.array(column)])
    for each in (rows, features.inputs(rows.columns())):
        assert [array.shape for array in each.batch(np.arange(2))] == shapes


def test_columns_of_other_types_are_read_if_they_can_be():
    features = learned(table_of([(1.0, 2, True, "7"), (3.0, 5, False, "8")]))
    expected = features.encode([pa.array([1.0]), pa.array([5]), pa.array([True]), pa.array(["7"])])
    other = [pa.array([1], pa.int8()), pa.array([5.0], pa.float32()), pa.array([1]), pa.array([7])]
    found = features.encode(other)
    np.testing.assert_array_equal(found.numbers, expected.numbers)
    assert found.codes.tolist() == expected.codes.tolist() != [[0]]
    dictionary = features.encode([*other[:3], pa.array(["7"]).dictionary_encode()])
    assert dictionary.codes.tolist() == expected.codes.tolist()


@pytest.mark.parametrize(
    ("place", "column", "message"),
    [
        (0, ["wide"], "column 'size' must hold numbers, got values of type string"),
        (3, [["a"]], "column 'colour' must hold category names, got values of type list"),
    ],
)
def test_columns_of_types_that_do_not_fit_are_refused(place, column, message):
    table = table_of([(1.0, 2, True, "a"), (3.0, 5, False, "b")])
    columns = [each.slice(0, 1) for each in columns_of(table)]
    columns[place] = pa.array(column)
    with pytest.raises(StillhouseError, match=message):
        learned(table).encode(columns)


def test_no_rows_are_refused():
    with pytest.raises(StillhouseError, match="the transfer set must hold rows"):
        learn_features([SCHEMA.empty_table()], TASK)


GOOD = {"name": "a", "type": "int64", "has_missing": False}
SCALING = {"centre": 0.0, "scale": 1.0, "mean": 0.0, "deviation": 1.0}


def test_a_file_is_read():
    stored = [{**GOOD, "scaling": SCALING}, {"name": "b", "categories": ["x"]}]
    features = Features.read({}, {"features.json": json.dumps(stored).encode()})
    assert features.columns == (Numeric("a", "int64", Scaling(**SCALING), False), Nominal("b", ("x",)))


@pytest.mark.parametrize(
    "stored",
    [
        {},
        [],
        [1],
        [{}],
        [{**GOOD}],
        [{**GOOD, "scaling": SCALING, "more": 1}],
        [{**GOOD, "scaling": SCALING, "type": "date"}],
        [{**GOOD, "scaling": SCALING, "has_missing": 1}],
        [{**GOOD, "scaling": {**SCALING, "mean": float("nan")}}],
        [{**GOOD, "scaling": {**SCALING, "mean": "0"}}],
        [{**GOOD, "scaling": {**SCALING, "deviation": 0.0}}],
        [{**GOOD, "scaling": {**SCALING, "scale": -1.0}}],
        [{"name": "a", "categories": ["x", "x"]}],
        [{"name": "a", "categories": [1]}],
        [{"name": "a", "categories": 5}],
    ],
)
def test_a_file_of_something_else_is_refused_with_an_error_that_its_reader_knows(stored):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Features.read({}, {"features.json": json.dumps(stored).encode()})
