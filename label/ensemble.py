"""Labels a transfer set with several teachers, each into a cache of its own, and describes their mean."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from xxhash import xxh3_64_hexdigest

from transferset import Ensemble, Mean, Member, StillhouseError, TransferSet
from transferset.ensemble import KIND
from transferset.errors import OccupiedError
from transferset.files import claim_directory
from transferset.store import kind_of

from .engine import Engine, Labelled, Storage, label, opened
from .teacher import Teacher


def label_ensemble(
    transfer: TransferSet,
    teachers: Sequence[tuple[str, Teacher]],
    out: Path | str,
    weights: Sequence[float] = (),
    mean: Mean = "logits",
    storage: Storage = "float32",
    engine: Engine = "local",
    progress: bool = False,
) -> list[Labelled]:
    """Writes the logits of each of some named teachers where its cache in ``out`` lacks them, and their mean's recipe.

    A teacher that is added later costs only itself, and other weights cost nothing.

    Args:
        weights: one for each teacher, which count relative to their sum; by default all are equal.
        mean: of the ``logits``, or of the ``probabilities``.

    Raises:
        StillhouseError: as ``label``; as many weights as teachers there must be, and no teacher twice.
    """
    if weights and len(weights) != len(teachers):
        raise StillhouseError(f"weight: must be given for each of {len(teachers)} teachers, got {len(weights)}")
    wrong = next((each for each in weights if not 0 < each < math.inf), None)
    if wrong is not None:
        raise StillhouseError(f"weight: must be above 0 and finite, got {wrong}")
    folders = [_folder(name) for name, _ in teachers]
    twice = next((name for (name, _), folder in zip(teachers, folders, strict=True) if folders.count(folder) > 1), None)
    if twice is not None:
        raise StillhouseError(f"teacher: each must be given once, got {twice} twice: give it a larger --weight")
    for name, teacher in teachers:
        if "logits" not in teacher.gives:
            raise StillhouseError(f"{name}: must give logits to be in an ensemble, got {', '.join(teacher.gives)}")
    out = Path(out)
    claim_directory(out)
    if kind_of(out) not in (None, KIND):
        raise OccupiedError(f"{out}: must be an ensemble, got a {kind_of(out)}: use another --out or --force")
    known = _common_classes(transfer, teachers, [out / folder for folder in folders], storage, engine)
    done = [
        label(transfer, teacher, out / folder, ("logits",), storage, name, engine, progress)
        for (name, teacher), folder in zip(teachers, folders, strict=True)
    ]
    members = [
        Member(folder, weight, name)
        for folder, weight, (name, _) in zip(folders, weights or [1.0] * len(teachers), teachers, strict=True)
    ]
    Ensemble.write(out, members, mean, transfer.task.classes or known, transfer.task.target)
    with suppress(OSError):
        (out / "_scratch").rmdir()
    return done


def _common_classes(
    transfer: TransferSet,
    teachers: Sequence[tuple[str, Teacher]],
    caches: Sequence[Path],
    storage: Storage,
    engine: Engine,
) -> tuple[str, ...]:
    """The classes that all teachers have; each is opened, so what is wrong with any is known before hours of work."""
    known: tuple[str, ...] | None = None
    seen: list[dict[str, Any]] = []
    for (name, teacher), cache in zip(teachers, caches, strict=True):
        with opened(transfer, teacher, cache, ("logits",), storage, name, engine) as (pool, _):
            own = pool.description.classes
            # What it is, in whatever precision it is asked.
            itself = {key: value for key, value in pool.description.identity.items() if key != "dtype"}
        if itself in seen:
            same = teachers[seen.index(itself)][0]
            raise StillhouseError(
                f"teacher: each must be given once, got {name}, which is {same}: give it a larger --weight"
            )
        seen.append(itself)
        known = own if known is None else known
        if set(own) != set(known):
            raise StillhouseError(
                f"{name}: classes must be those of {teachers[0][0]} ({', '.join(known)}), got {', '.join(own)}"
            )
    return known or ()


def _folder(name: str) -> str:
    """Where a teacher's cache lies: its name as people say it, and a hash of the whole."""
    short = re.sub(r"[^A-Za-z0-9.]+", "-", name.rstrip("/").rsplit("/", 1)[-1]).strip("-.")[:40]
    return f"member-{short or 'teacher'}-{xxh3_64_hexdigest(name.encode())[:8]}"
