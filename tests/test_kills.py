"""Long runs on real data: writers that are killed at random moments and resumed end where an undisturbed one does."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT

from transferset import LogitCache, TransferSet, sort_keys

pytestmark = pytest.mark.slow


def start(*arguments, threads=1):
    command = [sys.executable, "-m", "stillhouse", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def finish(*arguments):
    process = start(*arguments)
    _, error = process.communicate(timeout=1800)
    assert process.returncode == 0, error[-2000:]


def kill_after(seconds, *arguments):
    """Kills the process group after a while; whether it was still running."""
    process = start(*arguments)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


def parts(folder):
    return {path.name: path.read_bytes() for path in folder.glob("part-*.parquet")}


def test_augment_killed_at_random_moments_gives_the_same_bytes_with_any_number_of_workers(shared, tmp_path):
    source = shared / "data" / "sst2" / "train.tsv"
    options = ("--text", "sentence", "--label", "label", "--copies", 20, "--seed", 0)
    augment = ("augment", source, *options, "--workers")
    finish(*augment, 1, "--out", tmp_path / "one")
    started = time.monotonic()
    finish(*augment, 2, "--out", tmp_path / "two")
    whole = time.monotonic() - started
    assert len(parts(tmp_path / "one")) > 10
    assert parts(tmp_path / "one") == parts(tmp_path / "two")
    chance, killed, sets = random.Random(0), 0, 0
    while killed < 10:
        sets += 1
        out = tmp_path / f"killed-{sets}"
        # A resumed run has less to do, so later ones are killed earlier.
        while killed < 10 and kill_after(chance.uniform(0.1, 0.6) * whole, *augment, 2, "--out", out):
            killed += 1
        finish(*augment, 1, "--out", out)
        assert parts(out) == parts(tmp_path / "one")
        assert TransferSet.open(out).verify() == []


def test_asking_a_language_model_killed_at_random_moments_gives_the_same_bytes(shared, tmp_path):
    train = (shared / "data" / "sst2" / "train.tsv").read_text().splitlines()
    source = tmp_path / "some.tsv"
    source.write_text("\n".join(train[:4001]) + "\n")
    model = shared / "models" / "minilm-l6-mlm"
    options = ("--mlm-model", model, "--vectors-source", model, "--text", "sentence", "--copies", 5, "--workers", 1)
    augment = ("augment", source, "--recipe", "tinybert", *options, "--out")
    started = time.monotonic()
    finish(*augment, tmp_path / "clean")
    whole = time.monotonic() - started
    chance, killed = random.Random(2), 0
    for _ in range(5):
        killed += kill_after(chance.uniform(0.2, 0.5) * whole, *augment, tmp_path / "killed")
    assert killed >= 2
    finish(*augment, tmp_path / "killed")
    assert parts(tmp_path / "killed") == parts(tmp_path / "clean")


def test_label_killed_at_ten_random_moments_gives_the_same_keys_and_logits(shared, tmp_path):
    train = (shared / "data" / "sst2" / "train.tsv").read_text().splitlines()
    source = tmp_path / "some.tsv"
    source.write_text("\n".join(train[:20001]) + "\n")
    finish("augment", source, "--text", "sentence", "--label", "label", "--copies", 1, "--out", tmp_path / "T")
    # Not auto: which precision is the fastest may differ from run to run.
    teacher = ("--teacher", shared / "models" / "minilm-l6-sst2", "--dtype", "bfloat16")
    label = ("label", tmp_path / "T", *teacher, "--out")
    started = time.monotonic()
    finish(*label, tmp_path / "clean")
    whole = time.monotonic() - started
    chance, killed, caches = random.Random(1), 0, 0
    while killed < 10:
        caches += 1
        out = tmp_path / f"killed-{caches}"
        while killed < 10 and kill_after(chance.uniform(0.1, 0.7) * whole, *label, out):
            killed += 1
        finish(*label, out)
        assert_same(LogitCache.open(tmp_path / "clean"), LogitCache.open(out), TransferSet.open(tmp_path / "T"))


def assert_same(clean, resumed, transfer):
    """Both caches hold each distinct row of the transfer set once, with logits equal to the bit."""
    assert resumed.verify() == []
    one, other = (cache.keys()[sort_keys(cache.keys())] for cache in (clean, resumed))
    rows = {key for table in transfer.tables(["key"]) for key in table["key"].to_pylist()}
    assert len(one) == len(rows)
    assert np.array_equal(one, other)
    assert np.array_equal(clean.logits(one, transfer.task), resumed.logits(one, transfer.task))
