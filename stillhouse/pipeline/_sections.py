"""The keys of a pipeline's sections are the options of its commands: they are checked, and become a command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from transferset import StillhouseError, unknown

#: What a pipeline decides by itself, of any command.
_DECIDED = {
    "out": "what a stage makes lies in `out` of the whole pipeline under its `name`",
    "onnx": "the file is called as the student",
    "force": "a stage is made again where something changed",
    "json": "the figures are kept as JSON",
}
_WHOLE, _NUMBER = (click.types.IntParamType, click.types.FloatParamType)


def load_command(name: str) -> click.Command:
    """A subcommand of ``stillhouse``."""
    from ..cli import stillhouse as group

    command = group.get_command(click.Context(group), name)
    if command is None:
        raise StillhouseError(f"command: must be one of stillhouse, got {name!r}")
    return command


def parameters_of(command: click.Command) -> dict[str, click.Parameter]:
    """What a section may say: the arguments and options of a command, by the name they have on the command line."""
    found: dict[str, click.Parameter] = {}
    for each in command.params:
        name = str(each.name) if isinstance(each, click.Argument) else each.opts[0].removeprefix("--")
        if name not in _DECIDED:
            found[name] = each
    return found


def check_key(place: str, key: str, known: Iterable[str]) -> None:
    """Raises StillhouseError unless a section may have such a key; the nearest ones are named."""
    names = list(known)
    if key in names:
        return
    if key in _DECIDED:
        raise StillhouseError(f"{place} must not be given in a pipeline, got one: {_DECIDED[key]}")
    # An error that names all sixty options of a command is none that is read.
    near = difflib.get_close_matches(key, names, n=3, cutoff=0.6) if len(names) > 12 else names
    if not near:
        raise StillhouseError(f"{place} must be an option of the command, got {key!r}: see its --help")
    raise unknown(place, key, near)


def words(key: str, parameter: click.Parameter, value: Any, place: str) -> Iterator[str]:
    """A key and its value as they would be typed.

    Raises:
        StillhouseError: a value of another type.
    """
    if isinstance(parameter, click.Option) and parameter.is_flag:
        if not isinstance(value, bool):
            raise StillhouseError(f"{place} must be true or false, got {value!r}")
        name = parameter.opts[:1] if value else parameter.secondary_opts[:1]
        yield from name
        return
    many = parameter.multiple or parameter.nargs != 1
    if isinstance(value, list) and not many:
        raise StillhouseError(f"{place} must be one value, got a list")
    for each in value if isinstance(value, list) else [value]:
        typed = _typed(parameter, each, place)
        yield typed if isinstance(parameter, click.Argument) else f"--{key}={typed}"


def _typed(parameter: click.Parameter, value: Any, place: str) -> str:
    kind = parameter.type
    wanted: tuple[type, ...] = (int,) if isinstance(kind, _WHOLE) else (int, float)
    what = "a whole number" if isinstance(kind, _WHOLE) else "a number"
    if not isinstance(kind, _WHOLE | _NUMBER):
        wanted, what = (str,), 'text in "quotes"'
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise StillhouseError(f"{place} must be {what}, got {str(value)[:60]}")
    return repr(value) if isinstance(value, float) else str(value)


def check_command_line(command: click.Command, arguments: list[str], place: str) -> None:
    """Raises StillhouseError where click would complain, before anything is done."""
    try:
        command.make_context(str(command.name), list(arguments))
    except click.ClickException as error:
        raise StillhouseError(f"{place}: {error.format_message()}") from None


def ordered(values: Mapping[str, Any], parameters: Mapping[str, click.Parameter]) -> Iterator[tuple[str, Any]]:
    """Options first, then the arguments in the order in which the command takes them."""
    yield from ((key, value) for key, value in values.items() if isinstance(parameters[key], click.Option))
    arguments = [key for key, each in parameters.items() if isinstance(each, click.Argument)]
    yield from ((key, values[key]) for key in arguments if key in values)
