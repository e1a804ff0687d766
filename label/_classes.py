"""A teacher's own classes, and which of the task's each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transferset import StillhouseError


def match_classes(where: str, own: Sequence[Any], known: Sequence[str]) -> tuple[str, ...]:
    """The task's classes in the order of the teacher's own, which may be numbers or truth values; case may differ.

    Where the task has none they are the teacher's, spelt as labels of such values are read.

    >>> match_classes("model", [1.0, 0.0], ["0", "1"]), match_classes("model", [False, True], [])
    (('1', '0'), ('false', 'true'))

    Raises:
        StillhouseError: others than the task's; ``where`` begins the line.
    """
    spelt = [_spelt(value) for value in own]
    if not known:
        return tuple(spelt)
    matched = [_named(value, name, known) for value, name in zip(own, spelt, strict=True)]
    if sorted(each or "" for each in matched) != sorted(known):
        raise StillhouseError(f"{where}: classes must be those of the task ({shown(known)}), got {shown(spelt)}")
    return tuple(each for each in matched if each is not None)


def shown(names: Sequence[str], most: int = 10) -> str:
    """Names for a message; of many the first ones and how many there are."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])}, ... ({len(names)} in all)"


def _spelt(value: Any) -> str:
    number = _number(value)
    if str(value) in ("True", "False") and number is not None:
        return str(value).lower()
    return str(int(number)) if number is not None and number.is_integer() else str(value)


def _named(value: Any, spelt: str, known: Sequence[str]) -> str | None:
    """Which of the classes a value is: of a text file a class is read as text, where pandas made a number of it."""
    if spelt in known:
        return spelt
    alike = [name for name in known if name.lower() == spelt.lower()]
    if len(alike) == 1:
        return alike[0]
    number = _number(value)
    same = [name for name in known if number is not None and number == _read(name)]
    return same[0] if len(same) == 1 else None


def _number(value: Any) -> float | None:
    """The value of what is a number or truth value already."""
    if isinstance(value, str):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _read(name: str) -> float | None:
    truth = {"true": 1.0, "false": 0.0}
    try:
        return truth.get(name.lower()) if name.lower() in truth else float(name)
    except ValueError:
        return None
