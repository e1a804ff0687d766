"""Options that several commands share, and those that dataclasses bring along."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import click

from transferset import Source, StillhouseError
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


def read_source(path: str, quote: bool | None, no_header: bool, encoding: str) -> Source:
    """The source that the options describe."""
    return Source(Path(path), quote, not no_header, encoding)


def out_options(what: str) -> Callable[[Command], Command]:
    """``--out`` for a directory, and ``--force``, which empties it first."""

    def add(command: Command) -> Command:
        command = click.option("--force", is_flag=True, help="Replace what stillhouse made in --out before.")(command)
        return click.option("--out", required=True, type=click.Path(), help=f"Directory of the {what}.")(command)

    return add


def clear(out: str, marks: Iterable[str]) -> None:
    """Empties a directory that stillhouse made: one that holds one of the ``marks``.

    Raises:
        StillhouseError: the directory holds something else.
    """
    path = Path(out)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not any((path / mark).exists() for mark in marks):
        raise StillhouseError(f"{out}: must be a directory that stillhouse made, for --force to empty it")
    shutil.rmtree(path)


def dataclass_options(classes: Mapping[str, type[Any]]) -> Callable[[Command], Command]:
    """An option for each parameter of each class: ``rate`` of ``mask`` is ``--mask-rate``; of ``""``, ``--rate``."""

    def add(command: Command) -> Command:
        for prefix, cls in reversed(list(classes.items())):
            for parameter in reversed(parameters(cls)):
                command = _option(prefix, parameter)(command)
        return command

    return add


def given_parameters(prefix: str, cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a class that were given on the command line."""
    found = {each.name: values[f"{prefix}_{each.name}" if prefix else each.name] for each in parameters(cls)}
    return {name: value for name, value in found.items() if value is not None}


def _option(prefix: str, parameter: Parameter) -> Callable[[Command], Command]:
    name = "-".join(part for part in (prefix, parameter.name.replace("_", "-")) if part)
    choices = get_args(parameter.type) if get_origin(parameter.type) in (Union, UnionType) else (parameter.type,)
    shown = "" if parameter.default is MISSING else f"  [default: {parameter.default}]"
    text = parameter.help[:1].upper() + parameter.help[1:] + "." + shown
    if bool in choices:
        return click.option(f"--{name}/--no-{name}", default=None, help=text)
    kind = next(each for each in _NAMED if each in choices)
    return click.option(f"--{name}", type=kind, default=None, help=text, metavar=kind.__name__.upper())
