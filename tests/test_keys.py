"""Content keys: equal inputs have equal keys wherever they stand, other inputs other ones; and sets of keys."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transferset import KeySet, Task, content_keys, find_keys, keys_from_arrow, keys_to_arrow, sort_keys

TEXT = Task("text", ("a",))
PAIR = Task("pair", ("a", "b"))
FEATURES = Task("features", ("i", "x", "s", "f"))
TYPES = {"i": pa.int64(), "x": pa.float64(), "s": pa.string(), "f": pa.bool_()}

few = settings(deadline=None, max_examples=60)
# Few letters, so that equal rows and equal concatenations come up often; the zero byte because lengths hold it.
short_texts = st.text(alphabet="ab\0é", max_size=4)
feature_rows = st.tuples(
    st.none() | st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.sampled_from([0.0, -0.0, 1.0, 5e-324]) | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | short_texts,
    st.none() | st.booleans(),
)


def text_batch(texts):
    return pa.record_batch({"a": pa.array(texts, pa.string())})


def pair_batch(pairs):
    return pa.record_batch({name: pa.array([pair[i] for pair in pairs], pa.string()) for i, name in enumerate("ab")})


def feature_batch(rows):
    columns = {name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in enumerate(TYPES.items())}
    return pa.record_batch(columns)


KINDS = {
    "text": (TEXT, text_batch, short_texts),
    "pair": (PAIR, pair_batch, st.tuples(short_texts, short_texts)),
    "features": (FEATURES, feature_batch, feature_rows),
}
GOLDEN = {
    "text": [
        "c35c17be97b426c294505e3b981a04d7",
        "99aa06d3014798d86001c324468d497f",
        "b130773c9971f57a868fc1bf20c7848e",
    ],
    "pair": ["30d7c767c16d6766e683bb0aff858c10", "4f83b3b7ca3641168c375ee0bb8b2e94"],
    "features": ["70b3970354610272f7f1f2eddf7961a7", "b32d6da30b640a5825483777b1700b11"],
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def key_of(task, **columns):
    """The key of one row as a tuple; a column is its one-cell array."""
    (key,) = content_keys(task, pa.record_batch(columns)).tolist()
    return tuple(key)


def feature_key(value, kind, name="x"):
    return key_of(Task("features", (name,)), **{name: pa.array([value], kind)})


# Keys of rows.


@every_kind
@few
@given(st.data())
def test_two_rows_have_one_key_exactly_where_their_inputs_are_equal(kind, data):
    task, batch, row = KINDS[kind]
    rows = data.draw(st.lists(row, max_size=12))
    keys = [tuple(key) for key in content_keys(task, batch(rows)).tolist()]
    assert len(keys) == len(rows)
    for one, key in zip(rows, keys, strict=True):
        assert [key == other for other in keys] == [one == other for other in rows]


@every_kind
@few
@given(st.data())
def test_a_key_does_not_depend_on_the_batch_the_slice_or_the_other_rows(kind, data):
    task, batch, row = KINDS[kind]
    rows = data.draw(st.lists(row, min_size=1, max_size=12))
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4))), len(rows)]
    whole = content_keys(task, batch(rows))
    # A slice keeps its parent's buffers and stands at an offset in them.
    slices = [batch(rows).slice(a, b - a) for a, b in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate([content_keys(task, each) for each in slices]), whole)
    assert np.array_equal(np.concatenate([content_keys(task, batch([each])) for each in rows]), whole)
    in_chunks = pa.Table.from_batches(slices)
    assert np.array_equal(content_keys(task, in_chunks), whole)
    assert np.array_equal(content_keys(task, in_chunks.slice(cuts[1])), whole[cuts[1] :])
    assert np.array_equal(content_keys(task, in_chunks.take(np.arange(len(rows))[::-1])), whole[::-1])


@every_kind
def test_no_rows_have_no_keys(kind):
    task, batch, _ = KINDS[kind]
    assert content_keys(task, batch([])).shape == (0, 2)
    assert content_keys(task, batch([]).schema.empty_table()).shape == (0, 2)


@every_kind
def test_a_table_without_a_chunk_has_no_keys(kind):
    task, batch, _ = KINDS[kind]
    assert content_keys(task, pa.Table.from_batches([], batch([]).schema)).shape == (0, 2)


def test_columns_that_are_no_input_do_not_count():
    task = Task("text", ("a",), "label", classes=("x", "y"))
    labelled = pa.record_batch({"label": ["x", "y"], "a": ["good", "good"], "source": [0, 1]})
    assert np.array_equal(content_keys(task, labelled), content_keys(TEXT, text_batch(["good", "good"])))


def test_the_key_of_a_text_does_not_depend_on_the_name_of_its_column_or_its_arrow_type():
    plain = key_of(TEXT, a=pa.array(["gut"]))
    assert key_of(Task("text", ("b",)), b=pa.array(["gut"])) == plain
    assert key_of(TEXT, a=pa.array(["gut"], pa.large_string())) == plain
    assert key_of(TEXT, a=pa.array(["gut"]).dictionary_encode()) == plain


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("", "ab"), ("ab", "")), (("a", "b"), ("b", "a")), (("a\0", "b"), ("a", "\0b"))],
)
def test_a_pair_is_told_from_other_cuts_of_the_same_letters(one, other):
    assert len(np.unique(content_keys(PAIR, pair_batch([one, other])), axis=0)) == 2


@few
@given(short_texts, short_texts)
@example("", "")
def test_texts_pairs_and_features_never_share_a_key(first, second):
    # The bytes that stand for a pair, given as a text, are the likeliest of all texts to be taken for it.
    spelt = len(first.encode()).to_bytes(8, "little").decode() + first + second
    keys = [
        key_of(PAIR, a=pa.array([first]), b=pa.array([second])),
        *(key_of(TEXT, a=pa.array([text])) for text in dict.fromkeys([first + second, spelt])),
        key_of(Task("features", ("a", "b")), a=pa.array([first]), b=pa.array([second])),
        key_of(Task("features", ("a",)), a=pa.array([first + second])),
    ]
    assert len(set(keys)) == len(keys)


def test_features_that_print_alike_but_differ_in_type_have_other_keys():
    values = [(1, pa.int64()), (1.0, pa.float64()), ("1", pa.string()), (True, pa.bool_())]
    assert len({feature_key(value, kind) for value, kind in values}) == len(values)


@pytest.mark.parametrize(
    ("kind", "values"),
    [(pa.int64(), [0]), (pa.float64(), [0.0]), (pa.string(), ["", "null", "None", "0"]), (pa.bool_(), [False])],
    ids=str,
)
def test_a_missing_feature_differs_from_zero_and_from_nothing(kind, values):
    assert len({feature_key(value, kind) for value in [None, *values]}) == len(values) + 1


def test_missing_features_of_two_types_differ():
    kinds = [pa.int64(), pa.float64(), pa.string(), pa.bool_()]
    assert len({feature_key(None, kind) for kind in kinds}) == len(kinds)


def test_a_missing_cell_has_one_key_whatever_lies_under_it():
    # Arrow leaves the bytes of a null cell as they were; the mask alone says that it is null.
    for kind, values in ((np.int64, [7, 7]), (np.float64, [0.5, 0.5]), (object, ["x", "x"])):
        under = pa.array(np.array(values, kind), mask=np.array([True, False]))
        assert key_of(Task("features", ("x",)), x=under[:1]) == feature_key(None, under.type)


def test_minus_zero_is_zero():
    assert math.copysign(1, -0.0) == -1
    assert feature_key(-0.0, pa.float64()) == feature_key(0.0, pa.float64())
    assert feature_key(-5e-324, pa.float64()) != feature_key(0.0, pa.float64())


def test_integers_beyond_the_precision_of_a_float_are_told_apart():
    assert feature_key(2**53, pa.int64()) != feature_key(2**53 + 1, pa.int64())


def test_the_name_and_the_order_of_feature_columns_count():
    assert feature_key(1, pa.int64(), "x") != feature_key(1, pa.int64(), "y")
    one, two = pa.array([1]), pa.array([2])
    straight = key_of(Task("features", ("a", "b")), a=one, b=two)
    assert key_of(Task("features", ("a", "b")), b=two, a=one) == straight
    assert key_of(Task("features", ("a", "b")), a=two, b=one) != straight
    assert key_of(Task("features", ("b", "a")), a=one, b=two) != straight


def test_keys_are_what_they_were():
    # A cache outlives the version that wrote it. Other keys would make every cache worthless without a word:
    # if they must change, the store's FORMAT must too. Made with
    # content_keys(task, batch) of the rows below, keys_to_arrow(keys).to_pylist() in hexadecimal.
    batches = {
        "text": (TEXT, text_batch(["good", "", "très bon 🎬"])),
        "pair": (PAIR, pair_batch([("a", "b"), ("", "")])),
        "features": (FEATURES, feature_batch([(1, 0.5, "red", True), (None, None, None, None)])),
    }
    got = {
        kind: [key.hex() for key in keys_to_arrow(content_keys(task, batch)).to_pylist()]
        for kind, (task, batch) in batches.items()
    }
    assert got == GOLDEN


# Keys in Parquet.

halves = st.sampled_from([0, 1, 2, 2**32, 2**63 - 1, 2**63, 2**64 - 1])
key_lists = st.lists(st.tuples(halves, halves), max_size=40)


def key_array(pairs):
    return np.array(pairs, np.uint64).reshape(-1, 2)


@few
@given(key_lists, st.data())
def test_keys_come_back_from_arrow_also_from_slices_and_chunks(pairs, data):
    keys = key_array(pairs)
    column = keys_to_arrow(keys)
    assert column.type == pa.binary(16)
    assert column.to_pylist() == [key.tobytes() for key in keys]
    assert np.array_equal(keys_from_arrow(column), keys)
    a, b = sorted(data.draw(st.tuples(*[st.integers(0, len(keys))] * 2)))
    sliced = column.slice(a, b - a)
    assert np.array_equal(keys_from_arrow(sliced), keys[a:b])
    assert np.array_equal(keys_from_arrow(sliced.slice(1) if len(sliced) else sliced), keys[a:b][1:])
    chunks = pa.chunked_array([column.slice(0, a), sliced, column.slice(b)])
    assert np.array_equal(keys_from_arrow(chunks), keys)
    assert np.array_equal(keys_from_arrow(chunks.slice(a)), keys[a:])


def test_keys_of_a_column_without_a_chunk_are_none():
    assert keys_from_arrow(pa.chunked_array([], pa.binary(16))).shape == (0, 2)


def test_keys_that_do_not_lie_together_are_written_rightly():
    keys = np.arange(24, dtype=np.uint64).reshape(12, 2)
    for view in (keys[::3], keys[::-1], np.asfortranarray(keys), keys[[5, 1]]):
        assert np.array_equal(keys_from_arrow(keys_to_arrow(view)), view)


def test_keys_come_back_from_parquet(tmp_path):
    keys = content_keys(TEXT, text_batch([str(i) for i in range(1000)]))
    pq.write_table(pa.table({"key": keys_to_arrow(keys)}), tmp_path / "k.parquet", row_group_size=300)
    assert np.array_equal(keys_from_arrow(pq.read_table(tmp_path / "k.parquet")["key"]), keys)


# Sets of keys.


@few
@given(st.lists(st.tuples(st.booleans(), key_lists), max_size=8))
def test_a_key_set_behaves_as_a_set(batches):
    seen, model = KeySet(), set()
    for adding, pairs in batches:
        keys = key_array(pairs)
        before = keys.copy()
        if adding:
            # Of a key that comes twice in a batch the first is new.
            expected = [pair not in model and pair not in pairs[:place] for place, pair in enumerate(pairs)]
            assert seen.add(keys).tolist() == expected
            model.update(pairs)
        assert seen.contains(keys).tolist() == [pair in model for pair in pairs]
        assert [key in seen for key in keys] == [pair in model for pair in pairs]
        assert len(seen) == len(model)
        assert np.array_equal(keys, before)


def test_a_key_set_of_many_runs_finds_what_is_in_any_of_them():
    random = np.random.default_rng(0)
    keys = random.integers(0, 1 << 63, (1000, 2)).astype(np.uint64)
    bounds = [0, 600, 850, 950, 985, 995, 999, 1000]
    seen = KeySet()
    for a, b in itertools.pairwise(bounds):
        assert seen.add(keys[a:b]).all()
    # Runs merge where one is not much longer than the next; these stay apart, or the test shows nothing.
    assert len(seen._runs) > 1
    assert seen.contains(keys).all()
    assert not seen.contains(keys ^ np.uint64(1)).any()
    assert not seen.add(keys[random.permutation(1000)]).any()
    assert len(seen) == 1000


def test_a_key_set_that_grows_key_by_key_has_few_runs():
    seen = KeySet()
    for number in range(500):
        assert seen.add(key_array([(number % 7, number)])).all()
    assert len(seen) == 500
    assert len(seen._runs) <= 10


def test_a_key_set_keeps_no_view_of_what_it_was_given():
    keys = key_array([(1, 1), (2, 2)])
    seen = KeySet()
    seen.add(keys)
    keys[:] = 9
    assert seen.contains(key_array([(1, 1), (2, 2), (9, 9)])).tolist() == [True, True, False]


def test_an_empty_key_set_holds_nothing():
    seen = KeySet()
    assert seen.add(key_array([])).tolist() == []
    assert seen.contains(key_array([(0, 0)])).tolist() == [False]
    assert len(seen) == 0


@few
@given(st.sets(st.tuples(halves, halves), max_size=40), key_lists)
def test_keys_are_found_where_they_stand_in_a_sorted_run(known, wanted):
    run = sorted(known)
    expected = [run.index(pair) if pair in known else -1 for pair in wanted]
    assert find_keys(key_array(run), key_array(wanted)).tolist() == expected


def test_keys_that_share_their_first_half_are_told_by_the_second():
    # Some stand at the very end, where the search must not run past the run.
    run = [(5, 2 * i) for i in range(200)] + [(2**64 - 1, 2 * i) for i in range(50)]
    wanted = [(first, second) for first in (4, 5, 6, 2**64 - 1) for second in range(401)]
    place = {pair: i for i, pair in enumerate(run)}
    assert find_keys(key_array(run), key_array(wanted)).tolist() == [place.get(pair, -1) for pair in wanted]
    seen = KeySet()
    assert seen.add(key_array(run[::2])).all()
    assert seen.add(key_array(run)).tolist() == [False, True] * 125


@few
@given(key_lists)
def test_sorting_is_by_both_halves_as_unsigned_numbers_and_stable(pairs):
    assert sort_keys(key_array(pairs)).tolist() == sorted(range(len(pairs)), key=lambda i: pairs[i])
