"""Distinct rows and their chunks: every row in one chunk, bounded, and the same whatever is labelled already."""

from __future__ import annotations

import numpy as np
import pytest
from counting_teacher import TASK, TEXTS, texts_in, transfer_set
from hypothesis import given, settings
from hypothesis import strategies as st

import label._rows
from augment import Ngram
from label._rows import DistinctRows, distinct_rows, sample_rows
from label._spool import Spool
from label.teacher import Description
from transferset import KeySet, keys_from_arrow, sort_keys


def none_of(keys):
    return np.zeros(len(keys), np.bool_)


def description(chunk_rows=1000, chunk_bytes=None):
    return Description({}, (), {}, chunk_rows=chunk_rows, chunk_bytes=chunk_bytes)


def rows_of(tmp_path, sizes, seed=0):
    """Distinct rows of these sizes, with random keys."""
    keys = np.random.default_rng(seed).integers(0, 1 << 63, (len(sizes), 2)).astype(np.uint64)
    places = np.arange(len(sizes))
    return DistinctRows(len(sizes), keys, np.array(sizes, np.int64), places, places, Spool(tmp_path))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 9000), min_size=1, max_size=200),
    st.integers(1, 50),
    st.one_of(st.none(), st.integers(1, 20_000)),
)
def test_every_row_is_in_one_chunk_within_the_bounds(tmp_path_factory, sizes, chunk_rows, chunk_bytes):
    rows = rows_of(tmp_path_factory.getbasetemp(), sizes)
    chunks = rows.chunks(description(chunk_rows, chunk_bytes))
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(sizes)))
    assert all(0 < len(chunk) <= chunk_rows for chunk in chunks)
    if chunk_bytes is None:
        assert np.concatenate(chunks).tolist() == list(range(len(sizes)))
        return
    # One row alone may be larger than a chunk.
    assert all(len(chunk) == 1 or rows.size[chunk].sum() <= chunk_bytes for chunk in chunks)
    assert (np.diff(rows.size[np.concatenate(chunks)]) <= 0).all()


def test_chunks_do_not_depend_on_the_order_of_the_rows(tmp_path):
    sizes = np.random.default_rng(1).integers(1, 40, 500)
    rows, order = rows_of(tmp_path, sizes), np.random.default_rng(2).permutation(500)
    turned = DistinctRows(500, rows.keys[order], rows.size[order], rows.source, rows.place, rows.spool)
    asked = description(chunk_bytes=100)
    for one, other in zip(rows.chunks(asked), turned.chunks(asked), strict=True):
        np.testing.assert_array_equal(rows.keys[one], turned.keys[other])


def test_chunks_do_not_depend_on_what_is_labelled(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS, [Ngram(rate=0.9)], copies=3)
    held = KeySet()
    fresh = distinct_rows(transfer, none_of, tmp_path / "a", progress=False)
    held.add(fresh.keys[::3])
    resumed = distinct_rows(transfer, held.contains, tmp_path / "b", progress=False)
    assert (resumed.place[::3] == -1).all()
    assert resumed.pending == len(fresh.keys) - len(fresh.keys[::3])
    for bounds in (description(7), description(20, 60)):
        for one, other in zip(fresh.chunks(bounds), resumed.chunks(bounds), strict=True):
            np.testing.assert_array_equal(one, other)


def test_distinct_rows_know_where_they_come_from_and_wait_in_the_spool(tmp_path, monkeypatch):
    pieces = label._rows._pieces
    monkeypatch.setattr(label._rows, "_pieces", lambda transfer: pieces(transfer, rows=7))
    transfer = transfer_set(tmp_path, [*TEXTS, *TEXTS[:9], "é", "日本"])
    rows = distinct_rows(transfer, none_of, tmp_path / "scratch", progress=False)
    texts = [*TEXTS, "é", "日本"]
    assert (rows.rows, rows.pending, len(rows.keys)) == (51, 42, 42)
    assert rows.spool.take(rows.place)["text"].to_pylist() == texts
    assert rows.spool.take(rows.place).column_names == ["text"]
    assert rows.size.tolist() == [len(text.encode()) for text in texts]
    assert rows.source.tolist() == [*range(40), 49, 50]
    (table,) = transfer.tables(["key"])
    first = [*range(40), 49, 50]
    np.testing.assert_array_equal(rows.keys, keys_from_arrow(table["key"])[first])


def test_rows_that_the_cache_has_are_not_kept_waiting(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    rows = distinct_rows(transfer, lambda keys: np.ones(len(keys), np.bool_), tmp_path / "scratch", progress=False)
    assert (rows.pending, len(rows.keys), set(rows.place.tolist())) == (0, 40, {-1})


def test_nothing_is_left_on_disk_of_rows_that_wait(tmp_path):
    rows = distinct_rows(transfer_set(tmp_path, TEXTS), none_of, tmp_path / "scratch", progress=False)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert len(rows.spool.take(np.arange(40))) == 40


@pytest.mark.parametrize("number", [1, 10, 1000])
def test_a_sample_is_of_distinct_rows_and_always_the_same(tmp_path, number):
    transfer = transfer_set(tmp_path, TEXTS + TEXTS[:20], [Ngram(rate=0.9)], copies=2)
    sample, texts = sample_rows(transfer, number), set(texts_in(transfer))
    assert sample.column_names == list(TASK.inputs)
    found = sample["text"].to_pylist()
    assert len(found) == len(set(found)) == min(number, len(texts))
    assert set(found) <= texts
    assert sample_rows(transfer, number).equals(sample)


def test_a_sample_does_not_depend_on_the_order_of_the_transfer_set(tmp_path):
    one = sample_rows(transfer_set(tmp_path / "a", TEXTS), 10)
    other = sample_rows(transfer_set(tmp_path / "b", TEXTS[::-1]), 10)
    assert one.equals(other)
    # It is not the first rows.
    assert one["text"].to_pylist() != TEXTS[:10]


def test_a_sample_of_many_parts_is_of_four_that_lie_apart(tmp_path, monkeypatch):
    transfer = transfer_set(tmp_path, [f"text number {n}" for n in range(300)])
    read, parts = [], transfer.store.parts()
    monkeypatch.setattr(transfer.store, "parts", lambda: parts * 10)
    original = transfer.store.read
    monkeypatch.setattr(transfer.store, "read", lambda part, columns: read.append(part) or original(part, columns))
    assert len(sample_rows(transfer, 1000)) == 300
    assert len(read) == 4


def test_sorted_keys_settle_ties_of_length(tmp_path):
    rows = rows_of(tmp_path, [5] * 30)
    (chunk,) = rows.chunks(description(chunk_bytes=1 << 20))
    np.testing.assert_array_equal(chunk, sort_keys(rows.keys))
