"""The labeller: each distinct row once, the same numbers after any interruption, and nothing but finite ones."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from counting_teacher import (
    TASK,
    TEXTS,
    Counting,
    assert_same_cache,
    assert_whole,
    by_key,
    environment,
    texts_in,
    transfer_set,
)

import label._rows
from augment import Mask, Ngram, augment_file
from label import _run, engine
from label import label as label_rows
from transferset import LogitCache, Source, StillhouseError, Store, Task, TransferSet, keys_from_arrow
from transferset.files import directory_lock

#: Nothing here takes as long on a machine that works.
DEADLINE_SECONDS = 60


# What is asked.


def test_every_distinct_text_is_asked_about_once(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS + TEXTS[:15], [Ngram(rate=0.9)], copies=3)
    teacher = Counting()
    done = label_rows(transfer, teacher, tmp_path / "L")
    texts = texts_in(transfer)
    assert len(texts) > len(set(texts)) > len(TEXTS)
    assert sorted(teacher.seen) == sorted(set(texts))
    assert (done.rows, done.distinct, done.labelled) == (len(texts), len(set(texts)), len(set(texts)))
    assert done.cut == sum(len(text) > 25 for text in set(texts)) > 0
    assert_whole(tmp_path / "L", len(set(texts)))


@pytest.mark.parametrize("chunk_bytes", [None, 40])
def test_the_answers_are_those_to_the_rows_they_stand_by(tmp_path, chunk_bytes):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer, Counting(chunk_bytes=chunk_bytes, chunk_rows=3, workers=3), tmp_path / "L")
    (table,) = transfer.tables(["text", "key"])
    logits = LogitCache.open(tmp_path / "L").logits(keys_from_arrow(table["key"]), TASK)
    alone = Counting().load(engine.Request(TASK))
    for text, found in zip(table["text"].to_pylist(), logits, strict=True):
        exact = alone.answer(table.select(["text"]).filter(np.array(table["text"].to_pylist()) == text))
        np.testing.assert_allclose(found, exact.signals["logits"][0], atol=2e-3)


def test_duplicates_in_different_pieces_are_asked_about_once(tmp_path, monkeypatch):
    pieces = label._rows._pieces
    monkeypatch.setattr(label._rows, "_pieces", lambda transfer: pieces(transfer, rows=3))
    teacher = Counting()
    label_rows(transfer_set(tmp_path, TEXTS * 2), teacher, tmp_path / "L")
    assert sorted(teacher.seen) == sorted(TEXTS)


def test_a_second_run_asks_nothing(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer, Counting(), tmp_path / "L")
    teacher = Counting()
    done = label_rows(transfer, teacher, tmp_path / "L")
    assert (teacher.calls, done.labelled, done.distinct, done.cut) == ([], 0, len(TEXTS), 0)
    assert_whole(tmp_path / "L", len(TEXTS))


@pytest.mark.parametrize("chunk_bytes", [None, 40])
def test_of_an_appended_transfer_set_only_the_new_rows_are_asked_about(tmp_path, chunk_bytes):
    label_rows(transfer_set(tmp_path / "a", TEXTS[:20]), Counting(chunk_bytes=chunk_bytes), tmp_path / "L")
    teacher = Counting(chunk_bytes=chunk_bytes)
    done = label_rows(transfer_set(tmp_path / "b", TEXTS), teacher, tmp_path / "L")
    assert sorted(teacher.seen) == sorted(TEXTS[20:])
    assert (done.labelled, done.distinct) == (20, 40)


def test_of_a_re_augmented_transfer_set_only_the_new_rows_are_asked_about(tmp_path):
    first = transfer_set(tmp_path / "a", TEXTS, [Mask(rate=0.3)], copies=2, seed=0)
    second = transfer_set(tmp_path / "b", TEXTS, [Mask(rate=0.3)], copies=2, seed=1)
    label_rows(first, Counting(), tmp_path / "L")
    teacher = Counting()
    label_rows(second, teacher, tmp_path / "L")
    new = set(texts_in(second)) - set(texts_in(first))
    assert new
    assert sorted(teacher.seen) == sorted(new)
    assert LogitCache.open(tmp_path / "L").verify() == []


def test_numbers_do_not_depend_on_the_order_of_the_transfer_set(tmp_path):
    shuffled = [TEXTS[place] for place in np.random.default_rng(0).permutation(len(TEXTS))]
    label_rows(transfer_set(tmp_path / "a", TEXTS), Counting(), tmp_path / "L")
    label_rows(transfer_set(tmp_path / "b", shuffled), Counting(workers=3), tmp_path / "M")
    assert_same_cache(tmp_path / "L", tmp_path / "M")


def test_rows_come_longest_first_within_the_bounds_of_the_teacher(tmp_path):
    teacher = Counting(chunk_bytes=60, chunk_rows=7)
    label_rows(transfer_set(tmp_path, TEXTS), teacher, tmp_path / "L")
    sizes = [len(text) for text in teacher.seen]
    assert sizes == sorted(sizes, reverse=True)
    assert max(map(len, teacher.calls)) == 7
    assert all(sum(map(len, call)) <= 60 for call in teacher.calls)
    # No two that follow one another would have fit in one.
    for one, other in itertools.pairwise(teacher.calls):
        assert len(one) == 7 or sum(map(len, one)) + len(other[0]) > 60


def test_rows_of_a_teacher_without_lengths_come_as_they_stand(tmp_path):
    teacher = Counting(chunk_bytes=None, chunk_rows=9)
    label_rows(transfer_set(tmp_path, TEXTS), teacher, tmp_path / "L")
    assert teacher.seen == TEXTS
    assert [len(call) for call in teacher.calls] == [9, 9, 9, 9, 4]


def test_pairs_are_told_apart_by_both_texts(tmp_path):
    rows = [{"a": "x", "b": "y"}, {"a": "x", "b": "z"}, {"a": "x", "b": "y"}, {"a": "z", "b": "x"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    task = Task("pair", ("a", "b"), classes=("no", "yes"))
    augment_file(Source(tmp_path / "rows.jsonl"), task, tmp_path / "T", copies=0)
    teacher = Counting()
    done = label_rows(TransferSet.open(tmp_path / "T"), teacher, tmp_path / "L")
    assert (done.rows, done.distinct) == (4, 3)
    assert sorted(teacher.seen) == ["x\ty", "x\tz", "z\tx"]


def test_features_are_asked_about_with_exactly_their_columns(tmp_path):
    (tmp_path / "rows.csv").write_text("x,y,label\n1,2.5,neg\n3,4.5,pos\n1,2.5,neg\n")
    task = Task("features", ("x", "y"), "label", classes=("neg", "pos"))
    augment_file(Source(tmp_path / "rows.csv"), task, tmp_path / "T", copies=0)
    teacher = Counting(chunk_bytes=None)
    label_rows(TransferSet.open(tmp_path / "T"), teacher, tmp_path / "L")
    assert teacher.seen == ["1\t2.5", "3\t4.5"]


# Interruptions.


@pytest.mark.parametrize("chunk_bytes", [None, 40])
def test_a_run_interrupted_at_any_chunk_and_resumed_gives_the_same_bits(tmp_path, monkeypatch, chunk_bytes):
    monkeypatch.setattr(_run, "PART_ROWS", 5)
    transfer, clean = transfer_set(tmp_path, TEXTS), Counting(chunk_bytes=chunk_bytes, chunk_rows=4)
    label_rows(transfer, clean, tmp_path / "clean")
    assert len(clean.calls) >= 10
    for call in range(1, len(clean.calls) + 1):
        out = tmp_path / f"L{call}"
        with pytest.raises(ConnectionError):
            label_rows(transfer, replace(clean, fail_at=call, seen=[], calls=[]), out)
        kept = LogitCache.open(out).store.rows()
        rest = replace(clean, seen=[], calls=[])
        done = label_rows(transfer, rest, out)
        assert len(rest.seen) == done.labelled == len(TEXTS) - kept
        assert_same_cache(out, tmp_path / "clean")
        assert_whole(out, len(TEXTS))


def test_an_exception_in_a_thread_loses_nothing_that_was_answered_before(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    teacher = Counting(fail_at=6)
    with pytest.raises(ConnectionError, match="the teacher is gone"):
        label_rows(transfer, teacher, tmp_path / "L")
    assert LogitCache.open(tmp_path / "L").store.rows() == sum(map(len, teacher.calls[:5])) > 0


def test_an_exception_in_one_of_many_threads_ends_the_run(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    before = threading.active_count()
    with pytest.raises(ConnectionError):
        label_rows(transfer, Counting(workers=4, fail_at=5, seconds=0.01), tmp_path / "L")
    assert threading.active_count() == before
    label_rows(transfer, Counting(workers=4), tmp_path / "L")
    label_rows(transfer, Counting(), tmp_path / "M")
    assert_same_cache(tmp_path / "L", tmp_path / "M")


def test_the_users_interrupt_loses_nothing_that_was_answered(tmp_path):
    class Interrupting(Counting):
        def load(self, request):
            loaded = super().load(request)
            answer = loaded.answer

            def interrupted(rows):
                if len(self.calls) == 5:
                    # Until the answer before this one has been heard.
                    threading.Event().wait(0.1)
                    os.kill(os.getpid(), signal.SIGINT)
                    threading.Event().wait(0.2)
                return answer(rows)

            loaded.answer = interrupted
            return loaded

    transfer, teacher = transfer_set(tmp_path, TEXTS), Interrupting()
    with pytest.raises(KeyboardInterrupt):
        label_rows(transfer, teacher, tmp_path / "L")
    assert LogitCache.open(tmp_path / "L").store.rows() == sum(map(len, teacher.calls[:5])) > 0
    rest = Counting()
    label_rows(transfer, rest, tmp_path / "L")
    assert sorted(rest.seen + [text for call in teacher.calls[:5] for text in call]) == sorted(TEXTS)


def test_chunks_are_committed_together_until_a_part_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(_run, "PART_ROWS", 12)
    teacher = Counting(chunk_bytes=None, chunk_rows=5)
    label_rows(transfer_set(tmp_path, TEXTS), teacher, tmp_path / "L")
    assert [part.rows for part in LogitCache.open(tmp_path / "L").store.parts()] == [15, 15, 10]


def test_a_part_is_full_by_its_bytes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(_run, "PART_BYTES", 12 * 4 * (2 + 5))
    teacher = Counting(chunk_bytes=None, chunk_rows=5)
    label_rows(transfer_set(tmp_path, TEXTS), teacher, tmp_path / "L", ("logits", "embedding"))
    assert [part.rows for part in LogitCache.open(tmp_path / "L").store.parts()] == [15, 15, 10]


def test_what_cannot_be_removed_does_not_end_a_run(tmp_path, monkeypatch):
    def refuse(path):
        raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    transfer = transfer_set(tmp_path, TEXTS)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    label_rows(transfer, Counting(), tmp_path / "L")
    assert LogitCache.open(tmp_path / "L").store.rows() == len(TEXTS)


def test_a_part_is_committed_when_its_time_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(_run, "PART_SECONDS", -1.0)
    teacher = Counting()
    label_rows(transfer_set(tmp_path, TEXTS), teacher, tmp_path / "L")
    assert len(LogitCache.open(tmp_path / "L").store.parts()) == len(teacher.calls) > 1


# A child for each call that matters for crash safety, which kills itself (SIGKILL) just before it; then one that goes
# on from there. They are forked from a process that has the imports behind it.
KILLED = """
import itertools, json, os, signal, sys
from pathlib import Path

