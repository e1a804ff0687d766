"""The crash-safe store: a directory of Parquet parts and the manifest that says which of them count.

On disk::

    part-000000-0123456789abcdef.parquet     the rows; the name ends in the part's checksum
    _manifest/about.json                     what the store is, written once
    _manifest/000000.json                    one committed part: file, rows, bytes, checksum, notes
    _manifest/lock                           held (flock) while a process writes
    _scratch/                                unfinished work of writers; never read

A part is written under a temporary name, synced, renamed, and only then committed by hard-linking its
record to the name of a slot. A hard link fails where the name exists, so two writers never take the same slot, and a
record is never seen half-written. Readers trust records only, and check the checksum of every part they
read. Whatever is killed, at any instant, loses at most the part that had no record yet.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from xxhash import xxh3_128_hexdigest

from .errors import StillhouseError

FORMAT = 1
_PART_NAME = re.compile(r"part-[0-9]{6,}-[0-9a-f]{16}\.parquet")
_KINDS = {"transfer set": "stillhouse augment", "logit cache": "stillhouse label"}


@dataclass(frozen=True)
class Part:
    """A committed part: its slot, file name, size, checksum, and what its writer noted."""

    slot: int
    file: str
    rows: int
    bytes: int
    checksum: str
    notes: Mapping[str, Any] = field(default_factory=dict)


class Store:
    """A store that exists. ``create`` makes or reopens one, ``open`` opens one.

    Attributes:
        path: its directory.
        kind: ``transfer set`` or ``logit cache``.
        about: what the store is; it never changes once written.
    """

    def __init__(self, path: Path, kind: str, about: dict[str, Any]) -> None:
        self.path, self.kind, self.about = path, kind, about

    @classmethod
    def open(cls, path: Path | str, kind: str | None = None) -> Store:
        """The store in a directory.

        Raises:
            StillhouseError: there is none, it is of another kind, or of a newer format.
        """
        path = Path(path)
        wanted = f"a {kind}" if kind else "a transfer set or a logit cache"
        if path.is_file():
            raise StillhouseError(f"{path}: must be {wanted}, got a file")
        record = _read_json(path / "_manifest" / "about.json")
        if record is None:
            made_by = f": make one with `{_KINDS[kind]}`" if kind in _KINDS else ""
            unfinished = (path / "_scratch").is_dir()
            got = "an unfinished one" if unfinished else "no manifest in it" if path.exists() else "nothing there"
            raise StillhouseError(f"{path}: must be {wanted}, got {got}{made_by}")
        if not isinstance(record.get("format"), int) or record["format"] > FORMAT:
            raise StillhouseError(
                f"{path}: format must be {FORMAT} or older, got {record.get('format')!r}: upgrade stillhouse"
            )
        if not isinstance(record.get("kind"), str) or not isinstance(record.get("about"), dict):
            raise StillhouseError(f"{path}: _manifest/about.json must say kind and about, got other fields")
        if kind is not None and record["kind"] != kind:
            raise StillhouseError(f"{path}: must be {wanted}, got a {record['kind']}")
        return cls(path, record["kind"], record["about"])

    @classmethod
    def create(cls, path: Path | str, kind: str, about: Mapping[str, Any], made_with: Mapping[str, Any]) -> Store:
        """The store in a directory, made now or, where it is already described by ``about``, reopened.

        ``made_with`` is for the reader's eye (names, versions); it may differ when the store is reopened.

        Raises:
            StillhouseError: the directory holds another store, or files that are not a store's.
        """
        path = Path(path)
        # What JSON makes of it, so that what is written now equals what is read later.
        about = json.loads(json.dumps(about))
        claim_directory(path)
        if not (path / "_manifest" / "about.json").exists():
            record = {"format": FORMAT, "kind": kind, "about": about, "made_with": made_with}
            with contextlib.suppress(FileExistsError):
                _link_json(path, path / "_manifest" / "about.json", record)
        store = cls.open(path, kind)
        different = _difference(store.about, about)
        if different is not None:
            name, old, new = different
            raise StillhouseError(
                f"{path}: {name} must be what the {kind} was made with ({_brief(old)}), got {_brief(new)}:"
                " use another --out or --force"
            )
        return store

    def parts(self) -> list[Part]:
        """The committed parts by slot.

        Raises:
            StillhouseError: a record that cannot be read.
        """
        files = (self.path / "_manifest").glob("[0-9]*.json")
        return sorted((_read_record(file) for file in files), key=lambda part: part.slot)

    def rows(self) -> int:
        """The number of committed rows."""
        return sum(part.rows for part in self.parts())

    def missing_slots(self) -> list[int]:
        """Slots below ``about['parts']`` that have no part yet; none where the number of parts is open."""
        taken = {part.slot for part in self.parts()}
        return [slot for slot in range(self.about.get("parts", 0)) if slot not in taken]

    def commit(self, table: pa.Table, notes: Mapping[str, Any], slot: int | None = None) -> Part:
        """Writes a table as a part and commits it: in ``slot``, or in the next free one.

        A slot that is already taken keeps its part: the writers of a slot write the same rows.

        Raises:
            StillhouseError: no space, no permission; what was committed before stays whole.
        """
        data = _parquet_bytes(table)
        checksum = xxh3_128_hexdigest(data)
        wanted = self._next_slot() if slot is None else slot
        while True:
            name = f"part-{wanted:06d}-{checksum[:16]}.parquet"
            part = Part(wanted, name, table.num_rows, len(data), checksum, dict(notes))
            try:
                write_file(self.path / name, data, scratch=self.path / "_scratch")
                _link_json(self.path, self.path / "_manifest" / f"{wanted:06d}.json", asdict(part))
            except FileExistsError:
                if slot is not None:
                    return next(each for each in self.parts() if each.slot == slot)
                # Another writer of the same rows has the same file name, and may have committed it.
                if all(part.file != name for part in self.parts()):
                    (self.path / name).unlink(missing_ok=True)
                wanted = self._next_slot()
                continue
            return part

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The committed parts in order of slot, each checked against its checksum before it is used.

        Raises:
            StillhouseError: a part that is gone or is not what was committed; it is named.
        """
        for part in self.parts():
            yield self.read(part, columns)

    def read(self, part: Part, columns: Sequence[str] | None = None) -> pa.Table:
        """One part, checked, with the wanted columns."""
        try:
            data = (self.path / part.file).read_bytes()
        except OSError as error:
            raise StillhouseError(f"{self.path / part.file}: must be readable: {error.strerror}") from None
        if len(data) != part.bytes or xxh3_128_hexdigest(data) != part.checksum:
            raise StillhouseError(
                f"{self.path / part.file}: must have checksum {part.checksum}, got another: the file was damaged or"
                f" edited; delete it with its record _manifest/{part.slot:06d}.json and run the command that made it"
            )
        wanted = list(columns) if columns is not None else None
        # A part is small, and Arrow's threads now and then abort the process when they are torn down at its end.
        return pq.read_table(pa.BufferReader(data), columns=wanted, use_threads=False)

    def verify(self) -> list[str]:
        """What is wrong with the store, a line each: parts gone, damaged or short, slots left open."""
        problems = []
        for part in self.parts():
            try:
                rows = self.read(part, columns=[]).num_rows
            except StillhouseError as error:
                problems.append(str(error))
                continue
            if rows != part.rows:
                problems.append(f"{self.path / part.file}: must hold {part.rows} rows, got {rows}")
        missing = self.missing_slots()
        if missing:
            problems.append(
                f"{self.path}: must have {self.about['parts']} parts, {len(missing)} are missing: run"
                f" `{_KINDS.get(self.kind, 'the command that makes it')}` again"
            )
        return problems

    def gc(self) -> list[Path]:
        """Removes what no record names: torn temporary files and parts that were never committed.

        Raises:
            StillhouseError: a process is writing to the store.
        """
        with self.lock("exclusive"):
            named = {part.file for part in self.parts()}
            files = sorted(file for file in self.path.iterdir() if _PART_NAME.fullmatch(file.name))
            orphans = [file for file in files if file.name not in named]
            for file in orphans:
                file.unlink()
            if (self.path / "_scratch").is_dir():
                orphans.append(self.path / "_scratch")
                shutil.rmtree(self.path / "_scratch")
        return orphans

    def lock(self, mode: Literal["shared", "exclusive"]) -> contextlib.AbstractContextManager[None]:
        """Held while writing: shared among writers who may work at once, exclusive for one alone."""
        return directory_lock(self.path, mode)

    def _next_slot(self) -> int:
        parts = self.parts()
        return parts[-1].slot + 1 if parts else 0


