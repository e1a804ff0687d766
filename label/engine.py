"""Labels a transfer set: each distinct row once, longest first, into the cache.

The work is cut into chunks that depend on the transfer set alone, so a run that was killed and goes on asks about the
same rows together and gets the same numbers. A chunk is worked on by one process at a time, and its rows are
committed together; so any number of processes may label one transfer set, or several, into one cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from transferset import LogitCache, Signal, StillhouseError, Store, TransferSet, unknown
from transferset.errors import OccupiedError
from transferset.files import claim_directory, directory_lock, file_lock
from transferset.logit_cache import KIND
from transferset.store import kind_of

from ._rows import distinct_rows, sample_rows
from ._run import Pool, Run
from ._threads import Threads
from .teacher import Description, Request, Teacher

Engine = Literal["local", "ray"]
Storage = Literal["float32", "float16"]
#: Rows that a teacher may settle its open choices on.
SAMPLE_ROWS = 512


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
        run = Run(rows, cache, pool, progress)
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
        raise OccupiedError(f"{out}: must be empty or a logit cache, got the members of an ensemble: use another --out")
    if kind_of(out) == KIND:
        other = Store.open(out, KIND)
        if other.about.get("teacher") != about.get("teacher"):
            raise OccupiedError(
                f"{out}: must be a cache of this teacher ({name or about.get('teacher')}), got one of another"
                f" ({other.made_with.get('teacher') or other.about.get('teacher')}, or other weights under the same"
                " name): use another --out or --force"
            )
        kept = list(other.about.get("signals", {}))
        if kept != list(teacher.widths):
            raise OccupiedError(
                f"{out}: signals must be those that it was made with ({', '.join(kept)}), got"
                f" {', '.join(teacher.widths)}: use another --out or --force"
            )
    return LogitCache.create(out, about, {"teacher": name, **teacher.made_with})
