"""The labeller: each distinct row once, the same logits after any interruption, and nothing but finite ones."""

import json
import os
import subprocess
import sys
from zlib import crc32

import numpy as np
import pytest
from conftest import ROOT

import label.engine
from augment import Mask, Ngram, augment_file
from label import Encoded, Labelled
from transferset import LogitCache, Source, StillhouseError, Task, TransferSet, sort_keys
from transferset.files import directory_lock

TASK = Task("text", ("text",), "label", classes=("neg", "pos"))
TEXTS = [" ".join(f"w{n}" for n in range(first, first + (3, 1, 7, 2, 5)[first % 5])) for first in range(40)]


class CountingTeacher:
    """Remembers the rows it saw. Its logits depend on the batch in their last digits, so other batches show."""

    def __init__(self, name="counting", fail_at=None, answers=None):
        self.name, self.fail_at, self.answers = name, fail_at, answers or {}
        self.seen, self.batches = [], 0

    def identity(self, mask_token):
        return {"teacher": self.name, "max_length": 512, "dtype": "float32"}

    def classes(self, task):
        return task.classes

    def encode(self, task, rows, mask_token):
        texts = [" ".join(cells) for cells in zip(*(rows[name].to_pylist() for name in task.inputs), strict=True)]
        ids = [[crc32(word.encode()) % 10_000 for word in text.split()] or [0] for text in texts]
        flat = np.array([number for row in ids for number in row], np.int32)
        return Encoded(flat, None, np.array([len(row) for row in ids], np.int32), 0)

    def logits(self, ids, types):
        self.batches += 1
        if self.batches == self.fail_at:
            raise ConnectionError("the teacher is gone")
        self.seen += [tuple(row.tolist()) for row in ids]
        width = max(len(row) for row in ids)
        sums = np.array([float(row @ np.arange(1, len(row) + 1)) for row in ids])
        logits = np.stack([np.sin(sums), np.cos(sums)], 1) + 1e-4 * len(ids) + 1e-5 * width
        for place, row in enumerate(ids):
            if tuple(row.tolist()) in self.answers:
                logits[place] = self.answers[tuple(row.tolist())]
        return logits.astype(np.float32)

    def keep(self, folder):
        folder.mkdir(parents=True, exist_ok=True)


def tokens_of(text):
    return tuple(crc32(word.encode()) % 10_000 for word in text.split())


