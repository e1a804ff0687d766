"""Claims: a chunk is one process's at a time, and nobody's once that process is gone."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from counting_teacher import environment

from label._claims import Claims
from transferset import StillhouseError

#: Takes chunks, says which it got, and waits until it is told to end.
OTHER = """
import sys
from pathlib import Path
from label._claims import Claims

claims = Claims(Path(sys.argv[1]))
print(*[chunk for chunk in map(int, sys.argv[2:]) if claims.take(chunk)], flush=True)
for line in sys.stdin:
    claims.release(int(line))
    print("released", flush=True)
"""


@contextlib.contextmanager
def other(path, *chunks):
    """Another process, and which of some chunks it got."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path), *map(str, chunks)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(ROOT),
    ) as process:
        try:
            yield process, [int(chunk) for chunk in process.stdout.readline().split()]
        finally:
            process.kill()


@pytest.fixture
def claims(tmp_path):
    with contextlib.closing(Claims(tmp_path / "scratch" / "claims")) as made:
        yield made


def test_a_chunk_that_another_process_has_is_refused_until_it_is_released(tmp_path, claims):
    with other(tmp_path / "scratch" / "claims", 3, 0, 10_000_000) as (process, got):
        assert got == [3, 0, 10_000_000]
        assert not claims.take(3)
        assert not claims.take(10_000_000)
        assert claims.take(4)
        process.stdin.write("3\n")
        process.stdin.flush()
        assert process.stdout.readline() == "released\n"
        assert claims.take(3)
        assert not claims.take(0)


def test_the_chunks_of_a_killed_process_are_free(tmp_path, claims):
    with other(tmp_path / "scratch" / "claims", 1, 2) as (process, got):
        assert got == [1, 2]
        assert not claims.take(1)
        process.kill()
        process.wait()
        assert claims.take(1)
        assert claims.take(2)


def test_what_this_process_has_another_does_not_get(tmp_path, claims):
    assert claims.take(5)
    assert claims.take(7)
    claims.release(7)
    with other(tmp_path / "scratch" / "claims", 5, 6, 7) as (_, got):
        assert got == [6, 7]
    claims.close()
    with other(tmp_path / "scratch" / "claims", 5) as (_, got):
        assert got == [5]


def test_a_chunk_may_be_taken_again_by_who_has_it(claims):
    assert claims.take(1)
    assert claims.take(1)


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StillhouseError, match="claims: must be writable, got Permission denied"):
        Claims(tmp_path / "claims")
