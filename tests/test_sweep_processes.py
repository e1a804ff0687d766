"""The processes of a sweep: they train what this one would, and none outlives the sweep however it ends."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ROOT
from small_sets import TEXTS, cache_of, transfer_set, weights
from test_sweep import Here

from students import _pool as pool_module
from students import train
from students.grid import candidates, read_grid
from students.search import sweep
from transferset import Source, StillhouseError

WORKERS = 2
#: Many short epochs, with a checkpoint after each: a signal comes long before the end.
TOML = """
student = "bag"
hidden = 8
vector-width = 8
vectors = "random"
batch-size = 16
learning-rate = 0.01
dtype = "float32"
epochs = 120
seed = [0, 1]
"""


@pytest.fixture(autouse=True)
def threads():
    """As many threads as each of the processes has."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // WORKERS))
    yield
    torch.set_num_threads(before)


@pytest.fixture
def places(tmp_path):
    (tmp_path / "grid.toml").write_text(TOML)
    return transfer_set(tmp_path / "set"), cache_of(tmp_path / "L", TEXTS)


def wait_for_a_checkpoint(out, process=None):
    """Returns when some student has one."""
    until = time.monotonic() + 120
    while not list(out.glob("*/_checkpoint/state.json")):
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def start(places, tmp_path, early=False):
    """The command, when a student of its is being trained, or early, when its processes begin; and these."""
    transfer, cache = places
    arguments = ("sweep", transfer.store.path, cache.path, "--grid", tmp_path / "grid.toml", "--out", tmp_path / "R")
    process = subprocess.Popen(
        [sys.executable, "-m", "stillhouse", *map(str, arguments), "--workers", str(WORKERS)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    if early:
        while not trainers(psutil.Process(process.pid)):
            time.sleep(0.01)
    else:
        wait_for_a_checkpoint(tmp_path / "R", process)
    return process, psutil.Process(process.pid).children(recursive=True)


def trainers(process):
    """The processes among the children of one that train."""
    return [each for each in process.children(recursive=True) if "spawn_main" in " ".join(each.cmdline())]


def all_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=60)
    return not alive


def test_processes_train_what_this_one_does(places, tmp_path):
    transfer, cache = places
    grid = {**read_grid(tmp_path / "grid.toml")[0], "epochs": 3}
    several = candidates([{**grid, "student": ["bag", "bilstm"], "width": 8, "monitor": "accuracy"}])
    dev = Source(tmp_path / "set" / "rows.jsonl")
    records = sweep(transfer, cache, several, tmp_path / "R", dev, workers=WORKERS)
    assert [record.status for record in records] == ["done"] * 4
    assert trainers(psutil.Process()) == []
    for each in several:
        out = tmp_path / f"one-{each.name}"
        _, metrics = train(
            transfer, cache, each.architecture, each.objective, out, each.training, each.reading, each.seed, dev
        )
        assert weights(out) == weights(tmp_path / "R" / each.name)
        assert (out / "config.json").read_bytes() == (tmp_path / "R" / each.name / "config.json").read_bytes()
        (record,) = (record for record in records if record.name == each.name)
        assert record.history == metrics["history"]


def test_interrupted_and_killed_it_leaves_no_process_and_ends_in_the_same_bits(places, tmp_path, monkeypatch):
    for early in (True, False):
        process, children = start(places, tmp_path, early)
        assert early or len(trainers(psutil.Process(process.pid))) == WORKERS
        # Ctrl-C on a terminal is for all processes, in whatever they are.
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=60)
        assert process.returncode == 130, (out, error)
        lines = [line for line in error.decode().replace("\r", "\n").splitlines() if line.strip()]
        assert lines[-1] == "stillhouse: interrupted: what was committed is safe, the same command goes on from there"
        assert not [line for line in lines[:-1] if not line.startswith(("reading:", "training:"))]
        assert all_gone(children)
        assert not (tmp_path / "R" / "results.parquet").exists()
    # Resumed, and this time nobody is left to tell the processes to end.
    process, children = start(places, tmp_path)
    process.kill()
    process.communicate()
    assert all_gone(children)
    transfer, cache = places
    several = candidates(read_grid(tmp_path / "grid.toml"))
    monkeypatch.setattr(pool_module, "ProcessPoolExecutor", Here)
    records = sweep(transfer, cache, several, tmp_path / "R")
    assert [record.status for record in records] == ["done"] * 2
    first = several[0]
    train(transfer, cache, first.architecture, first.objective, tmp_path / "one", first.training, first.reading)
    assert weights(tmp_path / "one") == weights(tmp_path / "R" / first.name)
    assert sorted(path.name for path in (tmp_path / "R" / first.name).iterdir()) == sorted(
        path.name for path in (tmp_path / "one").iterdir()
    )
    assert len(pq.read_table(tmp_path / "R" / "results.parquet")) == 2


def test_a_process_that_is_killed_is_one_line(places, tmp_path):
    transfer, cache = places
    several = candidates(read_grid(tmp_path / "grid.toml"))
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def kill():
        wait_for_a_checkpoint(tmp_path / "R")
        trainers(psutil.Process())[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(StillhouseError, match="a process that trains must not be killed, got one") as refused:
            sweep(transfer, cache, several, tmp_path / "R", workers=1)
        assert "\n" not in str(refused.value)
        assert bystander.poll() is None
    finally:
        killer.join()
        bystander.kill()
        bystander.wait()
    assert [
        each for each in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(each.cmdline())
    ] == []
    # What it had done is there: the same call goes on.
    state = next((tmp_path / "R").glob("*/_checkpoint/state.json"))
    assert '"epoch": ' in state.read_text()
