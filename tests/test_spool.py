"""Rows that wait on disk: what went in comes out by number, and nothing is left whatever happens."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT
from counting_teacher import environment
from hypothesis import given, settings
from hypothesis import strategies as st

import label._spool
from label._spool import Spool


def numbers(first, last):
    texts = pa.array([f"text {n}" for n in range(first, last)], pa.string())
    return pa.table({"n": np.arange(first, last), "t": texts})


def filled(folder, sizes):
    spool, first = Spool(folder), 0
    for size in sizes:
        spool.append(numbers(first, first + size))
        first += size
    spool.finish()
    return spool


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(1, 30), st.data())
def test_rows_come_out_by_their_numbers_in_any_order_and_more_than_once(tmp_path_factory, sizes, gathered, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label._spool, "_ROWS", gathered)
        spool = filled(tmp_path_factory.getbasetemp() / "spool", sizes)
    assert spool.rows == sum(sizes)
    if not spool.rows:
        return
    places = data.draw(st.lists(st.integers(0, spool.rows - 1), min_size=1, max_size=50))
    table = spool.take(np.array(places))
    assert table["n"].to_pylist() == places
    assert table["t"].to_pylist() == [f"text {n}" for n in places]
    assert table.column_names == ["n", "t"]


def test_large_rows_are_written_before_many_are_gathered(tmp_path, monkeypatch):
    monkeypatch.setattr(label._spool, "_BYTES", 1000)
    spool = Spool(tmp_path)
    for n in range(10):
        spool.append(pa.table({"t": [f"{n}" * 400]}))
        assert sum(each.nbytes for each in spool._waiting) < 1000
    spool.finish()
    assert spool.take(np.array([9, 0]))["t"].to_pylist() == ["9" * 400, "0" * 400]


def test_the_file_has_no_name_once_rows_can_be_taken(tmp_path):
    spool = filled(tmp_path / "scratch", [5, 5])
    assert list((tmp_path / "scratch").iterdir()) == []
    assert spool.take(np.array([7]))["n"].to_pylist() == [7]


def test_a_spool_of_nothing_makes_nothing(tmp_path):
    Spool(tmp_path / "scratch").finish()
    assert not (tmp_path / "scratch").exists()


def test_two_spools_in_one_folder_do_not_meet(tmp_path):
    one, other = Spool(tmp_path), Spool(tmp_path)
    one.append(numbers(0, 3))
    other.append(numbers(5, 9))
    one.finish()
    other.finish()
    assert one.take(np.array([2]))["n"].to_pylist() == [2]
    assert other.take(np.array([2]))["n"].to_pylist() == [7]


# More than a process may write, as on a disk that is full.
LIMITED = """
import resource, signal, sys
import numpy as np, pyarrow as pa
from pathlib import Path
from label._spool import Spool
from transferset import StillhouseError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    for first in range(10):
        spool.append(pa.table({"n": np.arange(70_000)}))
    spool.finish()
except StillhouseError as error:
    print(error)
"""


def test_a_full_disk_is_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path], env=environment(ROOT), capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    (line,) = done.stdout.decode().splitlines()
    assert "must be writable, got" in line
    assert "File too large" in line
    assert "what was committed is safe" in line