def transfer_set(folder, texts, recipe="tang2019", copies=0, seed=0):
    """The transfer set of some texts, by default the texts themselves alone."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"text": text, "label": ("neg", "pos")[n % 2]}) for n, text in enumerate(texts)]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    augment_file(Source(folder / "rows.jsonl"), TASK, folder / "T", recipe, copies, seed)
    return TransferSet.open(folder / "T")


def by_key(cache):
    """Keys and logits in order of the keys."""
    keys = LogitCache.open(cache).keys()
    order = sort_keys(keys)
    return keys[order], LogitCache.open(cache).logits(keys[order], TASK)


def assert_same_logits(one, other):
    for a, b in zip(by_key(one), by_key(other), strict=True):
        np.testing.assert_array_equal(a, b)


def texts_in(transfer):
    return [text for table in transfer.tables(["text"]) for text in table["text"].to_pylist()]


def test_every_distinct_text_is_forwarded_once(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS + TEXTS[:15], [Ngram(rate=0.9)], copies=3)
    teacher = CountingTeacher()
    done = label.engine.label(transfer, teacher, tmp_path / "L", batch_tokens=20)
    texts = texts_in(transfer)
    assert len(texts) > len(set(texts)) > len(TEXTS)
    assert sorted(teacher.seen) == sorted(tokens_of(text) for text in set(texts))
    assert done == Labelled(len(texts), len(set(texts)), len(set(texts)), 0, done.seconds)


def test_duplicates_in_different_pieces_are_forwarded_once(tmp_path, monkeypatch):
    pieces = label.engine._pieces
    monkeypatch.setattr(label.engine, "_pieces", lambda transfer: pieces(transfer, rows=3))
    teacher = CountingTeacher()
    label.engine.label(transfer_set(tmp_path, TEXTS * 2), teacher, tmp_path / "L")
    assert sorted(teacher.seen) == sorted(map(tokens_of, TEXTS))


def test_a_second_run_forwards_nothing(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label.engine.label(transfer, CountingTeacher(), tmp_path / "L")
    teacher = CountingTeacher()
    done = label.engine.label(transfer, teacher, tmp_path / "L")
    assert (teacher.batches, done.labelled, done.distinct) == (0, 0, len(TEXTS))
    assert LogitCache.open(tmp_path / "L").store.rows() == len(TEXTS)


def test_of_an_appended_transfer_set_only_the_new_rows_are_forwarded(tmp_path):
    label.engine.label(transfer_set(tmp_path / "a", TEXTS[:20]), CountingTeacher(), tmp_path / "L")
    teacher = CountingTeacher()
    done = label.engine.label(transfer_set(tmp_path / "b", TEXTS), teacher, tmp_path / "L")
    assert sorted(teacher.seen) == sorted(map(tokens_of, TEXTS[20:]))
    assert (done.labelled, done.distinct) == (20, 40)


def test_of_a_re_augmented_transfer_set_only_the_new_rows_are_forwarded(tmp_path):
    first = transfer_set(tmp_path / "a", TEXTS, [Mask(rate=0.3)], copies=2, seed=0)
    second = transfer_set(tmp_path / "b", TEXTS, [Mask(rate=0.3)], copies=2, seed=1)
    label.engine.label(first, CountingTeacher(), tmp_path / "L")
    teacher = CountingTeacher()
    label.engine.label(second, teacher, tmp_path / "L")
    new = set(texts_in(second)) - set(texts_in(first))
    assert new
    assert sorted(teacher.seen) == sorted(map(tokens_of, new))
    assert LogitCache.open(tmp_path / "L").verify() == []


def test_logits_do_not_depend_on_the_order_of_the_transfer_set(tmp_path):
    shuffled = [TEXTS[place] for place in np.random.default_rng(0).permutation(len(TEXTS))]
    label.engine.label(transfer_set(tmp_path / "a", TEXTS), CountingTeacher(), tmp_path / "L", batch_tokens=20)
    label.engine.label(transfer_set(tmp_path / "b", shuffled), CountingTeacher(), tmp_path / "M", batch_tokens=20)
    assert_same_logits(tmp_path / "L", tmp_path / "M")


def test_a_run_interrupted_at_any_batch_and_resumed_gives_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(label.engine, "PART_ROWS", 5)
    transfer, clean = transfer_set(tmp_path, TEXTS), CountingTeacher()
    label.engine.label(transfer, clean, tmp_path / "clean", batch_tokens=14)
    assert clean.batches > 10
    for batch in range(1, clean.batches + 1):
        out = tmp_path / f"L{batch}"
        with pytest.raises(ConnectionError):
            label.engine.label(transfer, CountingTeacher(fail_at=batch), out, batch_tokens=14)
        kept = LogitCache.open(out).store.rows()
        rest = CountingTeacher()
        done = label.engine.label(transfer, rest, out, batch_tokens=14)
        assert len(rest.seen) == done.labelled == len(TEXTS) - kept
        assert_same_logits(out, tmp_path / "clean")
        assert LogitCache.open(out).verify() == []


def test_an_exception_loses_at_most_the_part_that_was_not_committed(tmp_path, monkeypatch):
    monkeypatch.setattr(label.engine, "PART_ROWS", 1)
    teacher = CountingTeacher(fail_at=6)
    with pytest.raises(ConnectionError):
        label.engine.label(transfer_set(tmp_path, TEXTS), teacher, tmp_path / "L", batch_tokens=14)
    assert LogitCache.open(tmp_path / "L").store.rows() == len(teacher.seen) > 0


def test_a_part_is_committed_when_its_time_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(label.engine, "PART_SECONDS", -1.0)
    teacher = CountingTeacher()
    label.engine.label(transfer_set(tmp_path, TEXTS), teacher, tmp_path / "L", batch_tokens=14)
    assert len(LogitCache.open(tmp_path / "L").store.parts()) == teacher.batches > 1


# Children that kill themselves (SIGKILL) just before the n-th call that matters for crash safety, one after another
# on the same cache; the last one lives. They are forked from a process that has the heavy imports behind it.
KILLED = """
import json, os, signal, sys
from pathlib import Path

