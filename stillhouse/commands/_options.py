"""Options that several commands share, and those that dataclasses bring along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import click

from transferset import Source
from transferset.files import is_store_name
from transferset.parameters import Parameter, parameters

Command = TypeVar("Command", bound=Callable[..., Any])
_NAMED = (int, float, str)


def source_options(command: Command) -> Command:
    """How a text file is read: ``--quote``, ``--no-header``, ``--encoding``."""
    for option in (
        click.option("--encoding", default="utf-8", show_default=True, help="Encoding of a text file."),
        click.option("--no-header", is_flag=True, help="The file has no header; columns are called 1, 2, ..."),
        click.option("--quote/--no-quote", default=None, help='Whether " encloses fields.  [default: csv yes, tsv no]'),
    ):
        command = option(command)
    return command


def read_source(path: str, quote: bool | None, no_header: bool, encoding: str, split: str | None = None) -> Source:
    """The source that the options describe; ``split`` is that of a data set whose name ends in none."""
    return Source(Path(path), quote, not no_header, encoding, split)


def out_options(what: str) -> Callable[[Command], Command]:
    """``--out`` for a directory, and ``--force``, which replaces what is there, see ``replacing``."""

    def add(command: Command) -> Command:
        command = click.option("--force", is_flag=True, help="Replace what is in --out when the new is whole.")(command)
        return click.option("--out", required=True, type=click.Path(), help=f"Directory of the {what}.")(command)

    return add


def store_name(name: str) -> bool:
    """Whether a transfer set or a logit cache has such a name in it."""
    return name == "_teacher" or is_store_name(name)


def dataclass_options(classes: Mapping[str, type[Any]]) -> Callable[[Command], Command]:
    """An option for each parameter of each class: ``rate`` of ``mask`` is ``--mask-rate``; of ``""``, ``--rate``."""

    def add(command: Command) -> Command:
        for prefix, cls in reversed(list(classes.items())):
            for parameter in reversed(parameters(cls)):
                command = _option(prefix, parameter)(command)
        return command

    return add


def kinds_options(kinds: Mapping[str, Sequence[Parameter]]) -> Callable[[Command], Command]:
    """An option for each parameter of each kind; kinds may share one."""
    having: dict[str, list[str]] = {}
    found: dict[str, Parameter] = {}
    for kind, of_kind in kinds.items():
        for each in of_kind:
            first = found.setdefault(each.name, each)
            # A default that differs is nobody's.
            found[each.name] = first if first.default == each.default else replace(first, default=MISSING)
            having.setdefault(each.name, []).append(kind)

    def add(command: Command) -> Command:
        for name, each in reversed(found.items()):
            told = replace(each, help=f"{', '.join(having[name])}: {each.help}")
            command = _option("", told)(command)
        return command

    return add


def given_parameters(prefix: str, cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a class that were given on the command line."""
    found = {each.name: values[f"{prefix}_{each.name}" if prefix else each.name] for each in parameters(cls)}
    return {name: value for name, value in found.items() if value is not None}


def _option(prefix: str, parameter: Parameter) -> Callable[[Command], Command]:
    name = "-".join(part for part in (prefix, parameter.name.replace("_", "-")) if part)
    choices = get_args(parameter.type) if get_origin(parameter.type) in (Union, UnionType) else (parameter.type,)
    shown = "" if parameter.default in (MISSING, None, False) else f"  [default: {parameter.default}]"
    text = parameter.help[:1].upper() + parameter.help[1:] + "." + shown
    if bool in choices:
        return click.option(f"--{name}/--no-{name}", default=None, help=text)
    kind = next(each for each in _NAMED if each in choices)
    return click.option(f"--{name}", type=kind, default=None, help=text)
