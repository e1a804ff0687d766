"""The logit cache: joined by key in any order, classes by name, and nothing missing goes unsaid."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transferset import LogitCache, StillhouseError, Store, Task, content_keys

CLASSES = ("ant", "bee", "cat")
ABOUT = {"teacher": "t1", "classes": list(CLASSES), "outputs": 3}
TASK = Task("text", ("a",), "label", classes=CLASSES)
SCORE = Task("text", ("a",), "label", "regression")


def keys_of(*rows):
    """The keys of the texts "0", "1" and so on."""
    return content_keys(TASK, pa.record_batch({"a": pa.array([str(row) for row in rows], pa.string())}))


def logits_of(*rows):
    """(B, 3) logits that say which row and class they are of; exact in float32."""
    return np.array(rows, np.float32)[:, None] * 8 + np.arange(3, dtype=np.float32) - 100


def append(cache, *rows):
    cache.append(keys_of(*rows), logits_of(*rows), np.array(rows, np.int32) + 2)


def filled(path):
    """The rows 0 to 29, in three parts and in no order."""
    cache = LogitCache.create(path, ABOUT, {})
    for part in np.random.default_rng(0).permutation(30).reshape(3, 10):
        append(cache, *part.tolist())
    return cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("cache"))


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(st.integers(0, 29), max_size=40), order=st.permutations(range(3)))
def test_logits_are_joined_by_key_in_any_order_and_classes_by_name(cache, rows, order):
    task = Task("text", ("a",), "label", classes=tuple(CLASSES[place] for place in order))
    got = cache.logits(keys_of(*rows), task)
    assert got.dtype == np.float32
    assert got.shape == (len(rows), 3)
    assert np.array_equal(got, logits_of(*rows).reshape(-1, 3)[:, order])


def test_a_reopened_cache_gives_the_same(tmp_path):
    filled(tmp_path)
    assert np.array_equal(LogitCache.open(tmp_path).logits(keys_of(7, 3, 7), TASK), logits_of(7, 3, 7))
    assert np.array_equal(LogitCache.create(tmp_path, ABOUT, {"by": "x"}).logits(keys_of(5), TASK), logits_of(5))


def test_a_task_without_classes_takes_the_order_of_the_cache(cache):
    unlabelled = Task("text", ("a",))
    assert np.array_equal(cache.logits(keys_of(4, 2), unlabelled), logits_of(4, 2))


def test_missing_keys_are_counted_in_the_error_that_says_what_to_run(cache):
    message = f"2 of 5 are missing: run `stillhouse label` on it with --out {cache.store.path}"
    with pytest.raises(StillhouseError, match=re.escape(message)):
        cache.logits(keys_of(3, 30, 5, 31, 3), TASK)


def test_in_an_empty_cache_every_row_is_missing(tmp_path):
    cache = LogitCache.create(tmp_path, ABOUT, {})
    assert cache.logits(keys_of(), TASK).shape == (0, 3)
    assert cache.keys().shape == (0, 2)
    with pytest.raises(StillhouseError, match="3 of 3 are missing"):
        cache.logits(keys_of(0, 1, 1), TASK)
    append(cache)
    assert cache.verify() == []
    with pytest.raises(StillhouseError, match="1 of 1 are missing"):
        cache.logits(keys_of(0), TASK)


@pytest.mark.parametrize("classes", [("ant", "bee"), ("ant", "bee", "dog"), (*CLASSES, "dog"), ("Ant", "bee", "cat")])
def test_a_task_of_other_classes_is_refused_with_both_lists(cache, classes):
    task = Task("text", ("a",), "label", classes=classes)
    message = f"classes must be those of the task ({', '.join(classes)}), got ant, bee, cat"
    with pytest.raises(StillhouseError, match=re.escape(message)):
        cache.logits(keys_of(0), task)


def test_scores_are_read_back_for_regression(tmp_path):
    cache = LogitCache.create(tmp_path, {"classes": [], "outputs": 1}, {})
    cache.append(keys_of(0, 1), np.array([[0.5], [-3]], np.float32), np.array([3, 3], np.int32))
    assert cache.logits(keys_of(1, 0), SCORE).tolist() == [[-3], [0.5]]
    assert cache.verify() == []


def test_scores_are_no_logits_of_classes(tmp_path):
    cache = LogitCache.create(tmp_path, {"classes": [], "outputs": 1}, {})
    cache.append(keys_of(0), np.array([[0.5]], np.float32), np.array([3], np.int32))
    for task in (TASK, Task("text", ("a",))):
        with pytest.raises(StillhouseError, match="got a score"):
            cache.logits(keys_of(0), task)


def test_logits_of_classes_are_no_scores(cache):
    with pytest.raises(StillhouseError, match="got ant, bee, cat"):
        cache.logits(keys_of(0), SCORE)


def test_keys_and_lengths_are_those_appended(tmp_path):
    cache = LogitCache.create(tmp_path, ABOUT, {})
    append(cache, 5, 1)
    append(cache, 9)
    assert np.array_equal(cache.keys(), keys_of(5, 1, 9))
    keys, lengths = cache.tokens()
    assert np.array_equal(keys, keys_of(5, 1, 9))
    assert lengths.tolist() == [7, 3, 11]
    assert lengths.dtype == np.int32


def test_logits_of_any_layout_and_precision_are_stored_as_float32(tmp_path):
    cache = LogitCache.create(tmp_path, ABOUT, {})
    layouts = [np.asfortranarray(logits_of(0, 1)), logits_of(3, 9, 2)[::-2], logits_of(4).astype(np.float64)]
    before = [each.copy() for each in layouts]
    for rows, logits in zip(([0, 1], [2, 3], [4]), layouts, strict=True):
        cache.append(keys_of(*rows), logits, np.zeros(len(rows), np.int32))
    assert np.array_equal(cache.logits(keys_of(0, 1, 2, 3, 4), TASK), logits_of(0, 1, 2, 3, 4))
    assert all(np.array_equal(one, other) for one, other in zip(layouts, before, strict=True))


def test_a_part_has_the_columns_of_the_contract(tmp_path):
    cache = filled(tmp_path)
    table = pq.read_table(tmp_path / cache.store.parts()[0].file)
    assert table.schema.names == ["key", "logits", "tokens"]
    assert table.schema.types == [pa.binary(16), pa.list_(pa.float32(), 3), pa.int32()]


def test_the_cache_of_another_teacher_is_refused(tmp_path):
    filled(tmp_path)
    for field, value in (("teacher", "t2"), ("classes", ["bee", "ant", "cat"]), ("outputs", 4)):
        with pytest.raises(StillhouseError, match=f"{field} must be what the logit cache was made with"):
            LogitCache.create(tmp_path, {**ABOUT, field: value}, {})
    assert len(LogitCache.open(tmp_path).keys()) == 30


def test_a_transfer_set_is_not_opened_as_a_cache(tmp_path):
    Store.create(tmp_path, "transfer set", ABOUT, {})
    with pytest.raises(StillhouseError, match="must be a logit cache, got a transfer set"):
        LogitCache.open(tmp_path)
    with pytest.raises(StillhouseError, match="got nothing there: make one with `stillhouse label`"):
        LogitCache.open(tmp_path / "none")


@pytest.mark.parametrize(
    "about", [{}, {"classes": []}, {"classes": None, "outputs": 1}, {"classes": [], "outputs": "many"}], ids=str
)
def test_a_description_that_is_none_of_a_cache_is_refused(tmp_path, about):
    Store.create(tmp_path, "logit cache", about, {})
    with pytest.raises(StillhouseError, match=r"about\.json must describe a logit cache"):
        LogitCache.open(tmp_path)


def test_a_sound_cache_has_no_problems(cache):
    assert cache.verify() == []


def test_verify_finds_a_key_held_twice_within_a_part_and_across_parts(tmp_path):
    cache = filled(tmp_path)
    append(cache, 40, 41, 40)
    append(cache, 50, 3, 41, 7)
    *_, within, across = cache.store.parts()
    assert cache.verify() == [
        f"{tmp_path / within.file}: must hold each key once, got 1 again",
        f"{tmp_path / across.file}: must hold each key once, got 3 again",
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_verify_finds_logits_that_are_not_finite(tmp_path, value):
    cache = filled(tmp_path)
    logits = logits_of(30, 31)
    logits[1, 2] = value
    cache.append(keys_of(30, 31), logits, np.zeros(2, np.int32))
    assert cache.verify() == [f"{tmp_path / cache.store.parts()[-1].file}: logits must be finite, got others"]


def test_verify_names_a_damaged_part_and_reading_stops_at_it(tmp_path):
    cache = filled(tmp_path)
    file = tmp_path / cache.store.parts()[1].file
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    (problem,) = cache.verify()
    assert problem.startswith(f"{file}: must have checksum")
    for read in (cache.keys, cache.tokens, lambda: cache.logits(keys_of(0), TASK)):
        with pytest.raises(StillhouseError, match=file.name):
            read()