import torch, transformers
import label.engine, label.huggingface, stillhouse.cli, stillhouse.commands.label

label.engine.PART_ROWS = 16
calls = 0


def counted(function, kill_at):
    def wrapper(*arguments, **named):
        global calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return wrapper


def run(kill_at, arguments):
    child = os.fork()
    if child == 0:
        os.fsync, os.link = counted(os.fsync, kill_at), counted(os.link, kill_at)
        Path.replace = counted(Path.replace, kill_at)
        label.huggingface.Huggingface.logits = counted(label.huggingface.Huggingface.logits, kill_at)
        sys.argv = ["stillhouse", "label", *arguments]
        try:
            stillhouse.cli.main()
        finally:
            sys.stdout.flush()
            os._exit(int(getattr(sys.exc_info()[1], "code", 1) or 0))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


transfer, teacher, killed, clean, moments, codes_file = sys.argv[1:]
common = [transfer, "--teacher", teacher, "--dtype", "float32", "--batch-tokens", "128", "--out"]
codes = [run(int(moment), [*common, killed]) for moment in moments.split(",")]
codes += [run(0, [*common, killed]), run(0, [*common, clean])]
Path(codes_file).write_text(json.dumps(codes))
"""


def test_killed_at_random_moments_and_resumed_it_ends_like_a_clean_run(tmp_path, tiny_teacher, labelled_file):
    augment_file(Source(labelled_file), TASK, tmp_path / "T", [Mask(rate=0.3)], copies=1)
    moments = [5, 14, *np.random.default_rng(1).integers(15, 40, 3).tolist()]
    killed, clean = tmp_path / "killed", tmp_path / "clean"
    arguments = [tmp_path / "T", tiny_teacher, killed, clean, ",".join(map(str, moments)), tmp_path / "codes.json"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    codes = json.loads((tmp_path / "codes.json").read_text())
    assert codes == [-9] * len(moments) + [0, 0], done.stderr.decode()
    assert_same_logits(killed, clean)
    cache = LogitCache.open(killed)
    assert cache.verify() == []
    assert len(np.unique(cache.keys(), axis=0)) == cache.store.rows()
    cache.store.gc()
    assert cache.verify() == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused_and_the_source_row_named(tmp_path, value):
    transfer = transfer_set(tmp_path, TEXTS)
    teacher = CountingTeacher(answers={tokens_of(TEXTS[16]): (0.0, value)})
    with pytest.raises(StillhouseError, match=rf"logits must be finite, got \[0\.0, {value}\].* source row 17$"):
        label.engine.label(transfer, teacher, tmp_path / "L")


def test_the_source_row_of_an_augmented_text_is_that_of_its_original(tmp_path):
    transfer = transfer_set(tmp_path, ["a b c d e", "f g h i j", "k l m n o"], [Mask(rate=0.5)], copies=1)
    (copy,) = (
        row["text"]
        for table in transfer.tables(["text", "source", "copy"])
        for row in table.to_pylist()
        if row["source"] == 1 and row["copy"] == 1
    )
    with pytest.raises(StillhouseError, match=r"source row 2$"):
        label.engine.label(transfer, CountingTeacher(answers={tokens_of(copy): (np.nan, 0.0)}), tmp_path / "L")


def test_what_was_committed_before_a_bad_logit_stays_and_nothing_bad_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(label.engine, "PART_ROWS", 1)
    transfer = transfer_set(tmp_path, TEXTS)
    shortest = min(TEXTS, key=len)
    bad = CountingTeacher(answers={tokens_of(shortest): (np.nan, np.nan)})
    with pytest.raises(StillhouseError):
        label.engine.label(transfer, bad, tmp_path / "L", batch_tokens=14)
    cache = LogitCache.open(tmp_path / "L")
    assert 0 < cache.store.rows() < len(TEXTS)
    assert cache.verify() == []


def test_logits_of_another_shape_are_refused(tmp_path):
    class Wide(CountingTeacher):
        def logits(self, ids, types):
            return np.zeros((len(ids), 3), np.float32)

    with pytest.raises(StillhouseError, match=r"must give logits of shape \(\d+, 2\), got \(\d+, 3\)"):
        label.engine.label(transfer_set(tmp_path, TEXTS), Wide(), tmp_path / "L")


def test_the_cache_of_another_teacher_is_refused_before_it_is_asked(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label.engine.label(transfer, CountingTeacher(), tmp_path / "L")
    other = CountingTeacher(name="other")
    with pytest.raises(StillhouseError, match=r'teacher must be what .* \("counting"\), got "other": use another'):
        label.engine.label(transfer, other, tmp_path / "L")
    assert other.batches == 0


def test_a_cache_in_use_by_another_process_is_refused(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label.engine.label(transfer, CountingTeacher(), tmp_path / "L")
    with directory_lock(tmp_path / "L", "shared"), pytest.raises(StillhouseError, match="must not be in use"):
        label.engine.label(transfer, CountingTeacher(), tmp_path / "L")


@pytest.mark.parametrize("tokens", [0, -1])
def test_a_batch_of_no_tokens_is_refused(tmp_path, tokens):
    with pytest.raises(StillhouseError, match=f"batch-tokens: must be at least 1, got {tokens}"):
        label.engine.label(transfer_set(tmp_path, TEXTS), CountingTeacher(), tmp_path / "L", batch_tokens=tokens)
    assert not (tmp_path / "L").exists()


def test_batches_keep_the_token_budget(tmp_path):
    class Measured(CountingTeacher):
        def logits(self, ids, types):
            assert len(ids) * max(len(row) for row in ids) <= 14
            return super().logits(ids, types)

    label.engine.label(transfer_set(tmp_path, TEXTS), Measured(), tmp_path / "L", batch_tokens=14)


def test_the_classes_and_the_settings_are_written_in_the_manifest(tmp_path):
    class Turned(CountingTeacher):
        def classes(self, task):
            return task.classes[::-1]

    transfer = transfer_set(tmp_path, TEXTS)
    label.engine.label(transfer, Turned(), tmp_path / "L")
    label.engine.label(transfer, CountingTeacher(), tmp_path / "M")
    about = LogitCache.open(tmp_path / "L").store.about
    assert about["classes"] == ["pos", "neg"]
    assert (about["teacher"], about["dtype"], about["max_length"]) == ("counting", "float32", 512)
    # Read in the task's order, the columns change places.
    np.testing.assert_array_equal(by_key(tmp_path / "L")[1], by_key(tmp_path / "M")[1][:, ::-1])


def test_pairs_are_told_apart_by_both_texts(tmp_path):
    rows = [{"a": "x", "b": "y"}, {"a": "x", "b": "z"}, {"a": "x", "b": "y"}, {"a": "z", "b": "x"}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    task = Task("pair", ("a", "b"), classes=("no", "yes"))
    augment_file(Source(tmp_path / "rows.jsonl"), task, tmp_path / "T", copies=0)
    teacher = CountingTeacher()
    done = label.engine.label(TransferSet.open(tmp_path / "T"), teacher, tmp_path / "L")
    assert (done.rows, done.distinct) == (4, 3)
    assert sorted(teacher.seen) == sorted(tokens_of(text) for text in ("x y", "x z", "z x"))


def test_no_file_of_a_cache_is_a_pickle(tmp_path):
    label.engine.label(transfer_set(tmp_path, TEXTS), CountingTeacher(), tmp_path / "L")
    files = [path for path in (tmp_path / "L").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".parquet", ".json", ".safetensors", ""}
    # A pickle of protocol 2 and later begins with this byte; torch's own files are zip archives of pickles.
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80" or path.read_bytes()[:2] == b"PK"]
