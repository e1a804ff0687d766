"""Frozen dataclasses as the one place where a parameter is written.

An augmenter, a teacher or a student is a module whose class bears the module's name in CapWords
(``augment/ngram.py`` holds ``Ngram``). The fields of the class are its parameters on the command line, in recipes
and in manifests; ``Annotated[float, "share of words masked"]`` gives a field its help text.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import MISSING, dataclass, fields
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import StillhouseError, unknown

T = TypeVar("T")
#: The largest whole number that a parameter may be: what computes with them has 64 bits.
LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Parameter:
    """One parameter of a class: its name, type, default (``MISSING`` if none) and help text."""

    name: str
    type: Any
    default: Any
    help: str


def discover(package: str, method: str) -> dict[str, type[Any]]:
    """The classes of a package that bear their module's name and have a certain method, by module name.

    >>> sorted(discover("augment", "fit"))[:2]
    ['mask', 'mlm']
    """
    found = {}
    for info in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package}.{info.name}")
        cls = getattr(module, info.name.title().replace("_", ""), None)
        if isinstance(cls, type) and cls.__module__ == module.__name__ and hasattr(cls, method):
            found[info.name] = cls
    return found


def parameters(cls: type[Any]) -> list[Parameter]:
    """The parameters of a dataclass, in order."""
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for each in fields(cls):
        if not each.init:
            continue
        kind, help_text = hints[each.name], ""
        if get_origin(kind) is Annotated:
            kind, help_text = get_args(kind)[:2]
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        found.append(Parameter(each.name, kind, default, help_text))
    return found


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """An instance of a dataclass from plain values; ``where`` begins every complaint.

    Raises:
        StillhouseError: an unknown or missing parameter, or a value of another type.
    """
    known = {each.name: each for each in parameters(cls)}
    accepted = {}
    for name, value in values.items():
        if name not in known:
            raise unknown(f"{where}: parameter", name, known)
        accepted[name] = _typed(value, known[name].type, f"{where}: {name}")
    for name, each in known.items():
        if each.default is MISSING and name not in accepted:
            raise StillhouseError(f"{where}: {name} must be given, got nothing")
    return cls(**accepted)


def check_owned(
    given: Iterable[str], asked: Iterable[str], kinds: Mapping[str, Sequence[Parameter]], what: str
) -> None:
    """Raises StillhouseError for an option that none of the kinds asked for has; ``what`` all kinds are kinds of."""
    own = {kind: {each.name for each in having} for kind, having in kinds.items()}
    wanted = sorted(set(asked))
    for name in given:
        if not any(name in own[kind] for kind in wanted):
            having = [kind for kind, names in own.items() if name in names]
            raise StillhouseError(
                f"{name.replace('_', '-')}: must be an option of {' or '.join(wanted)},"
                f" got one of {', '.join(having) or f'no {what}'}"
            )


def describe(instance: Any) -> dict[str, Any]:
    """The parameters of an instance as plain values; ``build`` takes them back."""
    values = {each.name: getattr(instance, each.name) for each in fields(instance)}
    # Containers are copied; a tagger, say, is not: it may hold a model, or what cannot be copied.
    return {name: copy(value) if isinstance(value, list | dict) else value for name, value in values.items()}


def check_share(where: str, value: float) -> None:
    """Raises StillhouseError unless the value is a share, 0 to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise StillhouseError(f"{where} must be between 0 and 1, got {value}")


def check_at_least(where: str, value: float, least: float) -> None:
    """Raises StillhouseError unless the value is a number of at least ``least``."""
    if not value >= least:
        raise StillhouseError(f"{where} must be at least {least}, got {value}")


def check_whole(where: str, value: Any, least: int) -> None:
    """Raises StillhouseError unless the value is a whole number of at least ``least``, and one that 64 bits hold."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise StillhouseError(f"{where} must be a whole number, got {value!r}")
    check_at_least(where, value, least)
    if value > LARGEST:
        raise StillhouseError(f"{where} must be at most {LARGEST}, got a number of {value.bit_length()} bits")


def _typed(value: Any, kind: Any, where: str) -> Any:
    choices = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for choice in choices:
        origin = get_origin(choice)
        if choice is Any:
            return value
        if origin is tuple and isinstance(value, list | tuple):
            return tuple(_typed(each, get_args(choice)[0], where) for each in value)
        if origin is Callable and callable(value):
            return value
        if choice is float and type(value) is int and abs(value) < 2**53:
            return float(value)
        if isinstance(choice, type) and isinstance(value, choice) and not (choice is int and isinstance(value, bool)):
            if isinstance(value, int) and abs(value) > LARGEST:
                raise StillhouseError(f"{where} must be at most {LARGEST}, got a number of {value.bit_length()} bits")
            return value
    names = " or ".join(getattr(choice, "__name__", str(choice)) for choice in choices)
    raise StillhouseError(f"{where} must be {names}, got {repr(value)[:60]}")
