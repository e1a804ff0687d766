"""The logit cache: joined by key in any order, classes by name, each key once, and nothing missing goes unsaid."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store import in_process, tell

import transferset.store
from transferset import LogitCache, StillhouseError, Store, Task, content_keys, keys_from_arrow, keys_to_arrow
from transferset._signals import to_column

CLASSES = ("ant", "bee", "cat")
ABOUT = {"teacher": "t1", "classes": list(CLASSES), "signals": {"logits": 3}, "storage": "float32"}
SCORES = {"teacher": "t1", "classes": [], "signals": {"logits": 1}, "storage": "float32"}
BOTH = {**ABOUT, "signals": {"logits": 3, "embedding": 5}}
TASK = Task("text", ("a",), "label", classes=CLASSES)
SCORE = Task("text", ("a",), "label", "regression")


def keys_of(*rows):
    """The keys of the texts "0", "1" and so on."""
    return content_keys(TASK, pa.record_batch({"a": pa.array([str(row) for row in rows], pa.string())}))


def logits_of(*rows):
    """(B, 3) logits that say which row and class they are of; exact in float32."""
    return np.array(rows, np.float32)[:, None] * 8 + np.arange(3, dtype=np.float32) - 100


def embeddings_of(*rows):
    """(B, 5) numbers that say which row they are of; not exact in float16."""
    return np.sin(np.array(rows, np.float32)[:, None] * 7 + np.arange(5, dtype=np.float32)).reshape(-1, 5)


def append(cache, *rows, cut=0):
    every = {"logits": logits_of(*rows).reshape(-1, 3), "embedding": embeddings_of(*rows)}
    return cache.append(keys_of(*rows), {name: every[name] for name in cache.widths}, cut)


def put(cache, rows, **columns):
    """Commits a part past all checks."""
    own = {"key": keys_to_arrow(keys_of(*rows)), "logits": to_column(logits_of(*rows), "float32")}
    return cache.store.commit(pa.table({**own, **columns}), {})


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
    message = f"2 of 5 are missing: run `stillhouse label` with --out {cache.store.path} on the transfer set; `stillh"
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
    cache = LogitCache.create(tmp_path, SCORES, {})
    cache.append(keys_of(0, 1), {"logits": np.array([[0.5], [-3]], np.float32)})
    assert cache.logits(keys_of(1, 0), SCORE).tolist() == [[-3], [0.5]]
    assert cache.verify() == []


def test_scores_are_no_logits_of_classes(tmp_path):
    cache = LogitCache.create(tmp_path, SCORES, {})
    cache.append(keys_of(0), {"logits": np.array([[0.5]], np.float32)})
    for task in (TASK, Task("text", ("a",))):
        with pytest.raises(StillhouseError, match="got a score"):
            cache.logits(keys_of(0), task)


def test_logits_of_classes_are_no_scores(cache):
    with pytest.raises(StillhouseError, match="got ant, bee, cat"):
        cache.logits(keys_of(0), SCORE)


def test_keys_are_those_appended(tmp_path):
    cache = LogitCache.create(tmp_path, ABOUT, {})
    append(cache, 5, 1)
    append(cache, 9)
    assert np.array_equal(cache.keys(), keys_of(5, 1, 9))


def test_logits_of_any_layout_and_precision_are_stored_as_float32(tmp_path):
    cache = LogitCache.create(tmp_path, ABOUT, {})
    layouts = [np.asfortranarray(logits_of(0, 1)), logits_of(3, 9, 2)[::-2], logits_of(4).astype(np.float64)]
    before = [each.copy() for each in layouts]
    for rows, logits in zip(([0, 1], [2, 3], [4]), layouts, strict=True):
        cache.append(keys_of(*rows), {"logits": logits})
    assert np.array_equal(cache.logits(keys_of(0, 1, 2, 3, 4), TASK), logits_of(0, 1, 2, 3, 4))
    assert all(np.array_equal(one, other) for one, other in zip(layouts, before, strict=True))


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_a_part_has_the_columns_of_the_contract(tmp_path, storage):
    cache = LogitCache.create(tmp_path, {**BOTH, "storage": storage}, {})
    append(cache, 1, 2)
    table = pq.read_table(tmp_path / cache.store.parts()[0].file)
    number = pa.float32() if storage == "float32" else pa.float16()
    assert table.schema.names == ["key", "logits", "embedding"]
    assert table.schema.types == [pa.binary(16), pa.list_(number, 3), pa.list_(number, 5)]


def test_the_cache_of_another_teacher_is_refused(tmp_path):
    filled(tmp_path)
    for field, value in (("teacher", "t2"), ("classes", ["bee", "ant", "cat"]), ("storage", "float16")):
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
    "change",
    [
        {"classes": None},
        {"signals": None},
        {"signals": {"logits": "many"}},
        {"storage": "int8"},
        {"storage": None},
    ],
    ids=str,
)
def test_a_description_that_is_none_of_a_cache_is_refused(tmp_path, change):
    Store.create(tmp_path, "logit cache", {**ABOUT, **change}, {})
    with pytest.raises(StillhouseError, match=r"about\.json must describe a logit cache"):
        LogitCache.open(tmp_path)


def test_a_sound_cache_has_no_problems(cache):
    assert cache.verify() == []


def test_verify_finds_a_key_held_twice_within_a_part_and_across_parts(tmp_path):
    cache = filled(tmp_path)
    within, across = put(cache, [40, 41, 40]), put(cache, [50, 3, 41, 7])
    assert cache.verify() == [
        f"{tmp_path / within.file}: must hold each key once, got 1 again",
        f"{tmp_path / across.file}: must hold each key once, got 3 again",
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("signal", ["logits", "embedding"])
def test_verify_names_the_part_signal_and_row_of_a_number_that_is_not_finite(tmp_path, signal, value):
    cache = LogitCache.create(tmp_path, BOTH, {})
    append(cache, *range(30))
    signals = {"logits": logits_of(30, 31), "embedding": embeddings_of(30, 31)}
    signals[signal][1, 2] = value
    part = put(cache, [30, 31], **{name: to_column(each, "float32") for name, each in signals.items()})
    assert cache.verify() == [f"{tmp_path / part.file}: {signal} must be finite, got {value} in row 1"]


def test_verify_finds_columns_of_another_type_or_none(tmp_path):
    cache = filled(tmp_path)
    wide = put(cache, [40], logits=to_column(embeddings_of(40), "float32"))
    half = put(cache, [41], logits=to_column(logits_of(41), "float16"))
    none = cache.store.commit(pa.table({"key": keys_to_arrow(keys_of(42))}), {})
    says = "must be Parquet with the columns of a logit cache: column 'logits' must be"
    problems = cache.verify()
    for part, got in (
        (wide, "fixed_size_list<element: float>[3], got fixed_size_list<element: float>[5]"),
        (half, "fixed_size_list<element: float>[3], got fixed_size_list<element: halffloat>[3]"),
        (none, "there once, got it 0 times"),
    ):
        problem = problems.pop(0).replace("<item:", "<element:")
        assert problem.startswith(f"{tmp_path / part.file}: {says} {got}: delete it with its record _manifest/"), (
            problem
        )
    assert problems == []


def test_verify_finds_logits_that_are_not_as_many_as_the_classes(tmp_path):
    cache = LogitCache.create(tmp_path, {**ABOUT, "classes": ["ant", "bee"]}, {})
    assert cache.verify() == [f"{tmp_path}: logits must have width 2 (ant, bee), got 3"]
    assert LogitCache.create(tmp_path / "score", SCORES, {}).verify() == []


def test_verify_names_a_damaged_part_and_reading_stops_at_it(tmp_path):
    cache = filled(tmp_path)
    file = tmp_path / cache.store.parts()[1].file
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    cache = LogitCache.open(tmp_path)
    (problem,) = cache.verify()
    assert problem.startswith(f"{file}: must have checksum")
    for read in (cache.keys, cache.refresh, cache.refresh, lambda: cache.logits(keys_of(0), TASK)):
        with pytest.raises(StillhouseError, match=file.name):
            read()


# Several signals, in single and half precision.


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_every_signal_is_read_back_by_key(tmp_path, storage):
    cache = LogitCache.create(tmp_path, {**BOTH, "storage": storage}, {})
    for part in np.random.default_rng(0).permutation(30).reshape(3, 10):
        append(cache, *part.tolist())
    rows = [7, 3, 7, 29, 0]
    wanted = {"logits": logits_of(*rows), "embedding": embeddings_of(*rows)}
    if storage == "float16":
        wanted = {name: each.astype(np.float16).astype(np.float32) for name, each in wanted.items()}
    # The cache's own numbers, to the bit, whichever way they are read.
    read = cache.reader(["embedding", "logits"]).rows(keys_of(*rows))
    for name, each in wanted.items():
        for got in (cache.signal(name, keys_of(*rows)), read[name]):
            assert got.dtype == np.float32
            assert np.array_equal(got, each)
    assert np.array_equal(cache.logits(keys_of(*rows), TASK), wanted["logits"])
    assert cache.verify() == []


def test_what_rounding_costs_is_noted_with_the_part(tmp_path):
    cache = LogitCache.create(tmp_path, {**BOTH, "storage": "float16"}, {})
    append(cache, 1, 2)
    append(cache, 2, 3, cut=4)
    error = np.abs(embeddings_of(3) - embeddings_of(3).astype(np.float16).astype(np.float32)).astype(np.float64)
    assert error.max() > 0
    notes = cache.store.parts()[1].notes
    assert notes["cut"] == 4
    assert notes["rounding"]["logits"] == {"max": 0.0, "mean": 0.0}
    # Only the row that was committed counts.
    assert notes["rounding"]["embedding"] == pytest.approx({"max": error.max(), "mean": error.mean()})
    single = LogitCache.create(tmp_path / "single", BOTH, {})
    append(single, 1, cut=1)
    assert single.store.parts()[0].notes == {"cut": 1}


@pytest.mark.parametrize("value", [65520.0, -1e9])
def test_what_half_precision_cannot_hold_is_refused_and_nothing_is_committed(tmp_path, value):
    cache = LogitCache.create(tmp_path, {**BOTH, "storage": "float16"}, {})
    embedding = embeddings_of(1, 2)
    embedding[1, 3] = value
    message = f"embedding: must be between -65504 and 65504 for float16, got {value}"
    with pytest.raises(StillhouseError, match=re.escape(message)):
        cache.append(keys_of(1, 2), {"logits": logits_of(1, 2), "embedding": embedding})
    assert cache.store.parts() == []
    assert not cache.has(keys_of(1, 2)).any()
    embedding[1, 3] = 65504
    assert cache.append(keys_of(1, 2), {"logits": logits_of(1, 2), "embedding": embedding}) == 2


def test_signals_that_are_not_the_caches_are_refused(tmp_path):
    cache = LogitCache.create(tmp_path, BOTH, {})
    logits, embedding = logits_of(1, 2), embeddings_of(1, 2)
    for signals in (
        {"logits": logits},
        {"logits": logits, "embedding": logits},
        {"logits": logits, "embedding": embedding[:1]},
        {"logits": logits, "embedding": embedding, "hidden": embedding},
    ):
        with pytest.raises(StillhouseError, match="signals must have shapes"):
            cache.append(keys_of(1, 2), signals)
    assert cache.store.parts() == []


def test_a_signal_that_is_not_there_says_which_are_and_what_to_run(tmp_path, cache):
    run = "got logits: run `stillhouse label` with --signals logits,embedding and another --out"
    for read in (lambda: cache.signal("embedding", keys_of(1)), lambda: cache.reader(["logits", "embedding"])):
        with pytest.raises(StillhouseError, match=f"{cache.path}: must hold embedding, {run}"):
            read()
    other = LogitCache.create(tmp_path, {**ABOUT, "classes": [], "signals": {"embedding": 5}}, {})
    assert other.outputs == 0
    assert append(other, 1) == 1
    assert other.verify() == []
    with pytest.raises(StillhouseError, match="must hold logits, got embedding: run `stillhouse label` with --signals"):
        other.logits(keys_of(1), TASK)


def test_missing_keys_are_counted_for_any_signal_and_reader(cache):
    for read in (lambda keys: cache.signal("logits", keys), lambda keys: cache.reader(["logits"]).rows(keys)):
        with pytest.raises(StillhouseError, match="must hold the logits of every row, 2 of 3 are missing: run"):
            read(keys_of(3, 30, 30))


def test_a_reader_of_an_empty_cache_has_no_rows(tmp_path):
    reader = LogitCache.create(tmp_path, BOTH, {}).reader(["embedding"])
    assert reader.rows(keys_of())["embedding"].shape == (0, 5)
    with pytest.raises(StillhouseError, match="1 of 1 are missing"):
        reader.rows(keys_of(0))


# Each key once, whoever appends.


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 1), st.lists(st.integers(0, 12), max_size=6)), max_size=8))
def test_two_writers_in_turn_commit_each_key_once(tmp_path_factory, turns):
    path = tmp_path_factory.mktemp("turns")
    LogitCache.create(path, ABOUT, {})
    writers = [LogitCache.open(path), LogitCache.open(path)]
    known = set()
    for writer, rows in turns:
        assert append(writers[writer], *rows) == len(set(rows) - known)
        known |= set(rows)
        assert writers[writer].has(keys_of(*range(13))).tolist() == [row in known for row in range(13)]
    reader = LogitCache.open(path)
    assert sorted(map(tuple, reader.keys().tolist())) == sorted(map(tuple, keys_of(*sorted(known)).tolist()))
    assert len(reader.held) == len(known) == reader.store.rows()
    assert np.array_equal(reader.logits(keys_of(*sorted(known)), TASK), logits_of(*sorted(known)).reshape(-1, 3))
    assert reader.verify() == []


def append_many(path, seed):
    """Appends the same 400 rows in an order of its own, five at a time."""
    cache = LogitCache.open(path)
    tell("ready")
    input()
    for rows in np.random.default_rng(int(seed)).permutation(400).reshape(-1, 5):
        append(cache, *rows.tolist())


def append_in_three_processes(path):
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(in_process(append_many, path, seed, module="test_logit_cache")) for seed in "012"
        ]
        for writer in writers:
            assert writer.stdout.readline() == "ready\n", writer.stderr.read()
        for writer in writers:
            print(file=writer.stdin, flush=True)
        for writer in writers:
            _, errors = writer.communicate()
            assert writer.returncode == 0, errors


def test_processes_that_append_the_same_rows_at_once_commit_each_key_once(tmp_path):
    cache = LogitCache.create(tmp_path, ABOUT, {})
    append_in_three_processes(tmp_path)
    assert cache.refresh() == 400
    assert cache.verify() == []
    parts = cache.store.parts()
    assert [part.slot for part in parts] == list(range(len(parts)))
    # More than one of them had something to add, or this would show nothing.
    assert len(parts) > 80
    assert np.array_equal(cache.logits(keys_of(*range(400)), TASK), logits_of(*range(400)))


def test_refresh_learns_what_others_committed_and_reads_no_record_where_there_is_nothing_new(tmp_path, monkeypatch):
    cache, other = filled(tmp_path), LogitCache.open(tmp_path)
    assert other.refresh() == 30
    append(cache, 30, 31, 5)
    assert not other.has(keys_of(30)).any()
    assert other.refresh() == 2
    assert other.has(keys_of(30, 31, 32)).tolist() == [True, True, False]
    monkeypatch.setattr(Store, "read", None)
    monkeypatch.setattr(Store, "parts", None)
    assert other.refresh() == 0
    # One's own rows are known without reading them again.
    assert append(other, 40) == 1
    assert other.refresh() == 0


def test_a_part_deleted_with_its_record_is_missing_and_labelled_again(tmp_path):
    cache = filled(tmp_path)
    gone = cache.store.parts()[1]
    lost = [row for row in range(30) if tuple(keys_of(row)[0]) in set(map(tuple, _keys(cache, gone)))]
    (tmp_path / gone.file).unlink()
    (tmp_path / "_manifest" / "000001.json").unlink()
    cache = LogitCache.open(tmp_path)
    assert cache.has(keys_of(*range(30))).tolist() == [row not in lost for row in range(30)]
    assert append(cache, *range(30)) == 10
    assert cache.verify() == []
    assert len(LogitCache.open(tmp_path).held) == 30


def _keys(cache, part):
    return keys_from_arrow(cache.store.read(part, ["key"])["key"])


def test_a_failed_commit_leaves_its_keys_to_be_appended_again(tmp_path, monkeypatch):
    cache = filled(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("transferset.files._write_synced", _no_space)
        with pytest.raises(StillhouseError, match="No space left"):
            append(cache, 30, 31)
    assert not cache.has(keys_of(30, 31)).any()
    assert append(cache, 30, 31) == 2
    assert cache.verify() == []


def _no_space(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# The teacher's files.


FILES = {"tokenizer.json": b"{}", "embeddings.safetensors": b"\0" * 1000}


def test_the_teachers_files_are_kept_once(tmp_path):
    cache = filled(tmp_path)
    cache.keep({})
    assert not cache.teacher_folder.exists()
    cache.keep(FILES)
    cache.keep({"tokenizer.json": b"another"})
    assert {name: (cache.teacher_folder / name).read_bytes() for name in FILES} == FILES
    assert cache.verify() == []
    # The directory still reads as plain Parquet.
    assert pq.read_table(tmp_path).num_rows == 30


def test_files_that_were_not_all_kept_are_kept_again(tmp_path, monkeypatch):
    cache = filled(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("transferset.files._write_synced", _no_space)
        with pytest.raises(StillhouseError, match="No space left"):
            cache.keep(FILES)
    (cache.teacher_folder / "tokenizer.json").write_bytes(b"old")
    assert any("files.json: must name what the labeller kept" in problem for problem in cache.verify())
    cache.keep(FILES)
    assert cache.verify() == []
    assert (cache.teacher_folder / "tokenizer.json").read_bytes() == b"{}"


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_verify_finds_damage_to_the_teachers_files(tmp_path, damage):
    cache = filled(tmp_path)
    cache.keep(FILES)
    file = cache.teacher_folder / "tokenizer.json"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"[]")
    again = "delete _teacher and run `stillhouse label` again"
    assert cache.verify() == [f"{file}: must be what the labeller kept, got another file or none: {again}"]
    shutil.rmtree(cache.teacher_folder)
    cache.keep(FILES)
    assert cache.verify() == []


@pytest.mark.parametrize("record", ["", "[]", json.dumps({"tokenizer.json": 1})])
def test_verify_finds_a_record_of_files_that_is_none(tmp_path, record):
    cache = filled(tmp_path)
    cache.keep(FILES)
    (cache.teacher_folder / "files.json").write_text(record)
    (problem,) = cache.verify()
    assert problem.startswith(f"{cache.teacher_folder / 'files.json'}: must name what the labeller kept")


def test_a_part_that_is_being_committed_is_not_collected(tmp_path, monkeypatch):
    cache = LogitCache.create(tmp_path / "L", ABOUT, {})
    link, refused = transferset.store.link_file, []

    def collected_first(*arguments):
        with pytest.raises(StillhouseError, match="must not be in use") as error:
            Store.open(tmp_path / "L").gc()
        refused.append(error)
        link(*arguments)

    monkeypatch.setattr(transferset.store, "link_file", collected_first)
    cache.append(keys_of(1, 2), {"logits": logits_of(1, 2)})
    assert len(refused) == 1
    assert cache.verify() == []


@pytest.mark.parametrize("signals", [{}, {"logits": 0}, {"logits": -1}, {"logits": 3, "embedding": 0}])
def test_a_cache_without_numbers_is_none(tmp_path, signals):
    store = Store.create(tmp_path, "logit cache", {**ABOUT, "signals": signals}, {})
    with pytest.raises(StillhouseError, match="must describe a logit cache: signals must have widths of at least 1"):
        LogitCache(store)


def test_numbers_are_read_in_the_type_and_width_that_they_are_stored_in(tmp_path):
    filled(tmp_path)
    file = next(tmp_path.rglob("about.json"))
    record = json.loads(file.read_text())
    keys = LogitCache.open(file.parent.parent).keys()
    for change, wanted in (({"storage": "float16"}, r"halffloat>\[3\]"), ({"signals": {"logits": 4}}, r"float>\[4\]")):
        file.write_text(json.dumps({**record, "about": {**record["about"], **change}}))
        cache = LogitCache.open(file.parent.parent)
        for read in (cache.signal, lambda name, keys, cache=cache: cache.reader([name])):
            with pytest.raises(StillhouseError, match=f"must be fixed_size_list<[a-z]+: {wanted}, got fixed_size_list"):
                read("logits", keys)
