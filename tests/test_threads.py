"""Threads: every chunk is answered once, few are taken ahead, and an error ends all of them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from label._threads import Threads
from label.teacher import Answers, Description

#: Nothing here takes as long on a machine that works.
DEADLINE_SECONDS = 20


class Doubling:
    """Twice each number. It waits where a chunk's first number is in ``held`` until it is let go."""

    def __init__(self, workers=1, fail_on=(), seconds=0.0):
        self.description = Description({}, (), {"logits": 1}, workers=workers)
        self.fail_on, self.seconds = fail_on, seconds
        self.held: dict[int, threading.Event] = {}
        self.lock, self.at_work, self.most = threading.Lock(), 0, 0

    def answer(self, rows):
        first = rows["n"][0].as_py()
        with self.lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        try:
            if first in self.held:
                assert self.held[first].wait(DEADLINE_SECONDS)
            time.sleep(self.seconds)
            if first in self.fail_on:
                raise ValueError(f"cannot double {first}")
            return Answers({"logits": 2 * rows["n"].to_numpy()[:, None].astype(np.float32)})
        finally:
            with self.lock:
                self.at_work -= 1

    def kept(self):
        return {"name": b"bytes"}


class Chunks:
    """Numbered chunks, one number each; counts how many were taken, and notes in which threads."""

    def __init__(self, number):
        self.left, self.taken, self.threads = iter(range(number)), 0, set()

    def __iter__(self):
        return self

    def __next__(self):
        number = next(self.left)
        self.taken += 1
        self.threads.add(threading.get_ident())
        return number, pa.table({"n": [number]})


def within_deadline(work):
    """What some work gives, unless it hangs."""
    executor = ThreadPoolExecutor(1)
    try:
        return executor.submit(work).result(timeout=DEADLINE_SECONDS)
    finally:
        executor.shutdown(wait=False)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("number", [0, 1, 4, 50])
def test_every_chunk_is_answered_once(workers, number):
    answers = within_deadline(lambda: list(Threads(Doubling(workers)).answers(Chunks(number))))
    assert sorted(at for at, _ in answers) == list(range(number))
    assert all(found.signals["logits"].tolist() == [[2.0 * at]] for at, found in answers)


def test_as_many_threads_work_at_once_as_the_teacher_allows():
    for workers in (1, 3):
        teacher = Doubling(workers, seconds=0.02)
        within_deadline(lambda teacher=teacher: list(Threads(teacher).answers(Chunks(20))))
        assert teacher.most == workers


@pytest.mark.parametrize("workers", [1, 3])
def test_only_a_few_chunks_are_taken_ahead_of_those_answered(workers):
    chunks = Chunks(100)

    def work():
        for answered, _ in enumerate(Threads(Doubling(workers)).answers(chunks)):
            assert chunks.taken <= answered + workers + 1

    within_deadline(work)
    assert chunks.taken == 100


def test_chunks_are_taken_in_the_thread_of_the_caller():
    chunks = Chunks(30)

    def work():
        list(Threads(Doubling(4)).answers(chunks))
        return threading.get_ident()

    assert chunks.threads == {within_deadline(work)} or chunks.threads == set()


def test_a_slow_chunk_does_not_hold_up_the_others():
    teacher = Doubling(2)
    teacher.held[0] = threading.Event()
    answers = Threads(teacher).answers(Chunks(10))
    first = within_deadline(lambda: [next(answers)[0] for _ in range(9)])
    assert sorted(first) == list(range(1, 10))
    teacher.held[0].set()
    assert within_deadline(lambda: [at for at, _ in answers]) == [0]


@pytest.mark.parametrize("workers", [1, 4])
def test_an_error_comes_out_and_no_thread_stays_behind(workers):
    before, chunks = threading.active_count(), Chunks(100)

    def work():
        with pytest.raises(ValueError, match="cannot double 7"):
            list(Threads(Doubling(workers, fail_on=(7,), seconds=0.002)).answers(chunks))

    within_deadline(work)
    assert chunks.taken < 20
    assert_threads(before)


def test_an_error_of_the_chunks_comes_out_and_no_thread_stays_behind():
    before = threading.active_count()

    def broken():
        yield 0, pa.table({"n": [0]})
        raise OSError("the disk is gone")

    def work():
        with pytest.raises(OSError, match="the disk is gone"):
            list(Threads(Doubling(2)).answers(broken()))

    within_deadline(work)
    assert_threads(before)


def test_answers_that_nobody_wants_any_more_are_not_worked_on():
    before, chunks = threading.active_count(), Chunks(100)

    def work():
        answers = Threads(Doubling(3, seconds=0.01)).answers(chunks)
        next(answers)
        answers.close()

    within_deadline(work)
    assert chunks.taken <= 5
    assert_threads(before)


def test_the_pool_gives_what_the_teacher_gives():
    teacher = Doubling()
    pool = Threads(teacher)
    assert pool.description is teacher.description
    assert pool.kept() == {"name": b"bytes"}
    pool.close()


def assert_threads(number):
    """No more threads than before; the one of the test's own may take a moment to end."""
    for _ in range(200):
        if threading.active_count() <= number:
            return
        time.sleep(0.01)
    raise AssertionError(threading.enumerate())
