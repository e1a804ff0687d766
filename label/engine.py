"""Labels a transfer set: each distinct row once, longest first, into the cache.

The work is cut into chunks that depend on the transfer set alone, so a run that was killed and goes on asks about the
same rows together and gets the same numbers. A chunk is worked on by one process at a time, and its rows are
committed together; so any number of processes may label one transfer set, or several, into one cache.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
import pyarrow as pa
from tqdm import tqdm
from xxhash import xxh3_64_hexdigest

from transferset import LogitCache, StillhouseError, Store, TransferSet, unknown
from transferset.files import claim_directory, directory_lock, file_lock
from transferset.logit_cache import KIND
from transferset.store import kind_of

from ._claims import Claims
from ._rows import DistinctRows, Numbers, distinct_rows, sample_rows
from ._threads import Threads
from .teacher import Answers, Description, Request, Signal, Teacher

Engine = Literal["local", "ray"]
Storage = Literal["float32", "float16"]
#: A part is committed after this many rows, bytes or seconds, whichever comes first: the most that a kill can lose.
PART_ROWS = 16_384
PART_BYTES = 1 << 27
PART_SECONDS = 30.0
#: Rows that a teacher may settle its open choices on.
SAMPLE_ROWS = 512
#: How often a process that has nothing left to do looks whether another one has died or is done.
_WAIT_SECONDS = 0.5


class Pool(Protocol):
    """Where a teacher is asked: in threads of this process, or on other machines."""

    @property
    def description(self) -> Description:
        """The teacher's."""
        ...

    def kept(self) -> Mapping[str, bytes]:
        """The teacher's files."""
        ...

    def answers(self, chunks: Iterator[tuple[int, pa.Table]]) -> Generator[tuple[int, Answers], None, None]:
        """Answers to numbered chunks, in any order; few are taken ahead of those answered."""
        ...

    def close(self) -> None:
        """Lets go of what was started."""
        ...


@dataclass(frozen=True)
class Labelled:
    """What a run did.

    Attributes:
        rows, distinct: of the transfer set.
        labelled, cut: rows that this run added to the cache, and those of them that were longer than the teacher takes.
        seconds: from the first question to the last answer.
        teacher: what was asked.
    """

    rows: int
    distinct: int
    labelled: int
    cut: int
    seconds: float
    teacher: Description


def label(
    transfer: TransferSet,
    teacher: Teacher,
    out: Path | str,
    signals: Sequence[Signal] | None = None,
    storage: Storage = "float32",
    name: str = "",
    engine: Engine = "local",
    progress: bool = False,
) -> Labelled:
    """Writes the teacher's signals for every row of a transfer set that the cache in ``out`` lacks.

    Args:
        signals: what to ask for; by default the first that the teacher gives.
        name: what the manifest calls the teacher.
        storage: in what precision the cache keeps the signals.
        engine: ``ray`` asks actors of a Ray cluster; this process alone writes.

    Raises:
        StillhouseError: other classes, a cache of another teacher, answers that are not finite; what was
            committed stays.
    """
    with opened(transfer, teacher, out, signals, storage, name, engine) as (pool, cache):
        rows = distinct_rows(transfer, cache.has, cache.path / "_scratch", progress)
        run = _Run(rows, cache, pool, progress)
        run.go()
    return Labelled(rows.rows, len(rows.keys), run.labelled, run.cut, run.seconds, pool.description)


@contextmanager
def opened(
    transfer: TransferSet,
    teacher: Teacher,
    out: Path | str,
    signals: Sequence[Signal] | None = None,
    storage: Storage = "float32",
    name: str = "",
    engine: Engine = "local",
) -> Iterator[tuple[Pool, LogitCache]]:
    """The teacher ready to be asked, and its cache, made now or found to fit; as ``label``, without asking.

    Raises:
        StillhouseError: as ``label``.
    """
    out, signals = Path(out), _checked(signals, teacher)
    for what, given, known in (("engine", engine, Engine), ("storage", storage, Storage)):
        if given not in get_args(known):
            raise unknown(what, given, get_args(known))
    claim_directory(out)
    with _swept(out), directory_lock(out, "shared", wait=True), ExitStack() as stack:
        # One process settles what is open, such as the precision; those that come while it does find it settled.
        with file_lock(out / "_manifest" / "settling", "exclusive", wait=True):
            pool = stack.enter_context(closing(_pool(transfer, teacher, out, signals, engine)))
            cache = _cache(transfer, pool.description, out, storage, name)
        cache.keep(pool.kept())
        yield pool, cache


@contextmanager
def _swept(out: Path) -> Iterator[None]:
    """Before and after, what killed runs or this one left is removed, unless others are at work."""

    def sweep() -> None:
        # NFS keeps files that are open elsewhere under another name for a while.
        with suppress(StillhouseError, OSError):
            Store.open(out, KIND).gc()

    sweep()
    try:
        yield
    finally:
        sweep()


def _checked(signals: Sequence[Signal] | None, teacher: Teacher) -> tuple[Signal, ...]:
    """The wanted signals, each once, in their standard order."""
    if signals is None:
        return teacher.gives[:1]
    for each in signals:
        if each not in teacher.gives:
            raise unknown("signals: of this teacher each", each, teacher.gives)
    if not signals:
        raise StillhouseError(f"signals: must name at least one of {', '.join(teacher.gives)}, got none")
    return tuple(each for each in get_args(Signal) if each in signals)


def _pool(transfer: TransferSet, teacher: Teacher, out: Path, signals: tuple[Signal, ...], engine: Engine) -> Pool:
    exists = kind_of(out) is not None
    made = Store.open(out, KIND).about if exists else None
    sample = None if exists else sample_rows(transfer, SAMPLE_ROWS)
    request = Request(transfer.task, signals, transfer.mask_token, made, sample, transfer.store.rows())
    if engine == "ray":
        from ._ray import RayPool

        return RayPool(teacher, request)
    return Threads(teacher.load(request))


