"""``--force``: new work beside the old, whose place it takes when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from transferset import StillhouseError
from transferset.errors import OccupiedError
from transferset.files import file_lock, writing

Result = TypeVar("Result")
#: What there is in ``OUT.force``; a teacher in the making stands beside its place.
_OWN = {"_force", "old", "new", "new.unfinished", "dropped"}
#: What models had to offer is kept by content, and may have taken hours: the new work may use it.
_CANDIDATES = "_candidates"
#: Any of these is worth going on from: a part, a checkpoint, what is trained on, a model.
_COMMITTED = ("_manifest/[0-9]*.json", "_checkpoint/state.json", "_checkpoint/data/dataset.json", "config.json")


def replacing(out: str, force: bool, ours: Callable[[str], bool], work: Callable[[str], Result]) -> Result:
    """What ``work`` gives, which is told where to write: to ``out``, or with ``force`` to ``OUT.force/new``.

    Until the new directory is whole the old one stays where it is. Work that was interrupted stays too, and the same
    call goes on with it; what another one began is thrown away.

    ``ours`` says of a name in the directory whether the command could have made it: anything else there is refused.

    Raises:
        StillhouseError: the directory holds something else, or is being written to.
    """
    if not force:
        return work(out)
    # Of a link it is what it leads to that is replaced.
    path = Path(os.path.realpath(out))
    beside = path.with_name(f"{path.name}.force")
    _check(out, path, ours)
    if beside.exists() and not (beside.is_dir() and {each.name for each in beside.iterdir()} <= _OWN):
        raise StillhouseError(f"{beside}: must be what --force works in, got something else: remove or rename it")
    with file_lock(beside / "_force" / "lock", "exclusive"):
        old, new = beside / "old", beside / "new"
        if old.exists():
            # Killed while they changed places.
            shutil.rmtree(old) if path.exists() else old.rename(path)
        done = _finished(path, new, work)
        # It may have taken hours.
        _check(out, path, ours)
        with writing(path):
            if path.exists():
                path.rename(old)
            new.rename(path)
        shutil.rmtree(beside)
    return done


def _check(out: str, path: Path, ours: Callable[[str], bool]) -> None:
    """Raises StillhouseError where a directory must not be replaced."""
    if Path.cwd().is_relative_to(path):
        # Renamed it would still be what "." means.
        raise StillhouseError(f"{out}: must not hold the current directory, for --force, got {Path.cwd()}: leave it")
    if path.is_mount():
        raise StillhouseError(f"{out}: must not be a mount point, for --force: name a directory in it")
    found = sorted(each.name for each in path.iterdir()) if path.is_dir() else [path.name] if path.exists() else []
    foreign = next((name for name in found if not (path.is_dir() and ours(name))), None)
    if foreign is not None:
        raise StillhouseError(f"{out}: must hold only what this command makes, for --force, got {foreign!r}")
    # Those of an ensemble's members lie a folder deeper.
    for lock in [*path.glob("_*/lock"), *path.glob("*/_manifest/lock")]:
        with file_lock(lock, "exclusive"):
            pass


def _finished(path: Path, new: Path, work: Callable[[str], Result]) -> Result:
    """What the work gives that is done in ``new``, or goes on there."""
    dropped = new.with_name("dropped")
    shutil.rmtree(dropped, ignore_errors=True)
    _hand_over(path, new)
    try:
        try:
            return work(str(new))
        except OccupiedError:
            # Another command began it.
            new.rename(dropped)
            _hand_over(dropped, new)
            shutil.rmtree(dropped)
            return work(str(new))
    except BaseException:
        if path.is_dir():
            _hand_over(new, path)
        if not any(next(new.parent.rglob(name), None) for name in _COMMITTED):
            shutil.rmtree(new.parent)
        raise


def _hand_over(one: Path, other: Path) -> None:
    if (one / _CANDIDATES).exists() and not (other / _CANDIDATES).exists():
        other.mkdir(exist_ok=True)
        (one / _CANDIDATES).rename(other / _CANDIDATES)
