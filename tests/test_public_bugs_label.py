"""Bugs that labellers in public code have, by their numbers in our list of them; ours must not."""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa
import pytest
from counting_teacher import TASK, TEXTS, Counting, assert_same_cache, assert_whole, by_key, transfer_set

from augment import Mask
from label import _run
from label import label as label_rows
from transferset import LogitCache, StillhouseError, Task, content_keys

# 1, the teacher in training mode, and 3 with a real regression model: tests/test_huggingface.py.


def logits_of(path, *texts):
    return LogitCache.open(path).logits(content_keys(TASK, pa.table({"text": list(texts)})), TASK)


def test_public_bug_3_gold_scores_are_not_what_is_distilled(tmp_path):
    task = Task("text", ("text",), "label", "regression")
    for name, scores in (("a", np.linspace(0, 5, 40)), ("b", np.zeros(40))):
        label_rows(
            transfer_set(tmp_path / name, TEXTS, task=task, scores=scores.tolist()), Counting(), tmp_path / f"L{name}"
        )
    assert_same_cache(tmp_path / "La", tmp_path / "Lb")
    assert np.ptp(by_key(tmp_path / "Lb")[1]) > 0.5


def test_public_bug_9_a_row_that_is_edited_is_another_row(tmp_path):
    label_rows(transfer_set(tmp_path / "a", TEXTS), Counting(), tmp_path / "L")
    edited = [*TEXTS[:7], "another text", *TEXTS[8:]]
    teacher = Counting()
    label_rows(transfer_set(tmp_path / "b", edited), teacher, tmp_path / "L")
    assert teacher.seen == ["another text"]
    assert (logits_of(tmp_path / "L", "another text") != logits_of(tmp_path / "L", TEXTS[7])).any()


def test_public_bug_9_rows_that_are_reordered_or_filtered_keep_their_logits(tmp_path):
    label_rows(transfer_set(tmp_path / "a", TEXTS), Counting(), tmp_path / "L")
    before = logits_of(tmp_path / "L", *TEXTS)
    order = np.random.default_rng(0).permutation(40)[:25]
    teacher = Counting()
    label_rows(transfer_set(tmp_path / "b", [TEXTS[place] for place in order]), teacher, tmp_path / "L")
    assert teacher.seen == []
    np.testing.assert_array_equal(logits_of(tmp_path / "L", *(TEXTS[place] for place in order)), before[order])


def test_public_bug_9_augmented_copies_have_logits_of_their_own(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS[:10], [Mask(rate=0.5)], copies=2)
    teacher = Counting()
    label_rows(transfer, teacher, tmp_path / "L")
    rows = [row for table in transfer.tables(["text", "source"]) for row in table.to_pylist()]
    assert {row["text"] for row in rows} == set(teacher.seen)
    of_one = sorted({row["text"] for row in rows if row["source"] == 2})
    assert len(of_one) > 1
    assert len(np.unique(logits_of(tmp_path / "L", *of_one), axis=0)) == len(of_one)


class Uneven(Counting):
    """Of its threads now one and now another is first."""

    def load(self, request):
        loaded = super().load(request)
        answer, random, lock = loaded.answer, np.random.default_rng(), threading.Lock()

        def slowly(rows):
            with lock:
                seconds = random.uniform(0, 0.01)
            threading.Event().wait(seconds)
            return answer(rows)

        loaded.answer = slowly
        return loaded


def test_public_bug_11_the_numbers_do_not_depend_on_which_thread_is_first(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer, Counting(), tmp_path / "clean")
    for n in range(3):
        label_rows(transfer, Uneven(workers=5), tmp_path / f"L{n}")
        assert_same_cache(tmp_path / f"L{n}", tmp_path / "clean")


def test_public_bug_11_a_writer_that_fails_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(_run, "PART_ROWS", 4)
    left, append = iter(range(2)), LogitCache.append

    def fails(self, *arguments):
        if next(left, None) is None:
            raise StillhouseError("disk: must have space, got none")
        return append(self, *arguments)

    monkeypatch.setattr(LogitCache, "append", fails)
    transfer, ended = transfer_set(tmp_path, TEXTS), []

    def run():
        with pytest.raises(StillhouseError, match="disk: must have space"):
            label_rows(transfer, Counting(workers=4, seconds=0.01), tmp_path / "L")
        ended.append(True)

    before = threading.active_count()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert ended
    assert threading.active_count() == before
    monkeypatch.undo()
    label_rows(transfer, Counting(), tmp_path / "L")
    assert_whole(tmp_path / "L", 40)


def test_public_bug_12_as_many_rows_as_before_are_not_taken_for_the_same(tmp_path):
    label_rows(transfer_set(tmp_path / "a", TEXTS[:20]), Counting(), tmp_path / "L")
    teacher = Counting()
    label_rows(transfer_set(tmp_path / "b", TEXTS[20:]), teacher, tmp_path / "L")
    assert sorted(teacher.seen) == sorted(TEXTS[20:])
    assert_whole(tmp_path / "L", 40)


def test_public_bug_12_a_run_goes_on_with_another_order_and_not_with_another_teacher(tmp_path):
    transfer = transfer_set(tmp_path / "a", TEXTS)
    with pytest.raises(ConnectionError):
        label_rows(transfer, Counting(fail_at=6), tmp_path / "L")
    held = LogitCache.open(tmp_path / "L").store.rows()
    with pytest.raises(StillhouseError, match="must be a cache of this teacher"):
        label_rows(transfer, Counting(name="other"), tmp_path / "L")
    teacher = Counting()
    label_rows(transfer_set(tmp_path / "b", TEXTS[::-1]), teacher, tmp_path / "L")
    assert len(teacher.seen) == 40 - held
    label_rows(transfer, Counting(), tmp_path / "clean")
    assert_same_cache(tmp_path / "L", tmp_path / "clean")


def test_public_bug_14_duplicates_are_asked_about_once(tmp_path):
    teacher = Counting(chunk_bytes=None)
    done = label_rows(transfer_set(tmp_path, ["same", "other", "same", "same"]), teacher, tmp_path / "L")
    assert teacher.seen == ["same", "other"]
    assert (done.rows, done.distinct, done.labelled) == (4, 2, 2)


def test_public_bug_14_a_teacher_is_more_than_its_name(tmp_path):
    transfer = transfer_set(tmp_path, TEXTS)
    label_rows(transfer, Counting(name="hash of one"), tmp_path / "L", name="./my-bert")
    with pytest.raises(StillhouseError, match=r"must be a cache of this teacher \(\./my-bert\), got one of another"):
        label_rows(transfer, Counting(name="hash of other weights"), tmp_path / "L", name="./my-bert")
    # And the same teacher in another place is the same.
    teacher = Counting(name="hash of one")
    label_rows(transfer, teacher, tmp_path / "L", name="/elsewhere/my-bert")
    assert teacher.seen == []
