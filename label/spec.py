"""From what a user writes to a teacher: ``sklearn:model.skops``, ``python:rules:score``, ``./my-bert``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transferset import StillhouseError, unknown
from transferset.parameters import build, check_owned, discover, parameters

from .teacher import Teacher

#: What a name without a kind before it is.
_PLAIN = "huggingface"


def teachers() -> dict[str, type[Any]]:
    """The kinds of teachers, by name: the files of this folder that hold one."""
    return discover("label", "gives")


def load_teacher(spec: str, options: Mapping[str, Any] | None = None) -> Teacher:
    """The teacher that a specification names, ``KIND:WHAT`` or a Hugging Face directory or name, with its options.

    >>> load_teacher("sklearn:forest.skops", {"floor": 0.01})
    Sklearn(file='forest.skops', output='log-probabilities', floor=0.01, trust_pickle=False, batch_rows=262144)

    Raises:
        StillhouseError: an unknown kind, an option that such a teacher does not have, a value out of range.
    """
    return load_teachers([spec], options)[0]


def load_teachers(specs: Sequence[str], options: Mapping[str, Any] | None = None) -> list[Teacher]:
    """Several teachers; each has those of the options that are its kind's, and every option must be somebody's.

    Raises:
        StillhouseError: as ``load_teacher``.
    """
    asked, given = [_kind(spec) for spec in specs], dict(options or {})
    own = {kind: parameters(cls) for kind, cls in teachers().items()}
    options_of = {kind: having[1:] for kind, having in own.items()}
    check_owned(given, (kind for kind, _ in asked), options_of, "teacher")
    found = []
    for kind, what in asked:
        values = {each.name: given[each.name] for each in options_of[kind] if each.name in given}
        found.append(build(teachers()[kind], {own[kind][0].name: what, **values}, kind))
    return found


def _kind(spec: str) -> tuple[str, str]:
    """The kind of teacher that a specification names, and what of it."""
    kind, colon, what = spec.partition(":")
    if not colon or Path(spec).exists():
        return _PLAIN, spec
    if kind not in teachers():
        raise unknown("teacher: kind", kind, teachers())
    if not what:
        raise StillhouseError(f"teacher: must say what after {kind}:, got nothing")
    return kind, what