def claim_directory(path: Path) -> None:
    """Makes a directory a store may live in, or checks that it is one: empty, or a store's already.

    Raises:
        StillhouseError: it is a file, it holds other things, or it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise StillhouseError(f"{path}: must be a directory, got a file")
    for name in ("_manifest", "_scratch"):
        if (path / name).is_file():
            raise StillhouseError(f"{path / name}: must be a directory, got a file")
    if path.is_dir():
        foreign = next((each for each in sorted(path.iterdir()) if not _is_ours(each)), None)
        if foreign is not None and not (path / "_manifest").is_dir():
            raise StillhouseError(f"{path}: must be empty or a stillhouse directory, got {foreign.name!r} in it")
    with writing(path):
        (path / "_manifest").mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def directory_lock(path: Path, mode: Literal["shared", "exclusive"]) -> Iterator[None]:
    """An advisory lock on a store's directory; the operating system drops it when the process dies."""
    with writing(path):
        (path / "_manifest").mkdir(parents=True, exist_ok=True)
        handle = (path / "_manifest" / "lock").open("a")
    with handle:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if mode == "shared" else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StillhouseError(f"{path}: must not be in use, got another process writing to it") from None
        yield


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


def _link_json(root: Path, path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record under a name that must be free; raises FileExistsError where it is not."""
    scratch = root / "_scratch"
    temporary = scratch / f"{uuid.uuid4().hex}.tmp"
    with writing(path):
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            _write_synced(temporary, (json.dumps(record, indent=1) + "\n").encode())
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


def _parquet_bytes(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=1)
    return memoryview(sink.getvalue())


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise StillhouseError(f"{path}: must be a JSON file: {error}") from None
    if not isinstance(value, dict):
        raise StillhouseError(f"{path}: must hold a JSON object, got {type(value).__name__}")
    return value


def _read_record(file: Path) -> Part:
    try:
        part = Part(**(_read_json(file) or {}))
        named = f"part-{part.slot:06d}-{part.checksum[:16]}.parquet"
    except (TypeError, ValueError):
        raise StillhouseError(f"{file}: must be the record of a part, got other fields") from None
    if file.name != f"{part.slot:06d}.json" or part.file != named:
        raise StillhouseError(f"{file}: must be the record of {named}, got that of {part.file}")
    return part


def _is_ours(path: Path) -> bool:
    return path.name in ("_manifest", "_scratch") or bool(_PART_NAME.fullmatch(path.name))


def _difference(old: Any, new: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first leaf in which two JSON values differ, in the order of the new one: its name, old and new value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*new, *(key for key in old if key not in new)):
            found = _difference(old.get(key), new.get(key), f"{name} {key}".strip())
            if found is not None:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and dict in map(type, new):
        pairs = enumerate(zip(old, new, strict=True), 1)
        return next((each for n, (a, b) in pairs if (each := _difference(a, b, f"{name} {n}"))), None)
    return None if old == new else (name, old, new)


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