from counting_teacher import Counting, assert_same_cache, assert_whole
from label import _run, engine, label
from transferset import Store, TransferSet

_run.PART_ROWS = 16
transfer, folder = TransferSet.open(sys.argv[1]), Path(sys.argv[2])
calls = itertools.count(1)


def counted(function, kill_at):
    def wrapper(*arguments, **named):
        if next(calls) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return wrapper


def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed(out, kill_at):
    os.fsync, os.link = counted(os.fsync, kill_at), counted(os.link, kill_at)
    Path.replace, Path.unlink = counted(Path.replace, kill_at), counted(Path.unlink, kill_at)
    label(transfer, Counting(), out)


def resumed(out):
    label(transfer, Counting(), out)
    assert_same_cache(out, folder / "clean")
    assert_whole(out, 40)
    assert Store.open(out).gc() == []
    assert (out / "_teacher" / "notes.txt").read_bytes() == b"kept"


label(transfer, Counting(), folder / "clean")
for kill_at in itertools.count(1):
    out = folder / str(kill_at)
    code = child(lambda: killed(out, kill_at))
    assert code in (0, -signal.SIGKILL), code
    assert child(lambda: resumed(out)) == 0, kill_at
    if code == 0:
        break
print(kill_at)
"""


def test_killed_at_any_moment_and_resumed_it_ends_like_a_clean_run(tmp_path):
    transfer_set(tmp_path, TEXTS)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "T", tmp_path],
        env=environment(ROOT),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) > 30


# Several processes.


def process(transfer, out, log, seconds=0.02, part_rows=8):
    """One of several that label at once; its teacher notes what it is asked."""
    code = (
        "import sys; from counting_teacher import Counting; from label import _run, label;"
        "from transferset import TransferSet; transfer, out, log, seconds, rows = sys.argv[1:];"
        "_run.PART_ROWS = int(rows); _run._WAIT_SECONDS = 0.02;"
        "print(label(TransferSet.open(transfer), Counting(log=log, seconds=float(seconds)), out).labelled)"
    )
    arguments = map(str, (transfer.store.path, out, log, seconds, part_rows))
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finished(*processes):
    """How many rows each has labelled."""
    found = []
    for each in processes:
        out, error = each.communicate(timeout=DEADLINE_SECONDS)
        assert each.returncode == 0, error.decode()
        found.append(int(out))
    return found


def lines_of(log):
    return log.read_text().splitlines() if log.exists() else []


def wait_for(condition, process):
    """Until a condition holds, while a process is at work."""
    for _ in range(DEADLINE_SECONDS * 100):
        if condition():
            return
        assert process.poll() in (None, 0), process.communicate()[1].decode()
        threading.Event().wait(0.01)
    raise TimeoutError


def test_processes_that_label_one_transfer_set_ask_about_each_text_once(tmp_path):
    transfer, log = transfer_set(tmp_path, TEXTS), tmp_path / "log"
    labelled = finished(*(process(transfer, tmp_path / "L", log, 0.1) for _ in range(2)))
    assert sorted(lines_of(log)) == sorted(TEXTS)
    assert sum(labelled) == len(TEXTS)
    assert_whole(tmp_path / "L", len(TEXTS))
    label_rows(transfer, Counting(), tmp_path / "alone")
    assert_same_cache(tmp_path / "L", tmp_path / "alone")


def test_what_a_killed_process_was_about_to_label_is_done_by_another(tmp_path):
    transfer, log, other_log = transfer_set(tmp_path, TEXTS), tmp_path / "log", tmp_path / "other"
    # The first has claims that it never commits when it dies.
    first = process(transfer, tmp_path / "L", log, 3, part_rows=1000)
    wait_for(lambda: lines_of(log), first)
    other = process(transfer, tmp_path / "L", other_log, 0.01)
    wait_for(lambda: lines_of(other_log), other)
    first.kill()
    first.communicate()
    finished(other)
    assert sorted(lines_of(other_log)) == sorted(TEXTS)
    assert_whole(tmp_path / "L", len(TEXTS))
    label_rows(transfer, Counting(), tmp_path / "alone")
    assert_same_cache(tmp_path / "L", tmp_path / "alone")


def test_processes_with_overlapping_transfer_sets_put_no_key_twice_into_a_cache(tmp_path):
    sets = [transfer_set(tmp_path / str(first), TEXTS[first : first + 24]) for first in (0, 16)]
    labelled = finished(*(process(each, tmp_path / "L", tmp_path / "log") for each in sets))
    assert sum(labelled) == 40
    assert_whole(tmp_path / "L", 40)


# What is refused.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused_and_the_source_row_named(tmp_path, value):
    teacher = Counting(answers={TEXTS[16]: (0.0, value)})
    with pytest.raises(
        StillhouseError, match=rf"logits must be finite, got \[0\.0, {value}\] for row 17 of the source or a copy"
    ) as refused:
        label_rows(transfer_set(tmp_path, TEXTS), teacher, tmp_path / "L")
    assert "\n" not in str(refused.value)


def test_the_source_row_of_an_augmented_text_is_that_of_its_original(tmp_path):
    transfer = transfer_set(tmp_path, ["a b c d e", "f g h i j", "k l m n o"], [Mask(rate=0.5)], copies=1)
    (copy,) = (
        row["text"]
        for table in transfer.tables(["text", "source", "copy"])
        for row in table.to_pylist()
        if row["source"] == 1 and row["copy"] == 1
    )
    with pytest.raises(StillhouseError, match="for row 2 of the source or a copy"):
        label_rows(transfer, Counting(answers={copy: (np.nan, 0.0)}), tmp_path / "L")


def test_what_was_answered_before_a_bad_logit_stays_and_nothing_bad_is_stored(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    shortest = min(TEXTS, key=len)
    bad = Counting(answers={shortest: (np.nan, np.nan)})
    with pytest.raises(StillhouseError):
        label_rows(transfer, bad, tmp_path / "L")
    (at,) = (place for place, call in enumerate(bad.calls) if shortest in call)
    assert_whole(tmp_path / "L", sum(map(len, bad.calls[:at])))
    assert at > 3
    label_rows(transfer, Counting(), tmp_path / "L")
    assert_whole(tmp_path / "L", len(TEXTS))


@pytest.mark.parametrize("spoil", ["wide", "short", "flat", "missing"])
def test_signals_of_another_shape_are_refused(tmp_path, spoil):
    class Spoilt(Counting):
        def load(self, request):
            loaded = super().load(request)
            answer = loaded.answer

            def spoilt(rows):
                answers = answer(rows)
                logits = answers.signals["logits"]
                spoilt = {"wide": logits[:, [0, 1, 1]], "short": logits[1:], "flat": logits[:, 0]}.get(spoil)
                return replace(answers, signals={} if spoilt is None else {"logits": spoilt})

            loaded.answer = spoilt
            return loaded

    with pytest.raises(StillhouseError, match=r"teacher: logits must have shape \(\d+, 2\), got (\(.*\)|none)$"):
        label_rows(transfer_set(tmp_path, TEXTS), Spoilt(), tmp_path / "L")
    assert LogitCache.open(tmp_path / "L").store.rows() == 0


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (
            {"name": "other"},
            r"must be a cache of this teacher \(other\), got one of another \(counting, or other weights",
        ),
        ({"settings": {"max_length": 9}}, r"max_length must be what .* \(512\), got 9: use another"),
        ({"settings": {"dtype": "int8"}}, r'dtype must be what .* \("float32"\), got "int8": use another'),
        ({"classes": ("pos", "neg")}, r"classes .*must be what .*: use another"),
    ],
)
def test_the_cache_of_another_teacher_is_refused_before_it_is_asked(tmp_path, other, says):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer, Counting(), tmp_path / "L")
    teacher = Counting(**other)
    with pytest.raises(StillhouseError, match=says):
        label_rows(transfer, teacher, tmp_path / "L")
    assert teacher.calls == []


def test_a_cache_of_other_signals_or_storage_is_refused(tmp_path):
    transfer, teacher = transfer_set(tmp_path, TEXTS), Counting()
    label_rows(transfer, Counting(), tmp_path / "L")
    with pytest.raises(
        StillhouseError, match=r"signals must be those that it was made with \(logits\), got logits, embedding"
    ):
        label_rows(transfer, teacher, tmp_path / "L", ["logits", "embedding"])
    with pytest.raises(StillhouseError, match=r'storage must be what .*"float32".*, got "float16"'):
        label_rows(transfer, teacher, tmp_path / "L", storage="float16")
    assert teacher.calls == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"signals": ["logit"]}, r"must be one of logits, embedding, got 'logit'.*did you mean 'logits'"),
        ({"signals": ["hidden"]}, "must be one of logits, embedding, got 'hidden'"),
        ({"signals": []}, "signals: must name at least one of logits, embedding, got none"),
        ({"storage": "float8"}, "storage: must be one of float32, float16, got 'float8'"),
        ({"engine": "locl"}, "engine: must be one of local, ray, got 'locl'.*did you mean 'local'"),
    ],
)
def test_options_that_are_unknown_are_refused_before_anything_is_made(tmp_path, options, says):
    with pytest.raises(StillhouseError, match=says):
        label_rows(transfer_set(tmp_path, TEXTS), Counting(), tmp_path / "L", **options)
    assert not (tmp_path / "L").exists()


def test_a_cache_that_another_process_has_for_itself_is_waited_for(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer_set(tmp_path / "some", TEXTS[:5]), Counting(), tmp_path / "L")
    with directory_lock(tmp_path / "L", "exclusive"):
        other = process(transfer, tmp_path / "L", tmp_path / "log")
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.5)
        assert not lines_of(tmp_path / "log")
    assert finished(other) == [35]


def forbid_writing(patch):
    """What the system answers in a directory that may only be read; file modes do not stop root, under whom CI runs."""
    path_open = Path.open

    def read_only(self, mode="r", *arguments, **options):
        if set(mode) & set("wxa+"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return path_open(self, mode, *arguments, **options)

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    patch.setattr(Path, "open", read_only)
    for name in ("mkdir", "link", "replace", "rename", "unlink"):
        patch.setattr(os, name, refuse)


@pytest.mark.parametrize("exists", [False, True])
def test_a_read_only_directory_is_one_line_before_the_teacher_is_asked(tmp_path, monkeypatch, exists):
    transfer, teacher = transfer_set(tmp_path, TEXTS), Counting()
    if exists:
        label_rows(transfer_set(tmp_path / "some", TEXTS[:5]), Counting(), tmp_path / "L")
    with monkeypatch.context() as patch:
        forbid_writing(patch)
        with pytest.raises(StillhouseError, match="must be writable, got Permission denied") as refused:
            label_rows(transfer, teacher, tmp_path / "L")
    assert "\n" not in str(refused.value)
    assert teacher.calls == []


@pytest.mark.parametrize("n", [0, 3, 9, 12, 17])
def test_a_full_disk_is_one_line_and_what_was_committed_is_safe(tmp_path, monkeypatch, n):
    monkeypatch.setattr(_run, "PART_ROWS", 10)
    transfer, left, fsync = transfer_set(tmp_path, TEXTS), itertools.count(n, -1), os.fsync

    def full(handle):
        if next(left) <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            StillhouseError, match=r"No space left on device.*free some space and run the same"
        ) as error:
            label_rows(transfer, Counting(), tmp_path / "L")
    assert "\n" not in str(error.value)
    assert list(tmp_path.rglob("*.tmp")) == []
    label_rows(transfer, Counting(), tmp_path / "L")
    label_rows(transfer, Counting(), tmp_path / "clean")
    assert_same_cache(tmp_path / "L", tmp_path / "clean")
    assert_whole(tmp_path / "L", len(TEXTS))


def test_a_damaged_part_of_the_cache_is_named_and_nothing_is_asked(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer_set(tmp_path / "some", TEXTS[:5]), Counting(), tmp_path / "L")
    (part,) = (tmp_path / "L").glob("part-*")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    teacher = Counting()
    with pytest.raises(StillhouseError, match=f"{part.name}: must have checksum .*delete it with its record"):
        label_rows(transfer, teacher, tmp_path / "L")
    assert teacher.calls == []
    # What the line says to do does it.
    part.unlink()
    (tmp_path / "L" / "_manifest" / "000000.json").unlink()
    label_rows(transfer, teacher, tmp_path / "L")
    assert_whole(tmp_path / "L", len(TEXTS))


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    (tmp_path / "L").mkdir()
    (tmp_path / "L" / "thesis.txt").write_text("mine")
    with pytest.raises(StillhouseError, match=r"must be empty or a stillhouse directory, got 'thesis\.txt'"):
        label_rows(transfer, Counting(), tmp_path / "L")
    assert [path.name for path in (tmp_path / "L").iterdir()] == ["thesis.txt"]
    with pytest.raises(StillhouseError, match="must be a logit cache, got a transfer set"):
        label_rows(transfer, Counting(), tmp_path / "T")
    assert transfer.verify() == []


# What is written.


def test_the_classes_and_the_settings_are_written_in_the_manifest(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer, Counting(classes=("pos", "neg")), tmp_path / "L", name="turned")
    about = LogitCache.open(tmp_path / "L").about
    assert about["classes"] == ["pos", "neg"]
    assert (about["teacher"], about["dtype"], about["max_length"]) == ("counting", "float32", 512)
    assert (about["inputs"], about["target"], about["signals"]) == ("text", "classification", {"logits": 2})
    assert Store.open(tmp_path / "L").made_with["teacher"] == "turned"
    # Read in the task's order, the columns change places.
    keys, own = by_key(tmp_path / "L")
    np.testing.assert_array_equal(LogitCache.open(tmp_path / "L").logits(keys, TASK), own[:, ::-1])


def test_all_signals_are_kept_in_one_pass(tmp_path):
    transfer, teacher = transfer_set(tmp_path, TEXTS), Counting()
    label_rows(transfer, teacher, tmp_path / "L", ["embedding", "logits", "embedding"])
    label_rows(transfer, Counting(), tmp_path / "M")
    assert sorted(teacher.seen) == sorted(TEXTS)
    assert list(LogitCache.open(tmp_path / "L").widths.items()) == [("logits", 2), ("embedding", 5)]
    assert_same_cache(tmp_path / "L", tmp_path / "M")
    assert by_key(tmp_path / "L", "embedding")[1].shape == (40, 5)


def test_a_cache_may_hold_embeddings_alone(tmp_path):
    label_rows(transfer_set(tmp_path, TEXTS), Counting(), tmp_path / "L", ["embedding"])
    cache = LogitCache.open(tmp_path / "L")
    assert (dict(cache.widths), cache.classes) == ({"embedding": 5}, ())
    assert_whole(tmp_path / "L", 40)


def test_float16_keeps_each_number_to_half_precision_and_notes_what_that_cost(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer, Counting(), tmp_path / "L", storage="float16")
    label_rows(transfer, Counting(), tmp_path / "M")
    (keys, half), (others, exact) = by_key(tmp_path / "L"), by_key(tmp_path / "M")
    np.testing.assert_array_equal(keys, others)
    np.testing.assert_array_equal(half, exact.astype(np.float16).astype(np.float32))
    (part,) = LogitCache.open(tmp_path / "L").store.parts()
    assert part.notes["rounding"]["logits"]["max"] == pytest.approx(np.abs(half - exact).max())


def test_what_float16_cannot_hold_is_one_line(tmp_path):
    with pytest.raises(StillhouseError, match="logits: must be between -65504 and 65504 for float16"):
        label_rows(transfer_set(tmp_path, TEXTS), Counting(scale=1e6), tmp_path / "L", storage="float16")
    assert LogitCache.open(tmp_path / "L").store.rows() == 0


def test_the_teachers_files_are_kept_beside_the_cache(tmp_path):
    label_rows(transfer_set(tmp_path, TEXTS), Counting(), tmp_path / "L")
    folder = LogitCache.open(tmp_path / "L").teacher_folder
    assert sorted(path.name for path in folder.iterdir()) == ["files.json", "notes.txt", "tokenizer.json"]


def test_nothing_unfinished_is_left_behind_and_what_was_left_before_is_removed(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer_set(tmp_path / "some", TEXTS[:5]), Counting(), tmp_path / "L")
    orphan = tmp_path / "L" / "part-000007-0123456789abcdef.parquet"
    orphan.write_bytes(b"torn")
    (tmp_path / "L" / "_scratch").mkdir()
    (tmp_path / "L" / "_scratch" / "x.tmp").write_bytes(b"torn")
    label_rows(transfer, Counting(), tmp_path / "L")
    assert not orphan.exists()
    assert not (tmp_path / "L" / "_scratch").exists()


def test_no_file_of_a_cache_is_a_pickle(tmp_path):
    label_rows(transfer_set(tmp_path, TEXTS), Counting(), tmp_path / "L")
    files = [path for path in (tmp_path / "L").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".parquet", ".json", ".safetensors", ".txt", ""}
    # A pickle of protocol 2 and later begins with this byte; torch's own files are zip archives of pickles.
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80" or path.read_bytes()[:2] == b"PK"]