def _cache(transfer: TransferSet, teacher: Description, out: Path, storage: Storage, name: str) -> LogitCache:
    about = {
        **teacher.identity,
        "inputs": transfer.task.kind,
        "target": transfer.task.target,
        "classes": list(teacher.classes),
        "signals": dict(teacher.widths),
        "storage": storage,
    }
    if kind_of(out) is None and any(out.glob("member-*")):
        raise StillhouseError(
            f"{out}: must be empty or a logit cache, got the members of an ensemble: use another --out"
        )
    if kind_of(out) == KIND:
        other = Store.open(out, KIND)
        if other.about.get("teacher") != about.get("teacher"):
            raise StillhouseError(
                f"{out}: must be a cache of this teacher ({name or about.get('teacher')}), got one of another"
                f" ({other.made_with.get('teacher') or other.about.get('teacher')}, or other weights under the same"
                " name): use another --out or --force"
            )
        kept = list(other.about.get("signals", {}))
        if kept != list(teacher.widths):
            raise StillhouseError(
                f"{out}: signals must be those that it was made with ({', '.join(kept)}), got"
                f" {', '.join(teacher.widths)}: use another --out or --force"
            )
    return LogitCache.create(out, about, {"teacher": name, **teacher.made_with})


@dataclass
class _Run:
    """The labelling of rows: chunks that are claimed, asked about, and committed some together."""

    rows: DistinctRows
    cache: LogitCache
    pool: Pool
    progress: bool
    labelled: int = 0
    cut: int = 0
    seconds: float = 0.0
    _answered: list[tuple[int, Numbers, Answers]] = field(default_factory=list)
    _since: float = 0.0

    def go(self) -> None:
        """Labels all that is pending, and waits for what other processes are about to."""
        started = self._since = time.monotonic()
        chunks = self.rows.chunks(self.pool.description)
        left = [number for number, chunk in enumerate(chunks) if (self.rows.place[chunk] >= 0).any()]
        saved = 1 - len(self.rows.keys) / max(1, self.rows.rows)
        plan = xxh3_64_hexdigest(b"".join(self.rows.keys[chunk].tobytes() for chunk in chunks))
        bar = tqdm(desc="labelling", total=self.rows.pending, unit=" texts", disable=not self.progress, smoothing=0.0)
        bar.set_postfix_str(f"{saved:.0%} saved as duplicates", refresh=False)
        with bar, closing(Claims(self.cache.store.path / "_scratch" / f"claims-{plan}")) as claims:
            while left:
                busy = self._pass(chunks, left, claims, bar)
                if busy:
                    time.sleep(_WAIT_SECONDS)
                left = busy
        self.seconds = time.monotonic() - started

    def _pass(self, chunks: list[Numbers], left: list[int], claims: Claims, bar: tqdm) -> list[int]:
        """Asks about each of some chunks unless another process has it; those, in order."""
        busy: list[int] = []
        asked: dict[int, Numbers] = {}

        def questions() -> Iterator[tuple[int, pa.Table]]:
            for number in left:
                if not claims.take(number):
                    busy.append(number)
                    continue
                self.cache.refresh()
                lacking = chunks[number][self.rows.place[chunks[number]] >= 0]
                # What another process committed before it let go of the chunk is known from here on.
                pending = lacking[~self.cache.has(self.rows.keys[lacking])]
                bar.update(len(lacking) - len(pending))
                if len(pending):
                    asked[number] = pending
                    yield number, self.rows.spool.take(self.rows.place[pending])
                else:
                    claims.release(number)

        try:
            with closing(self.pool.answers(questions())) as every:
                for number, answers in every:
                    self._check(asked[number], answers)
                    self._answered.append((number, asked.pop(number), answers))
                    bar.update(len(self._answered[-1][1]))
                    if self._is_full() or time.monotonic() - self._since > PART_SECONDS:
                        self._commit(claims)
        finally:
            # An error, or the user, ends the run: what is answered is not lost.
            self._commit(claims)
        return busy

    def _is_full(self) -> bool:
        """Whether what is answered makes a part; rows of many numbers are held several times over as one is made."""
        waiting = sum(len(rows) for _, rows, _ in self._answered)
        return waiting >= PART_ROWS or 4 * waiting * sum(self.cache.widths.values()) >= PART_BYTES

    def _commit(self, claims: Claims) -> None:
        answered, self._answered, self._since = self._answered, [], time.monotonic()
        if not answered:
            return
        rows = np.concatenate([each for _, each, _ in answered])
        signals = {
            name: np.concatenate([answers.signals[name] for _, _, answers in answered]) for name in self.cache.widths
        }
        cut = sum(answers.cut for _, _, answers in answered)
        self.labelled += self.cache.append(self.rows.keys[rows], signals, cut)
        self.cut += cut
        for number, _, _ in answered:
            claims.release(number)

    def _check(self, rows: Numbers, answers: Answers) -> None:
        for name, width in self.cache.widths.items():
            values = answers.signals.get(name)
            if values is None or values.shape != (len(rows), width):
                got = "none" if values is None else str(values.shape)
                raise StillhouseError(f"teacher: {name} must have shape {(len(rows), width)}, got {got}")
            wrong = np.flatnonzero(~np.isfinite(values).all(1))
            if len(wrong):
                source, got = int(self.rows.source[rows[wrong[0]]]), values[wrong[0]][:8].tolist()
                raise StillhouseError(
                    f"teacher: {name} must be finite, got {got} for row {source + 1} of the source or a copy of it:"
                    " what was committed is safe"
                )
