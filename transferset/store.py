"""The crash-safe store: a directory of Parquet parts and the manifest that says which of them count.

On disk::

    part-000000-0123456789abcdef.parquet     the rows; the name ends in the part's checksum
    _manifest/about.json                     what the store is, written once
    _manifest/000000.json                    one committed part: file, rows, bytes, checksum, notes
    _manifest/lock                           held (flock) while a process writes
    _scratch/                                unfinished work of writers; readers never look at it

A part is written under a temporary name, synced, renamed, and only then committed by hard-linking its
record to the name of a slot. A hard link fails where the name exists, so two writers never take the same slot, and a
record is never seen half-written. Readers trust records only, and check the checksum of every part they
read. Whatever is killed, at any instant, loses at most the part that had no record yet.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from xxhash import xxh3_128_hexdigest

from ._parquet import parquet_bytes, read_parquet
from ._records import Part, article, brief, difference, read_json, read_record
from .columns import Column
from .errors import OccupiedError, StillhouseError
from .files import PART_NAME, claim_directory, directory_lock, link_file, write_file

FORMAT = 1
_KINDS = {
    "transfer set": "stillhouse augment",
    "logit cache": "stillhouse label",
    "ensemble": "stillhouse label",
    "candidate store": "stillhouse augment",
}
#: More parts than any store has: a manifest that promises more was edited, and to look for them would take for ever.
_MOST_PARTS = 10_000_000
_RECORD_NAME = re.compile(r"[0-9]+\.json")


class Store:
    """A store that exists. ``create`` makes or reopens one, ``open`` opens one.

    Attributes:
        path: its directory.
        kind: ``transfer set``, ``logit cache`` or ``ensemble``.
        about: what the store is; it never changes once written.
        made_with: what its maker noted besides.
        columns: what is known of the columns of its parts, which is checked as they are read.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        about: dict[str, Any],
        made_with: Any = None,
        columns: Mapping[str, Column] | None = None,
    ) -> None:
        self.path, self.kind, self.about = path, kind, about
        self.made_with: dict[str, Any] = made_with if isinstance(made_with, dict) else {}
        self.columns = columns or {}

    def of(self, columns: Mapping[str, Column]) -> Store:
        """The same store, of parts that must have such columns."""
        return Store(self.path, self.kind, self.about, self.made_with, columns)

    @classmethod
    def open(cls, path: Path | str, kind: str | None = None) -> Store:
        """The store in a directory.

        Raises:
            StillhouseError: there is none, it is of another kind, or of a newer format.
        """
        path = Path(path)
        wanted = article(kind) if kind else "a transfer set or a logit cache"
        if path.is_file():
            raise StillhouseError(f"{path}: must be {wanted}, got a file")
        record = read_json(path / "_manifest" / "about.json")
        if record is None:
            made_by = f": make one with `{_KINDS[kind]}`" if kind in _KINDS else ""
            unfinished = (path / "_scratch").is_dir()
            got = "an unfinished one" if unfinished else "no manifest in it" if path.exists() else "nothing there"
            raise StillhouseError(f"{path}: must be {wanted}, got {got}{made_by}")
        if not isinstance(record.get("format"), int) or record["format"] > FORMAT:
            known = isinstance(record.get("format"), int)
            advice = "upgrade stillhouse" if known else "_manifest/about.json was damaged or edited"
            raise StillhouseError(f"{path}: format must be {FORMAT} or older, got {record.get('format')!r}: {advice}")
        about = record.get("about")
        if (
            not isinstance(record.get("kind"), str)
            or not isinstance(about, dict)
            or not isinstance(about.get("parts", 0), int)
            or not 0 <= about.get("parts", 0) <= _MOST_PARTS
        ):
            raise StillhouseError(f"{path}: _manifest/about.json must say kind and about, got other fields")
        if kind is not None and record["kind"] != kind:
            raise StillhouseError(f"{path}: must be {wanted}, got {article(record['kind'])}")
        return cls(path, record["kind"], about, record.get("made_with"))

    @classmethod
    def create(cls, path: Path | str, kind: str, about: Mapping[str, Any], made_with: Mapping[str, Any]) -> Store:
        """The store in a directory, made now or, where it is already described by ``about``, reopened.

        ``made_with`` is for the reader's eye (names, versions); it may differ when the store is reopened.

        Raises:
            StillhouseError: the directory holds another store, parts that nothing describes, or files that are not a
                store's.
        """
        path = Path(path)
        # What JSON makes of it, so that what is written now equals what is read later.
        about = json.loads(json.dumps(about))
        claim_directory(path)
        # Looked for first: another process may make the store now, and describes it before it commits a part.
        has_parts = any(_RECORD_NAME.fullmatch(name) for name in os.listdir(path / "_manifest"))
        if not (path / "_manifest" / "about.json").exists():
            if has_parts:
                raise OccupiedError(
                    f"{path}: must have the description of its parts, got no _manifest/about.json: put it back, or use"
                    " another --out or --force"
                )
            record = {"format": FORMAT, "kind": kind, "about": about, "made_with": made_with}
            with contextlib.suppress(FileExistsError):
                _link_json(path / "_manifest" / "about.json", record)
        store = cls.open(path, kind)
        different = difference(store.about, about)
        if different is not None:
            name, old, new = different
            raise OccupiedError(
                f"{path}: {name} must be what the {kind} was made with ({brief(old)}), got {brief(new)}:"
                " use another --out or --force"
            )
        return store

    def parts(self) -> list[Part]:
        """The committed parts by slot.

        Raises:
            StillhouseError: a record that cannot be read.
        """
        files = (self.path / "_manifest").glob("[0-9]*.json")
        return sorted((read_record(file) for file in files), key=lambda part: part.slot)

    def part(self, slot: int) -> Part | None:
        """The committed part of a slot, if there is one: what it costs does not grow with the store.

        Raises:
            StillhouseError: a record that cannot be read.
        """
        file = self._record_of(slot)
        return read_record(file) if file.exists() else None

    def next_slot(self) -> int:
        """The slot after the last committed part's."""
        # The names of the records suffice: to read them all at every commit would take ever longer.
        names = os.listdir(self.path / "_manifest")
        return 1 + max((int(name[:-5]) for name in names if _RECORD_NAME.fullmatch(name)), default=-1)

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
        data = parquet_bytes(table)
        checksum = xxh3_128_hexdigest(data)
        wanted = self.next_slot() if slot is None else slot
        while True:
            name = f"part-{wanted:06d}-{checksum[:16]}.parquet"
            part = Part(wanted, name, table.num_rows, len(data), checksum, dict(notes))
            try:
                write_file(self.path / name, data, scratch=self.path / "_scratch")
                _link_json(self._record_of(wanted), asdict(part))
            except FileExistsError:
                theirs = read_record(self._record_of(wanted))
                if slot is not None:
                    return theirs
                # Another writer of the same rows has the same file name, and may have committed it.
                if theirs.file != name:
                    (self.path / name).unlink(missing_ok=True)
                wanted = self.next_slot()
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
            # A buffer of Arrow's own: its threads may let go of it after Python has ended, and then one of Python's
            # would abort the process.
            with pa.OSFile(os.fsencode(self.path / part.file)) as file:
                data = file.read_buffer()
        except OSError as error:
            got = os.strerror(error.errno) if error.errno else "what is no file"
            raise StillhouseError(
                f"{self.path / part.file}: must be readable: {got}; put it back, or {self._advice(part)}"
            ) from None
        if data.size != part.bytes or xxh3_128_hexdigest(data) != part.checksum:
            raise StillhouseError(
                f"{self.path / part.file}: must have checksum {part.checksum}, got another: the file was damaged or"
                f" edited; {self._advice(part)}"
            )
        try:
            return read_parquet(data, columns, self.columns)
        except (pa.ArrowException, OSError, ValueError, TypeError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise StillhouseError(
                f"{self.path / part.file}: must be Parquet with the columns of {article(self.kind)}: {reason}:"
                f" {self._advice(part)}"
            ) from None

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
            return self.remove_orphans()

    def remove_orphans(self) -> list[Path]:
        """What ``gc`` does, for a writer that holds the lock already."""
        named = {part.file for part in self.parts()}
        files = sorted(file for file in self.path.iterdir() if PART_NAME.fullmatch(file.name))
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

    def _advice(self, part: Part) -> str:
        return f"delete it with its record _manifest/{part.slot:06d}.json and run the command that made it"

    def _record_of(self, slot: int) -> Path:
        return self.path / "_manifest" / f"{slot:06d}.json"


def kind_of(path: Path | str) -> str | None:
    """The kind of the store in a directory; None where there is none.

    Raises:
        StillhouseError: a description that cannot be read.
    """
    path = Path(path)
    record = read_json(path / "_manifest" / "about.json") if path.is_dir() else None
    return None if record is None else str(record.get("kind"))


def _link_json(path: Path, record: Mapping[str, Any]) -> None:
    link_file(path, (json.dumps(record, indent=1) + "\n").encode(), path.parent.parent / "_scratch")
