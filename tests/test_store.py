"""The store: what is committed reads back whole, whoever writes at once and whenever a writer is killed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_128_hexdigest

from transferset import StillhouseError, Store
from transferset.columns import Column
from transferset.files import claim_directory, file_lock, whole_file, write_file
from transferset.store import kind_of

KIND = "logit cache"
# The calls by which a store changes what is on disk.
WRITING = {"mkdir", "open", "write", "fsync", "replace", "rename", "link", "unlink", "close", "__exit__"}


def new_store(path, **about):
    return Store.create(path, KIND, about, {})


def numbers(*values):
    return pa.table({"n": pa.array(values, pa.int64())})


def read_numbers(store):
    return [number for table in store.tables() for number in table["n"].to_pylist()]


def named_files(store):
    return sorted(part.file for part in store.parts())


def part_files(path):
    return sorted(file.name for file in path.glob("part-*"))


def temporary_files(path):
    return [file for file in path.rglob("*") if file.suffix == ".tmp"]


@contextlib.contextmanager
def in_process(call, *arguments, module="test_store"):
    """A function of a file of tests in a Python process of its own; yields the process, with pipes to it."""
    code = f"import sys, {module}; {module}.{call.__name__}(*sys.argv[1:])"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def tell(what):
    """A line to the test that started this process, not held back in a buffer."""
    os.write(1, f"{what}\n".encode())


# What is committed reads back.


@settings(deadline=None, max_examples=25)
@given(st.lists(st.one_of(st.none(), st.integers(0, 5), st.sampled_from(["reopen", "orphan", "gc"])), max_size=8))
def test_any_sequence_of_commits_reads_back_in_slot_order(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("store") / "s"
    store, expected = new_store(path), {}
    for value, step in enumerate(steps):
        if step == "reopen":
            store = Store.open(path, KIND)
        elif step == "orphan":
            (path / f"part-{value:06d}-0123456789abcdef.parquet").write_bytes(b"torn")
        elif step == "gc":
            store.gc()
        else:
            part = store.commit(numbers(value, value), {"value": value}, slot=step)
            slot = max(expected, default=-1) + 1 if step is None else step
            assert part.slot == slot
            # A taken slot keeps what it has.
            assert part.notes == {"value": expected.setdefault(slot, value)}
    assert [(part.slot, part.rows, part.notes["value"]) for part in store.parts()] == [
        (slot, 2, expected[slot]) for slot in sorted(expected)
    ]
    assert read_numbers(store) == [expected[slot] for slot in sorted(expected) for _ in range(2)]
    assert store.rows() == 2 * len(expected)
    assert store.verify() == []


def test_a_slot_taken_by_another_keeps_its_part(tmp_path):
    store = new_store(tmp_path)
    first = store.commit(numbers(1), {"by": "first"}, slot=3)
    assert store.commit(numbers(2), {"by": "second"}, slot=3) == first
    assert read_numbers(store) == [1]


def test_without_a_slot_a_part_goes_after_the_last(tmp_path):
    store = new_store(tmp_path)
    assert [store.commit(numbers(i), {}, slot).slot for i, slot in enumerate([None, None, 7, None])] == [0, 1, 7, 8]


def test_slots_past_a_million_are_still_in_order(tmp_path):
    store = new_store(tmp_path)
    store.commit(numbers(2), {}, slot=1_000_000)
    store.commit(numbers(1), {}, slot=999_999)
    assert [part.slot for part in store.parts()] == [999_999, 1_000_000]


def test_a_part_is_a_parquet_file_that_any_reader_reads(tmp_path):
    part = new_store(tmp_path).commit(numbers(1, 2), {})
    assert pq.read_table(tmp_path / part.file).equals(numbers(1, 2))
    assert (tmp_path / part.file).stat().st_size == part.bytes


def test_wanted_columns_are_read_alone_and_a_part_may_have_no_rows(tmp_path):
    store = new_store(tmp_path)
    store.commit(pa.table({"n": pa.array([], pa.int64()), "t": pa.array([], pa.string())}), {})
    store.commit(pa.table({"n": [1], "t": ["a"]}), {})
    assert [table.column_names for table in store.tables(["t"])] == [["t"], ["t"]]
    assert [len(table) for table in store.tables()] == [0, 1]
    assert store.verify() == []


def test_a_part_without_a_record_does_not_count(tmp_path):
    store = new_store(tmp_path)
    store.commit(numbers(1), {})
    pq.write_table(numbers(2), tmp_path / "part-000001-0123456789abcdef.parquet")
    assert read_numbers(store) == [1]
    assert store.rows() == 1
    assert store.verify() == []


def test_missing_slots_are_those_below_the_number_of_parts(tmp_path):
    store = new_store(tmp_path, parts=4)
    store.commit(numbers(1), {}, slot=2)
    assert store.missing_slots() == [0, 1, 3]
    (problem,) = store.verify()
    assert "must have 4 parts, 3 are missing" in problem
    assert new_store(tmp_path / "open").missing_slots() == []


def test_the_part_of_a_slot_is_found_without_looking_at_the_others(tmp_path, monkeypatch):
    store = new_store(tmp_path)
    assert (store.part(0), store.next_slot()) == (None, 0)
    for slot in (0, 2):
        store.commit(numbers(slot), {}, slot=slot)
    parts = store.parts()
    monkeypatch.setattr(Store, "parts", None)
    assert [store.part(slot) for slot in range(4)] == [parts[0], None, parts[1], None]
    assert store.next_slot() == 3


def test_a_commit_reads_no_record_of_another_part(tmp_path, monkeypatch):
    store = new_store(tmp_path)
    for number in range(3):
        store.commit(numbers(number), {})
    monkeypatch.setattr("transferset.store.read_json", None)
    assert store.commit(numbers(3), {}).slot == 3


def test_what_its_maker_noted_is_read_back(tmp_path):
    Store.create(tmp_path / "s", KIND, {"seed": 0}, {"by": "me"})
    assert Store.create(tmp_path / "s", KIND, {"seed": 0}, {"by": "another"}).made_with == {"by": "me"}
    assert (kind_of(tmp_path / "s"), kind_of(tmp_path), kind_of(tmp_path / "none")) == (KIND, None, None)


# Two writers at once.


def write_many(path, writer, count, mode):
    """Commits ``count`` small parts as soon as it is told to."""
    tell("ready")
    sys.stdin.readline()
    store = new_store(Path(path), parts=int(count))
    for number in range(int(count)):
        if mode == "slots":
            store.commit(numbers(number), {}, slot=number)
        else:
            store.commit(numbers(1000 * int(writer) + number), {"writer": writer})


def write_with_two_processes(path, count, mode):
    with in_process(write_many, path, 0, count, mode) as one, in_process(write_many, path, 1, count, mode) as other:
        for process in (one, other):
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in (one, other):
            print(file=process.stdin, flush=True)
        errors = [process.communicate()[1] for process in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0), errors
    return Store.open(path, KIND)


def test_two_writers_at_once_lose_nothing_and_take_each_slot_once(tmp_path):
    store = write_with_two_processes(tmp_path / "s", 50, "next")
    parts = store.parts()
    assert [part.slot for part in parts] == list(range(100))
    got = read_numbers(store)
    assert sorted(got) == [*range(50), *range(1000, 1050)]
    # Each writer's parts stand in the order in which it committed them.
    assert [number for number in got if number < 1000] == list(range(50))
    assert store.verify() == []
    assert part_files(store.path) == named_files(store)
    assert temporary_files(store.path) == []


def test_two_writers_of_the_same_slots_make_one_store(tmp_path):
    store = write_with_two_processes(tmp_path / "s", 50, "slots")
    assert read_numbers(store) == list(range(50))
    assert store.verify() == []
    assert part_files(store.path) == named_files(store)
    assert temporary_files(store.path) == []


def overtaken(monkeypatch, other):
    """Lets ``other`` happen in the instant before the next hard link."""
    link = os.link

    def link_after_other(*arguments, **options):
        monkeypatch.setattr(os, "link", link)
        other()
        link(*arguments, **options)

    monkeypatch.setattr(os, "link", link_after_other)


@pytest.mark.parametrize("theirs", [1, 2], ids=["same rows", "other rows"])
def test_a_writer_overtaken_at_the_last_instant_takes_the_next_slot(tmp_path, monkeypatch, theirs):
    store = new_store(tmp_path)
    overtaken(monkeypatch, lambda: Store.open(tmp_path).commit(numbers(theirs), {"by": "them"}))
    assert store.commit(numbers(1), {"by": "us"}).slot == 1
    assert [part.notes["by"] for part in store.parts()] == ["them", "us"]
    assert store.verify() == []
    assert read_numbers(store) == [theirs, 1]
    assert part_files(tmp_path) == named_files(store)


@pytest.mark.parametrize("theirs", [1, 2], ids=["same rows", "other rows"])
def test_a_writer_overtaken_in_a_given_slot_leaves_it_to_the_other(tmp_path, monkeypatch, theirs):
    store = new_store(tmp_path)
    overtaken(monkeypatch, lambda: Store.open(tmp_path).commit(numbers(theirs), {"by": "them"}, slot=0))
    assert store.commit(numbers(1), {"by": "us"}, slot=0).notes == {"by": "them"}
    assert store.verify() == []
    assert read_numbers(store) == [theirs]


def test_of_two_who_make_different_stores_at_once_one_is_told(tmp_path, monkeypatch):
    overtaken(monkeypatch, lambda: new_store(tmp_path, teacher="theirs"))
    with pytest.raises(StillhouseError, match=r'teacher must be what .* made with .*"theirs"'):
        new_store(tmp_path, teacher="ours")
    assert Store.open(tmp_path).about == {"teacher": "theirs"}


# A writer killed at any instant.


def commit_until_killed(path):
    """For each line with a number of seconds: a child that commits in a loop, killed so long after its first part.

    Says how many commits the child had reported. The waiting is the point here: the instant of the kill is random.
    """
    for line in sys.stdin:
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                store = new_store(Path(path))
                with store.lock("shared"):
                    for number in itertools.count(store.rows()):
                        store.commit(numbers(number), {"number": number})
                        os.write(writes, b".")
            finally:
                os._exit(1)
        os.close(writes)
        reported = os.read(reads, 1)
        select.select([], [], [], float(line))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reads, 4096):
            reported += more
        os.close(reads)
        tell(len(reported))


def test_a_writer_killed_at_random_instants_loses_at_most_the_part_in_hand(tmp_path):
    delays, path, least = random.Random(20), tmp_path / "s", 0
    with in_process(commit_until_killed, path) as process:
        for _ in range(24):
            print(delays.uniform(0, 0.03), file=process.stdin, flush=True)
            reported = int(process.stdout.readline() or process.stderr.read())
            assert reported > 0
            store = Store.open(path, KIND)
            assert store.verify() == []
            for record in (path / "_manifest").glob("*.json"):
                json.loads(record.read_bytes())
            got = read_numbers(store)
            assert got == list(range(len(got)))
            assert least + reported <= len(got) <= least + reported + 1
            least = len(got)
    # The lock went with the last writer, so what the kills left can be cleared away.
    store.gc()
    assert part_files(path) == named_files(store)
    assert temporary_files(path) == []
    assert read_numbers(store) == list(range(least))


def exit_at_call(wanted, work):
    """Runs the work until its ``wanted``-th step of WRITING (before a call, after a call), then exits at once."""
    left = itertools.count(wanted, -1)

    def watch(frame, event, called):
        # Strings have a method called replace as well.
        of_system = {getattr(called, "__module__", None), type(getattr(called, "__self__", None)).__module__}
        ours = event.startswith("c_") and called.__name__ in WRITING and of_system & {"posix", "_io", "io"}
        if ours and next(left) == 0:
            tell(f"{event} {called.__name__}")
            os._exit(9)

    sys.setprofile(watch)
    work()
    sys.setprofile(None)


def die_at_every_call(path, what):
    """For each n: a store in ``path/n`` whose writer died at the n-th step of ``what``; stops when it got through."""
    for n in itertools.count():
        folder = Path(path) / f"{n:03d}"
        store = None if what == "create" else new_store(folder)
        if store is not None:
            store.commit(numbers(0), {}, slot=0)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                slot = 0 if what == "again" else 1
                work = partial(store.commit, numbers(slot), {}, slot) if store else partial(new_store, folder)
                exit_at_call(n, work)
                code = 0
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 9:
            sys.exit(code)


def dead_writers(path, what):
    """The folders that dead writers left, and where each died."""
    path.mkdir()
    with in_process(die_at_every_call, path, what) as process:
        out, errors = process.communicate()
        assert process.returncode == 0, errors
    places = out.splitlines()
    assert (path / f"{len(places):03d}").is_dir(), "the last writer gets through"
    return [(path / f"{n:03d}", place) for n, place in enumerate(places)]


def test_a_writer_that_dies_at_any_call_of_a_commit_leaves_a_whole_store(tmp_path):
    after, died_at = [], []
    for folder, place in dead_writers(tmp_path / "dead", "commit"):
        store = Store.open(folder, KIND)
        assert store.verify() == [], place
        after.append(read_numbers(store))
        died_at.append(place)
        # The same work again gives the same store, whether the part had been committed or not.
        store.commit(numbers(1), {}, slot=1)
        assert read_numbers(store) == [0, 1], place
        store.gc()
        assert part_files(folder) == named_files(store), place
        assert temporary_files(folder) == []
        assert store.verify() == []
    # The part is there from the instant of the link on, and not before.
    linked = died_at.index("c_return link")
    assert after == [[0]] * linked + [[0, 1]] * (len(after) - linked)
    # What survives the loss of power: each name, of part and record, is given to bytes that are on the disk, and the
    # record's only when the part's name is there too.
    done = [place.removeprefix("c_return ") for place in died_at if place.startswith("c_return ")]
    steps = [step for step in done if step in ("write", "fsync", "replace", "rename", "link")]
    assert [step.replace("rename", "replace") for step in steps] == [
        *("write", "fsync", "replace", "fsync"),
        *("write", "fsync", "link", "fsync"),
    ]


def test_a_writer_that_dies_while_it_commits_what_is_there_already_does_no_harm(tmp_path):
    dead = dead_writers(tmp_path / "dead", "again")
    assert dead
    for folder, place in dead:
        store = Store.open(folder, KIND)
        assert store.verify() == [], place
        assert read_numbers(store) == [0], place


def test_a_process_that_dies_at_any_call_of_create_can_be_started_again(tmp_path):
    dead = dead_writers(tmp_path / "dead", "create")
    assert {"c_call mkdir", "c_call link", "c_return link"} <= {place for _, place in dead}
    for folder, place in dead:
        store = new_store(folder)
        store.commit(numbers(1), {})
        assert read_numbers(Store.open(folder, KIND)) == [1], place


# Damage is found and named.


def committed(tmp_path):
    store = new_store(tmp_path)
    random_numbers = np.random.default_rng(0).integers(0, 1 << 60, 200)
    return store, [store.commit(numbers(*random_numbers[:size]), {}) for size in (100, 200)]


def expect_damage(store, part, match):
    with pytest.raises(StillhouseError, match=match) as error:
        store.read(part)
    assert part.file in str(error.value)
    with pytest.raises(StillhouseError, match=part.file):
        list(store.tables())
    (problem,) = store.verify()
    assert part.file in problem


@pytest.mark.parametrize("place", [0, 3, 4, 0.25, 0.5, 0.75, -200, -9, -8, -5, -4, -1])
def test_a_flipped_bit_in_any_region_of_a_part_is_found(tmp_path, place):
    store, (first, part) = committed(tmp_path)
    data = bytearray((tmp_path / part.file).read_bytes())
    data[int(place * len(data)) if isinstance(place, float) else place] ^= 0x10
    (tmp_path / part.file).write_bytes(data)
    expect_damage(store, part, "must have checksum")
    assert len(store.read(first)) == 100


def test_a_deleted_part_is_found(tmp_path):
    store, (_, part) = committed(tmp_path)
    (tmp_path / part.file).unlink()
    expect_damage(store, part, "must be readable: No such file")


@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
def test_a_truncated_part_is_found(tmp_path, keep):
    store, (_, part) = committed(tmp_path)
    data = (tmp_path / part.file).read_bytes()
    (tmp_path / part.file).write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    expect_damage(store, part, "must have checksum")


def test_a_part_with_a_byte_too_many_is_found(tmp_path):
    store, (_, part) = committed(tmp_path)
    with (tmp_path / part.file).open("ab") as file:
        file.write(b"\0")
    expect_damage(store, part, "must have checksum")


def test_every_damaged_part_is_named(tmp_path):
    store, parts = committed(tmp_path)
    for part in parts:
        (tmp_path / part.file).write_bytes(b"")
    assert [part.file in problem for part, problem in zip(parts, store.verify(), strict=True)] == [True, True]


def test_a_record_with_another_number_of_rows_is_found(tmp_path):
    store, (part, _) = committed(tmp_path)
    record = tmp_path / "_manifest" / "000000.json"
    record.write_text(record.read_text().replace('"rows": 100', '"rows": 101'))
    (problem,) = store.verify()
    assert problem.endswith(f"{part.file}: must hold 101 rows, got 100")


def test_a_record_under_the_name_of_another_slot_is_found(tmp_path):
    store, _ = committed(tmp_path)
    # As a careless copy leaves it; without a complaint all rows of the part would count twice.
    shutil.copy(tmp_path / "_manifest" / "000000.json", tmp_path / "_manifest" / "000002.json")
    with pytest.raises(StillhouseError, match=r"000002\.json"):
        store.parts()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", "{}", '{"slot": 0}', '{"slot": 0, "more": 1}'])
def test_a_record_that_is_none_is_named(tmp_path, text):
    store, _ = committed(tmp_path)
    (tmp_path / "_manifest" / "000001.json").write_text(text, encoding="latin-1")
    for call in (store.parts, store.verify, store.gc, store.rows):
        with pytest.raises(StillhouseError, match=r"000001\.json: must "):
            call()
    assert len(part_files(tmp_path)) == 2


def test_no_flipped_bit_of_a_record_changes_the_rows_unseen(tmp_path):
    store = new_store(tmp_path)
    store.commit(numbers(1, 2), {})
    record = tmp_path / "_manifest" / "000000.json"
    whole = record.read_bytes()
    for place, bit in itertools.product(range(len(whole)), (0x01, 0x08)):
        damaged = bytearray(whole)
        damaged[place] ^= bit
        record.write_bytes(damaged)
        try:
            sound = not store.verify()
        except StillhouseError:
            continue
        if sound:
            got = [(part.slot, part.rows) for part in store.parts()], read_numbers(store)
            assert got == ([(0, 2)], [1, 2]), bytes(damaged)


# Clearing away.


def test_gc_removes_orphans_and_nothing_else(tmp_path):
    store, parts = committed(tmp_path)
    orphan = tmp_path / f"part-000002-{parts[0].checksum[:16]}.parquet"
    shutil.copy(tmp_path / parts[0].file, orphan)
    (tmp_path / "_scratch").mkdir(exist_ok=True)
    (tmp_path / "_scratch" / "torn.tmp").write_bytes(b"torn")
    (tmp_path / "_teacher").mkdir()
    (tmp_path / "_teacher" / "tokenizer.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    assert store.gc() == [orphan, tmp_path / "_scratch"]
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == ["_manifest", "_teacher", "notes.txt", *(part.file for part in parts)]
    assert store.verify() == []
    assert store.gc() == []


def test_gc_leaves_parquet_that_was_never_a_part_of_the_store(tmp_path):
    store, _ = committed(tmp_path)
    foreign = tmp_path / "part-00000-b7c1-c000.snappy.parquet"
    foreign.write_bytes(b"what another tool wrote")
    store.gc()
    assert foreign.exists()


@pytest.mark.parametrize("mode", ["shared", "exclusive"])
def test_gc_refuses_while_a_writer_holds_the_lock(tmp_path, mode):
    store = new_store(tmp_path)
    orphan = tmp_path / "part-000000-0123456789abcdef.parquet"
    orphan.write_bytes(b"on its way")
    with store.lock(mode), pytest.raises(StillhouseError, match="must not be in use, got another process"):
        Store.open(tmp_path).gc()
    assert orphan.exists()
    assert store.gc() == [orphan, tmp_path / "_scratch"]


def test_shared_locks_live_together_and_an_exclusive_one_alone(tmp_path):
    store = new_store(tmp_path)
    in_use = partial(pytest.raises, StillhouseError, match="must not be in use")
    with store.lock("shared"), store.lock("shared"), in_use(), store.lock("exclusive"):
        pass
    for mode in ("shared", "exclusive"):
        with store.lock("exclusive"), in_use(), store.lock(mode):
            pass


def wait_for_the_lock(path):
    """Says when it is about to ask for the lock, and when it has it."""
    tell("asks")
    with file_lock(Path(path), "exclusive", wait=True):
        tell("has it")


def test_a_lock_that_waits_is_had_when_the_other_is_done(tmp_path):
    with contextlib.ExitStack() as stack:
        with file_lock(tmp_path / "lock", "exclusive"):
            process = stack.enter_context(in_process(wait_for_the_lock, tmp_path / "lock"))
            assert process.stdout.readline() == "asks\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.2)
            with pytest.raises(StillhouseError, match="must not be in use"), file_lock(tmp_path / "lock", "exclusive"):
                pass
        assert process.stdout.readline() == "has it\n"
        assert process.wait(10) == 0


def test_a_lock_is_free_again_after_an_error_under_it(tmp_path):
    store = new_store(tmp_path)
    with pytest.raises(KeyError), store.lock("exclusive"):
        raise KeyError
    with store.lock("exclusive"):
        pass


# Making and opening.


def test_a_store_is_reopened_by_what_it_is_about_whoever_made_it(tmp_path):
    Store.create(tmp_path, KIND, {"classes": ("a", "b"), "seed": 0}, {"name": "one"}).commit(numbers(1), {})
    again = Store.create(tmp_path, KIND, {"seed": 0, "classes": ("a", "b")}, {"name": "two"})
    assert read_numbers(again) == [1]
    assert again.about == {"classes": ["a", "b"], "seed": 0}
    assert Store.open(tmp_path).kind == KIND


def test_parts_that_nothing_describes_become_nobody_elses(tmp_path):
    new_store(tmp_path, teacher="mine").commit(numbers(1), {})
    description = (tmp_path / "_manifest" / "about.json").read_bytes()
    (tmp_path / "_manifest" / "about.json").unlink()
    with pytest.raises(StillhouseError, match="must have the description of its parts, got no"):
        new_store(tmp_path, teacher="theirs")
    (tmp_path / "_manifest" / "about.json").write_bytes(description)
    assert read_numbers(new_store(tmp_path, teacher="mine")) == [1]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"seed": 1, "recipe": "tang2019"}, r"seed must be what the logit cache was made with \(0\), got 1: use"),
        ({"seed": 0, "recipe": "x" * 99}, r'recipe must be what .* made with \("tang2019"\), got "x{56}\.\.\.: use'),
        ({"seed": 0}, r'recipe must be what .* made with \("tang2019"\), got null: use another --out'),
        ({"seed": 0, "recipe": "tang2019", "copies": 3}, r"copies must be what .* made with \(null\), got 3: use"),
    ],
)
def test_a_store_made_otherwise_is_refused_by_the_name_of_the_field(tmp_path, about, message):
    store = new_store(tmp_path, seed=0, recipe="tang2019")
    store.commit(numbers(1), {})
    with pytest.raises(StillhouseError, match=message):
        new_store(tmp_path, **about)
    assert read_numbers(Store.open(tmp_path)) == [1]
    assert store.about == Store.open(tmp_path).about


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"task": {"label": "stars"}}, r'task label must be .* made with \(null\), got "stars": use'),
        ({"task": {"inputs": ["a", "b"]}}, r'task inputs must be .* made with \(\["a"\]\), got \["a", "b"\]: use'),
        ({"steps": [{"rate": 0.1}, {"rate": 0.3}]}, r"steps 2 rate must be .* made with \(0\.2\), got 0\.3: use"),
        ({"steps": [{"rate": 0.1}]}, r"steps must be what the logit cache was made with"),
    ],
)
def test_a_difference_deep_in_the_description_is_named_by_its_place(tmp_path, about, message):
    before = {"task": {"inputs": ["a"], "label": None}, "steps": [{"rate": 0.1}, {"rate": 0.2}]}
    new_store(tmp_path, **before)
    changed = {**before, **about, "task": {**before["task"], **about.get("task", {})}}
    with pytest.raises(StillhouseError, match=message):
        new_store(tmp_path, **changed)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"format": 2, "kind": KIND, "about": {}}, "format must be 1 or older, got 2: upgrade stillhouse"),
        ({"format": "1", "kind": KIND, "about": {}}, "format must be 1 or older, got '1'"),
        ({"kind": KIND, "about": {}}, "format must be 1 or older, got None"),
        ({"format": 1, "about": {}}, "must say kind and about"),
        ({"format": 1, "kind": KIND, "about": []}, "must say kind and about"),
        ([], "must hold a JSON object, got list"),
    ],
)
def test_a_newer_format_or_a_strange_description_is_refused(tmp_path, record, message):
    new_store(tmp_path)
    (tmp_path / "_manifest" / "about.json").write_text(json.dumps(record))
    for call in (Store.open, new_store):
        with pytest.raises(StillhouseError, match=message):
            call(tmp_path)


def test_a_torn_description_is_named(tmp_path):
    new_store(tmp_path)
    (tmp_path / "_manifest" / "about.json").write_text('{"format": 1, ')
    with pytest.raises(StillhouseError, match=r"about\.json: must be a JSON file"):
        Store.open(tmp_path)


def test_a_store_of_another_kind_is_refused(tmp_path):
    new_store(tmp_path)
    with pytest.raises(StillhouseError, match="must be a transfer set, got a logit cache"):
        Store.open(tmp_path, "transfer set")
    with pytest.raises(StillhouseError, match="must be a transfer set, got a logit cache"):
        Store.create(tmp_path, "transfer set", {}, {})


def test_opening_nothing_says_what_makes_a_store(tmp_path):
    with pytest.raises(StillhouseError, match="got nothing there: make one with `stillhouse label`"):
        Store.open(tmp_path / "none", KIND)
    with pytest.raises(StillhouseError, match="must be a transfer set or a logit cache, got no manifest"):
        Store.open(tmp_path)
    (tmp_path / "_scratch").mkdir()
    with pytest.raises(StillhouseError, match="got an unfinished one: make one with `stillhouse augment`"):
        Store.open(tmp_path, "transfer set")
    assert [file.name for file in tmp_path.iterdir()] == ["_scratch"]


def test_opening_a_file_says_that_it_is_a_file(tmp_path):
    file = tmp_path / "films.csv"
    file.write_text("text\ngood\n")
    with pytest.raises(StillhouseError, match="must be a transfer set or a logit cache, got a file"):
        Store.open(file)


@pytest.mark.parametrize("name", ["thesis.doc", ".git", "part-00000-b7c1-c000.snappy.parquet", "part-1.mp3"])
def test_a_directory_with_other_things_in_it_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(StillhouseError, match="must be empty or a stillhouse directory, got") as error:
        new_store(tmp_path)
    assert name in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_store_is_not_made_where_a_file_stands(tmp_path):
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(StillhouseError, match="must be "):
            new_store(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_in_the_place_of_the_manifest_is_one_error(tmp_path):
    (tmp_path / "_manifest").write_text("")
    with pytest.raises(StillhouseError, match="must be"):
        claim_directory(tmp_path)


# A full disk, a limit, a forbidden directory.


def failing(call, number, n):
    """A call that fails at its ``n``-th time and from then on, as on a disk that is full."""
    left = itertools.count(n, -1)

    def fail(*arguments, **options):
        if next(left) <= 0:
            raise OSError(number, os.strerror(number))
        return call(*arguments, **options)

    return fail


@pytest.mark.parametrize("n", range(4))
def test_a_full_disk_is_one_error_and_leaves_no_temporary_file(tmp_path, monkeypatch, n):
    store, _ = committed(tmp_path)
    before = read_numbers(store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync, errno.ENOSPC, n))
        with pytest.raises(
            StillhouseError, match=r"No space left on device.*free some space and run the same"
        ) as error:
            store.commit(numbers(1), {}, slot=2)
    assert "\n" not in str(error.value)
    assert temporary_files(tmp_path) == []
    assert read_numbers(store)[:300] == before
    assert store.verify() == []
    store.commit(numbers(1), {}, slot=2)
    assert read_numbers(store) == [*before, 1]
    assert part_files(tmp_path) == named_files(store)


def test_a_disk_that_fills_up_while_bytes_are_written_leaves_earlier_parts_whole(tmp_path, monkeypatch):
    store, _ = committed(tmp_path)
    before = read_numbers(store)

    def write_half(path, data):
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("transferset.files._write_synced", write_half)
    with pytest.raises(StillhouseError, match="No space left on device"):
        store.commit(numbers(1), {})
    assert temporary_files(tmp_path) == []
    assert part_files(tmp_path) == named_files(store)
    assert read_numbers(store) == before


def commit_above_limit(path, on_limit):
    """Commits a part larger than the largest file this process may write."""
    signal.signal(signal.SIGXFSZ, getattr(signal, on_limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    store = Store.open(path)
    try:
        store.commit(numbers(*np.random.default_rng(1).integers(0, 1 << 60, 5000)), {})
    except StillhouseError as error:
        tell(error)


def test_a_file_that_the_system_cuts_short_is_one_error(tmp_path):
    store, _ = committed(tmp_path)
    before = read_numbers(store)
    with in_process(commit_above_limit, tmp_path, "SIG_IGN") as process:
        out, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert out.count("\n") == 1
    assert "must be writable, got File too large: what was committed is safe" in out
    assert temporary_files(tmp_path) == []
    assert part_files(tmp_path) == named_files(store)
    assert read_numbers(store) == before


def test_a_writer_killed_in_the_middle_of_a_file_leaves_earlier_parts_whole(tmp_path):
    store, _ = committed(tmp_path)
    before = read_numbers(store)
    with in_process(commit_above_limit, tmp_path, "SIG_DFL") as process:
        process.communicate()
    assert process.returncode == -signal.SIGXFSZ
    # It really was torn: the system killed the writer after the first bytes.
    assert [file.stat().st_size for file in temporary_files(tmp_path)] == [4096]
    assert part_files(tmp_path) == named_files(store)
    assert read_numbers(store) == before
    store.gc()
    assert temporary_files(tmp_path) == []


def forbid_writing(monkeypatch):
    """Root may write anywhere, so the calls themselves refuse."""
    path_open = Path.open

    def read_only(self, mode="r", *arguments, **options):
        if set(mode) & set("wxa+"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return path_open(self, mode, *arguments, **options)

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", read_only)
    for name in ("mkdir", "link", "replace", "rename", "unlink"):
        monkeypatch.setattr(os, name, refuse)


def test_a_read_only_directory_is_one_error_for_writers(tmp_path, monkeypatch):
    store, _ = committed(tmp_path)
    with monkeypatch.context() as patch:
        forbid_writing(patch)
        for write in (
            lambda: store.commit(numbers(1), {}),
            lambda: store.lock("shared").__enter__(),
            store.gc,
            lambda: new_store(tmp_path / "new"),
        ):
            with pytest.raises(StillhouseError, match="must be writable, got Permission denied"):
                write()
    assert part_files(tmp_path) == named_files(store)


def test_a_read_only_store_can_be_read_and_verified(tmp_path, monkeypatch):
    committed(tmp_path)
    forbid_writing(monkeypatch)
    store = Store.open(tmp_path, KIND)
    assert len(read_numbers(store)) == store.rows() == 300
    assert store.verify() == []


def test_a_file_is_written_whole_or_the_old_one_stays(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_file(path, b"old")
    monkeypatch.setattr(os, "fsync", failing(os.fsync, errno.ENOSPC, 0))
    with pytest.raises(StillhouseError, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_a_file_written_piece_by_piece_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "made" / "table"
    with whole_file(path) as file:
        file.write(b"one ")
        assert not path.exists()
        file.write(b"two")
    assert path.read_bytes() == b"one two"
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(b"three" * (1 // 0))
    assert path.read_bytes() == b"one two"
    assert [file.name for file in path.parent.iterdir()] == ["table"]


def test_of_a_file_written_piece_by_piece_only_its_own_errors_name_it(tmp_path):
    path = tmp_path / "answers.csv"
    with pytest.raises(OSError, match=r"Input/output error: 'rows\.csv'"), whole_file(path):
        raise OSError(errno.EIO, "Input/output error", "rows.csv")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        says = r"answers\.csv: must be writable, got File too large: what was committed is safe"
        with pytest.raises(StillhouseError, match=says), whole_file(path) as file:
            file.write(bytes(1 << 21))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n", [0, 1], ids=["file", "directory"])
def test_a_file_that_cannot_be_synced_leaves_the_old_one_and_no_other(tmp_path, monkeypatch, n):
    path = tmp_path / "table"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", failing(os.fsync, errno.ENOSPC, n))
    with pytest.raises(StillhouseError, match="No space left"), whole_file(path) as file:
        file.write(b"new")
    # Where only the directory could not be synced the new one has its name, whole.
    assert path.read_bytes() == (b"old", b"new")[n]
    assert [file.name for file in tmp_path.iterdir()] == ["table"]


def test_a_child_that_is_forked_does_not_keep_a_lock(tmp_path):
    pipes = os.pipe(), os.pipe()
    (done, end), (up, begin) = pipes
    with file_lock(tmp_path / "lock", "exclusive"):
        child = os.fork()
        if not child:
            os.write(begin, b".")
            os.read(done, 1)
            os._exit(0)
        os.read(up, 1)
    try:
        with file_lock(tmp_path / "lock", "exclusive"):
            pass
    finally:
        os.write(end, b".")
        os.waitpid(child, 0)
        for each in (*pipes[0], *pipes[1]):
            os.close(each)


def test_a_parent_keeps_its_lock_when_a_child_ends(tmp_path):
    with file_lock(tmp_path / "lock", "exclusive"):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(StillhouseError, match="must not be in use"), file_lock(tmp_path / "lock", "shared"):
            pass


def test_the_file_of_a_lock_is_open_to_read_and_write_as_nfs_wants_it(tmp_path, monkeypatch):
    modes = []
    monkeypatch.setattr(fcntl, "flock", lambda file, kind: modes.append(fcntl.fcntl(file, fcntl.F_GETFL)))
    for mode in ("shared", "exclusive"):
        with file_lock(tmp_path / "lock", mode):
            pass
    assert [mode & os.O_ACCMODE for mode in modes] == [os.O_RDWR, os.O_RDWR]


def test_a_file_system_without_locks_is_one_line(tmp_path, monkeypatch):
    def refuse(file, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(StillhouseError, match="lock: must be on a file system with locks, got No locks available"),
        file_lock(tmp_path / "lock", "shared"),
    ):
        pass


@pytest.mark.parametrize(
    "fields", [{"rows": "a"}, {"rows": None}, {"rows": -1}, {"bytes": "a"}, {"slot": "0"}, {"notes": []}, {"file": 3}]
)
def test_a_record_with_other_values_is_one_line(tmp_path, fields):
    store = new_store(tmp_path)
    store.commit(numbers(1), {})
    file = tmp_path / "_manifest" / "000000.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    with pytest.raises(StillhouseError, match=r"000000.json: must be the record of"):
        store.parts()


def test_a_number_of_parts_that_is_none_is_one_line(tmp_path):
    with pytest.raises(StillhouseError, match="must say kind and about, got other fields"):
        new_store(tmp_path, parts="3")


def test_a_file_is_not_written_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StillhouseError, match="file: must be a directory, got a file"), whole_file(tmp_path / "file/x"):
        pass


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.table({"n": [1.5]}), "column 'n' must be int64, got double"),
        (pa.table({"n": [1, None]}), "column 'n' must hold no nulls, got 1"),
        (pa.table({"m": [1]}), "column 'n' must be there once, got it 0 times"),
        (pa.Table.from_arrays([pa.array([1])] * 2, names=["n", "n"]), "column 'n' must be there once, got it 2 times"),
        (pa.table({}), "column 'n' must be there once, got it 0 times"),
    ],
)
@pytest.mark.parametrize("columns", [None, ["n"]])
def test_a_part_of_other_columns_is_refused_though_its_checksum_fits(tmp_path, table, says, columns):
    store = new_store(tmp_path)
    part = store.commit(table, {})
    known = store.of({"n": Column((pa.int64(),))})
    with pytest.raises(StillhouseError, match=re.escape(says)) as refused:
        known.read(part, columns)
    assert str(refused.value).startswith(f"{tmp_path / part.file}: must be Parquet with the columns of a ")
    assert "_manifest/000000.json" in str(refused.value)


def test_a_part_that_is_no_parquet_is_refused_though_its_checksum_fits(tmp_path):
    store = new_store(tmp_path)
    part = store.commit(numbers(1), {})
    data = (tmp_path / part.file).read_bytes()
    for wrong in (b"", b"PAR1PAR1", data[:-1], data[:20] + b"\xff" * 40 + data[60:]):
        checksum = xxh3_128_hexdigest(wrong)
        edited = replace(part, file=f"part-000000-{checksum[:16]}.parquet", bytes=len(wrong), checksum=checksum)
        (tmp_path / edited.file).write_bytes(wrong)
        with pytest.raises(StillhouseError, match="must be Parquet with the columns of a "):
            store.read(edited)


@pytest.mark.parametrize("parts", [-1, 2**40])
def test_more_parts_than_there_can_be_are_not_looked_for(tmp_path, parts):
    with pytest.raises(StillhouseError, match="must say kind and about, got other fields"):
        new_store(tmp_path, parts=parts)


@pytest.mark.parametrize("name", ["_manifest", "_scratch"])
def test_a_writer_does_not_follow_a_link_out_of_its_directory(tmp_path, name):
    (tmp_path / "outside").mkdir()
    (tmp_path / "T").mkdir()
    (tmp_path / "T" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(StillhouseError, match=f"{name}: must be a directory, got a link"):
        new_store(tmp_path / "T")
    with (
        pytest.raises(StillhouseError, match=f"{name}: must be a directory, got a link"),
        file_lock(tmp_path / "T" / name / "lock", "shared"),
    ):
        pass
    assert list((tmp_path / "outside").iterdir()) == []
