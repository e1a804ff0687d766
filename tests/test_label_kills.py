"""Writers of one cache, two at a time, killed at random moments: resumed, it is what a clean run gives."""

import os
import random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import ROOT

from augment import augment_file
from label import label, load_teacher
from transferset import LogitCache, Source, Task, TransferSet, sort_keys

TASK = Task("text", ("text",), classes=("no", "yes"))
TEXTS = 2_000

# Forked from a process that has the imports behind it; each round starts two writers and kills one of them or both.
ROUNDS = """
import os, random, signal, sys, time

import label._run
from label import label as label_rows, load_teacher
from transferset import TransferSet

label._run.PART_ROWS, label._run._WAIT_SECONDS = 64, 0.02
transfer, out, seed, kills = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance, killed = random.Random(seed), 0


def start():
    child = os.fork()
    if child == 0:
        try:
            label_rows(TransferSet.open(transfer), load_teacher("python:slow:score", {"batch_rows": 40}), out)
            os._exit(0)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
    return child


while killed < kills:
    writers = [start(), start()]
    for writer in writers[: chance.choice((1, 2, 2))]:
        time.sleep(chance.uniform(0, 0.12))
        if os.waitpid(writer, os.WNOHANG) == (0, 0):
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
            killed += 1
        writers = [each for each in writers if each != writer]
    for writer in writers:
        _, status = os.waitpid(writer, 0)
        assert status == 0, status
        print(killed)
        sys.exit()
print(killed)
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(
        textwrap.dedent("""
        import time

        def score(texts):
            time.sleep(0.004)
            return [[len(text), sum(map(ord, text)) % 97 / 7] for text in texts]
        """)
    )
    (tmp_path / "texts.txt").write_text("\n".join(f"text number {n} {'x' * (n % 31)}" for n in range(TEXTS)))
    monkeypatch.chdir(tmp_path)
    augment_file(
        Source(tmp_path / "texts.txt"), Task("text", ("text",), classes=("no", "yes")), tmp_path / "T", copies=0
    )
    return tmp_path


def content(cache):
    keys = LogitCache.open(cache).keys()
    order = sort_keys(keys)
    return keys[order], LogitCache.open(cache).logits(keys[order], TASK)


def rounds(work, cache, seed, kills):
    """Kills writers until so many have died or a pair has ended; how many died."""
    process = subprocess.run(
        [sys.executable, "-c", ROUNDS, str(work / "T"), str(cache), str(seed), str(kills)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return int(process.stdout)


def kill_writers(work, kills):
    transfer = TransferSet.open(work / "T")
    label(transfer, load_teacher("python:slow:score", {"batch_rows": 40}), work / "clean")
    chance, killed, caches = random.Random(0), 0, 0
    while killed < kills:
        caches += 1
        cache = work / f"L{caches}"
        killed += rounds(work, cache, chance.randrange(1 << 30), min(kills - killed, 6))
        label(transfer, load_teacher("python:slow:score", {"batch_rows": 40}), cache)
        assert LogitCache.open(cache).verify() == []
        for one, other in zip(content(cache), content(work / "clean"), strict=True):
            np.testing.assert_array_equal(one, other)
        assert len(LogitCache.open(cache).keys()) == TEXTS
        assert sorted(each.name for each in cache.iterdir() if each.name == "_scratch") == []
    return caches


def test_two_writers_killed_at_random_moments(work):
    kill_writers(work, 6)


@pytest.mark.slow
def test_two_writers_killed_a_hundred_times(work):
    assert kill_writers(work, 100) > 10
