"""Options that several commands share, and those that dataclasses bring along."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import click

from transferset import Source, StillhouseError
from transferset.files import file_lock, is_store_name
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
    """``--out`` for a directory, and ``--force``, which replaces what is there."""

    def add(command: Command) -> Command:
        command = click.option("--force", is_flag=True, help="Replace what stillhouse made in --out before.")(command)
        return click.option("--out", required=True, type=click.Path(), help=f"Directory of the {what}.")(command)

    return add


@contextlib.contextmanager
def replacing(out: str, force: bool, ours: Callable[[str], bool]) -> Iterator[None]:
    """With ``force`` sets what is in ``out`` aside, and throws it away only when the new work is done.

    ``ours`` says of a name in the directory whether the command could have made it: anything else there is refused.
    After an error the old directory is back in its place.

    Raises:
        StillhouseError: the directory holds something else, or is being written to.
    """
    # Of a link it is what it leads to that is set aside.
    path = Path(os.path.realpath(out))
    aside = path.with_name(f"{path.name}.replaced")
    if not force or not path.exists() or (path.is_dir() and not any(path.iterdir())):
        yield
        return
    if Path.cwd().is_relative_to(path):
        # Under its new name it would still be what "." means, and take the new work with it.
        raise StillhouseError(f"{out}: must not hold the current directory, for --force, got {Path.cwd()}: leave it")
    if aside.exists():
        raise StillhouseError(f"{aside}: must not be there, got what an interrupted --force kept: remove or rename it")
    foreign = [each.name for each in sorted(path.iterdir()) if not ours(each.name)] if path.is_dir() else [path.name]
    if foreign:
        raise StillhouseError(f"{out}: must hold only what this command makes, for --force, got {foreign[0]!r}")
    # Those of an ensemble's members lie a folder deeper.
    for lock in [*path.glob("_*/lock"), *path.glob("*/_manifest/lock")]:
        with file_lock(lock, "exclusive"):
            pass
    path.rename(aside)
    path.mkdir()
    # What models had to offer is kept by content, and may have taken hours: the new work may use it.
    candidates = "_candidates"
    if (aside / candidates).exists():
        (aside / candidates).rename(path / candidates)
    try:
        yield
    except BaseException:
        if (path / candidates).exists():
            (path / candidates).rename(aside / candidates)
        shutil.rmtree(path, ignore_errors=True)
        aside.rename(path)
        raise
    shutil.rmtree(aside)


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
