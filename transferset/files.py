"""Files that are there whole or not at all, and directories that one writer at a time may have.

A file is written under a temporary name, synced, and renamed (or hard-linked, where the name must be free); then the
directory is synced too, so that the name survives a loss of power.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

from xxhash import xxh3_128

from .errors import StillhouseError

#: What a part of a store is called: its slot and the head of its checksum.
PART_NAME = re.compile(r"part-[0-9]{6,}-[0-9a-f]{16}\.parquet")
#: What the folder of an ensemble's member is called.
MEMBER_NAME = re.compile(r"member-[^/\0]+")
#: The files whose locks this process holds or waits for.
_locked: set[TextIO] = set()


def _let_go() -> None:
    """A child that was forked has its parent's open files, and would keep a lock when the parent is done with it."""
    for file in _locked:
        file.close()


os.register_at_fork(after_in_child=_let_go)


def claim_directory(path: Path) -> None:
    """Makes a directory a store may live in, or checks that it is one: empty, or a store's already.

    Raises:
        StillhouseError: it is a file, it holds other things, or it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise StillhouseError(f"{path}: must be a directory, got a file")
    for name in ("_manifest", "_scratch", "_teacher"):
        check_own(path / name)
    if path.is_dir():
        foreign = next((each for each in sorted(path.iterdir()) if not is_store_name(each.name)), None)
        if foreign is not None and not (path / "_manifest").is_dir():
            raise StillhouseError(f"{path}: must be empty or a stillhouse directory, got {foreign.name!r} in it")
    with writing(path):
        (path / "_manifest").mkdir(parents=True, exist_ok=True)


def check_own(folder: Path) -> None:
    """Raises StillhouseError where a name is taken by a file, or by a link: what is written there stays there."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise StillhouseError(f"{folder}: must be a directory, got {'a link' if folder.is_symlink() else 'a file'}")


@contextlib.contextmanager
def directory_lock(path: Path, mode: Literal["shared", "exclusive"], wait: bool = False) -> Iterator[None]:
    """An advisory lock on a store's directory; the operating system drops it when the process dies."""
    with file_lock(path / "_manifest" / "lock", mode, wait):
        yield


@contextlib.contextmanager
def file_lock(path: Path, mode: Literal["shared", "exclusive"], wait: bool = False) -> Iterator[None]:
    """An advisory lock on a file, which is made for it; while another has it, this one is refused, or waits for it."""
    check_own(path.parent)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # To read as well: NFS gives a shared lock on nothing less.
        handle = path.open("a+")
    with handle:
        _locked.add(handle)
        try:
            _lock(handle, path, mode, wait)
            yield
        finally:
            _locked.discard(handle)


def _lock(handle: TextIO, path: Path, mode: Literal["shared", "exclusive"], wait: bool) -> None:
    kind = fcntl.LOCK_SH if mode == "shared" else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StillhouseError(f"{path.parent.parent}: must not be in use, got another process writing to it") from None
    except OSError as error:
        raise StillhouseError(
            f"{path}: must be on a file system with locks, got {error.strerror}: use a directory on another one"
        ) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a full disk or a forbidden directory into one line that says what is safe."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        advice = {errno.ENOSPC: "free some space", errno.EDQUOT: "free some space"}.get(
            error.errno or 0, "put it right"
        )
        raise StillhouseError(
            f"{path}: must be writable, got {error.strerror}: what was committed is safe,"
            f" {advice} and run the same command again"
        ) from None


def write_file(path: Path, data: bytes | memoryview, scratch: Path | None = None) -> None:
    """Writes a file so that it is there whole or not at all: temporary name, fsync, rename, fsync.

    Raises:
        StillhouseError: no space or no permission; no temporary file stays behind.
    """
    folder = scratch or path.parent
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{uuid.uuid4().hex}.tmp"
        try:
            _write_synced(temporary, data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to piece by piece, which takes its name, and the place of one before it, when all is written.

    Raises:
        StillhouseError: no space or no permission; no temporary file stays behind, and an older file stays as it was.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    if path.parent.is_file():
        raise StillhouseError(f"{path.parent}: must be a directory, got a file")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = BufferedWriter(_Written(temporary, path))
    try:
        with handle:
            # Not under ``writing``: what is written may be read somewhere, and that may fail too.
            yield handle
            handle.flush()
            with writing(path):
                os.fsync(handle.fileno())
        with writing(path):
            temporary.replace(path)
            _sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


class _Written(FileIO):
    """A new file whose errors name the one that it will be."""

    def __init__(self, temporary: Path, path: Path) -> None:
        super().__init__(temporary, "x")
        self._path = path

    def write(self, data: Any) -> int:
        with writing(self._path):
            return super().write(data)


def hash_file(digest: xxh3_128, path: Path) -> None:
    """Adds a file's bytes to a digest, a piece at a time."""
    with path.open("rb") as file:
        while piece := file.read(1 << 24):
            digest.update(piece)


def hash_path(path: Path) -> str:
    """A hash of a file, or of the files of a directory."""
    digest = xxh3_128()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            hash_file(digest, file)
    return digest.hexdigest()


def link_file(path: Path, data: bytes, scratch: Path) -> None:
    """Writes a file under a name that must be free; raises FileExistsError where it is not."""
    temporary = scratch / f"{uuid.uuid4().hex}.tmp"
    with writing(path):
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            _write_synced(temporary, data)
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_directory(path.parent)


def _write_synced(path: Path, data: bytes | memoryview) -> None:
    with path.open("xb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_store_name(name: str) -> bool:
    """Whether every store's directory may have such a name in it."""
    own = name in ("_manifest", "_scratch", "_candidates") or MEMBER_NAME.fullmatch(name)
    return bool(own or PART_NAME.fullmatch(name))
