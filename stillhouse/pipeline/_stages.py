"""From the sections of a pipeline's file to stages in order: what each reads, and where what it makes will lie."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from transferset import StillhouseError, unknown

from ._sections import check_key, load_command, parameters_of
from ._toml import Toml

#: What a section's stage is called unless it has a `name`, and the ending of the file, in the order of work.
KINDS = {
    "teach": ("teacher", ""),
    "augment": ("T", ""),
    "label": ("L", ""),
    "train": ("bilstm", ""),
    "sweep": ("RUNS", ""),
    "export": ("", ".onnx"),
    "evaluate": ("evaluation", ".json"),
    "report": ("report", ".html"),
}
#: Keys that may name an earlier stage instead of a path, and the kinds of stages that stand there.
_REFERENCES = {
    "transfer": ("augment",),
    "cache": ("label",),
    "teacher": ("teach",),
    "student": ("train", "sweep", "export"),
    "baseline": ("train", "sweep", "export"),
    "runs": ("sweep", "train"),
}
#: Keys that take every earlier stage unless they say which; another one takes the first.
_ALL = {("label", "transfer"), ("evaluate", "student"), ("export", "student"), ("report", "runs")}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Stage:
    """One command of a pipeline.

    Attributes:
        settings: by key, as the file has them or by default; a list where the key takes several.
        reads: the earlier stages that keys name, by key.
        place: how errors about it begin; ``places``, about one of its keys.
        made: what it makes, a directory or a file.
        shared: whether others write there too, so that it is only ever added to.
    """

    command: str
    name: str
    settings: Mapping[str, Any]
    reads: Mapping[str, Sequence[str]]
    place: str
    places: Mapping[str, str]
    made: Path
    shared: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it makes a file."""
        return bool(KINDS[self.command][1])

    def at(self, key: str) -> str:
        """How an error about a key begins."""
        return self.places.get(key, f"{self.place} {key}")

    @property
    def before(self) -> list[str]:
        """The names of the stages that it reads from."""
        return list(dict.fromkeys(name for names in self.reads.values() for name in names))


def stages_of(toml: Toml, out: Path) -> tuple[Stage, ...]:
    """The stages of a pipeline's file, in the order of work.

    Raises:
        StillhouseError: an unknown section or key, two stages of one name, a name that stands for nothing.
    """
    found: list[Stage] = []
    for command in _commands(toml):
        sections = toml.values.get(command, [])
        for number, values in enumerate(sections if isinstance(sections, list) else [sections]):
            place = toml.place(command, number)
            if not isinstance(values, dict):
                raise StillhouseError(f"{place}: must be a table [{command}] or tables [[{command}]], got {values!r}")
            section = _Section(toml, command, number, out)
            for stage in section.stages(dict(values), found):
                _check_free(stage, found)
                found.append(stage)
    if not found:
        raise StillhouseError(f"{toml.path}: must have a section such as [augment], got none")
    return tuple(found)


def _commands(toml: Toml) -> list[str]:
    """The commands that there are, once all sections are known to be one's."""
    from ..cli import stillhouse as group

    there = group.list_commands(click.Context(group))
    known = [command for command in KINDS if command in there]
    for key, value in toml.values.items():
        if key not in known and key != "out":
            place = toml.place(key) if isinstance(value, dict | list) else toml.place("", 0, key)
            raise unknown(place, key, ["out", *known])
    return known


def _check_free(stage: Stage, others: Sequence[Stage]) -> None:
    for other in others:
        # Some file systems take T and t for one.
        if stage.name.lower() == other.name.lower():
            raise StillhouseError(f"{stage.place}: must have a `name` of its own, got {stage.name!r} twice")
        if stage.made.resolve() == other.made.resolve():
            raise StillhouseError(f"{stage.place}: must make something of its own, got {stage.made} twice")


@dataclass(frozen=True)
class _Section:
    """One table of the file."""

    toml: Toml
    command: str
    number: int
    out: Path

    def stages(self, values: dict[str, Any], earlier: Sequence[Stage]) -> Iterator[Stage]:
        """The stage it describes; of students that are exported or evaluated, one for each."""
        values = self._plain(values)
        parameters = parameters_of(load_command(self.command))
        name, shared = self._name(values), self.command == "label" and "out" in values
        made = Path(self._text("out", values.pop("out"))) if shared else self.out / name
        for key in values:
            check_key(self._place(key), key, [*parameters, *([] if self.command == "export" else ["name"])])
        for key, kinds in _REFERENCES.items():
            if key in parameters and key not in values:
                self._default(key, parameters[key], kinds, values, earlier)
        self._check_arguments(values, parameters)
        if self.command not in ("export", "evaluate"):
            yield self._stage(name, made, values, earlier, shared)
            return
        ending = KINDS[self.command][1]
        for student in _listed(values["student"]):
            own = Path(self._text("student", student)).name
            whole = f"{name}-{own}{ending}" if name else f"{own}{ending}"
            yield self._stage(whole, self.out / whole, {**values, "student": student}, earlier)

    def _plain(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values by names as the command line has them; an underscore is as good as a hyphen."""
        plain: dict[str, Any] = {}
        for key, value in values.items():
            hyphened = key.replace("_", "-")
            if hyphened in plain:
                raise StillhouseError(f"{self._place(key)} must be given once, got {hyphened} too")
            plain[hyphened] = value
        return plain

    def _name(self, values: dict[str, Any]) -> str:
        default, ending = KINDS[self.command]
        if self.command == "train":
            default = str(values.get("student", default))
        if self.command == "export":
            return ""
        name = self._text("name", values.pop("name", default))
        if not _NAME.fullmatch(name):
            raise StillhouseError(
                f"{self._place('name')} must be of letters, digits and . _ - and begin with none of these, got {name!r}"
            )
        return name if self.command == "evaluate" else f"{name.removesuffix(ending) if ending else name}{ending}"

    def _default(
        self,
        key: str,
        parameter: click.Parameter,
        kinds: Sequence[str],
        values: dict[str, Any],
        earlier: Sequence[Stage],
    ) -> None:
        """Where a key that must be given is not, the earlier stages of its kind stand in for it."""
        if not (isinstance(parameter, click.Argument) or parameter.required):
            return
        names = [each.name for each in earlier if each.command in kinds and each.command != "export"]
        if names:
            values[key] = names if (self.command, key) in _ALL else names[0]

    def _check_arguments(self, values: Mapping[str, Any], parameters: Mapping[str, click.Parameter]) -> None:
        for key, parameter in parameters.items():
            if parameter.required and key not in values:
                stage = _REFERENCES.get(key, ())
                where = f" where there is no [{'] or ['.join(stage[:2])}] before it" if stage else ""
                raise StillhouseError(
                    f"{self.toml.place(self.command, self.number)}: {key} must be given{where}, got none"
                )

    def _stage(
        self, name: str, made: Path, values: Mapping[str, Any], earlier: Sequence[Stage], shared: bool = False
    ) -> Stage:
        by_name = {each.name: each for each in earlier}
        by_path = {each.made.resolve(): each.name for each in earlier}
        reads: dict[str, list[str]] = {}
        values = dict(values)
        for key, kinds in _REFERENCES.items():
            # In [train] `student` is a kind of network.
            if key not in values or (self.command == "train" and key == "student"):
                continue
            texts = [self._text(key, each) for each in _listed(values[key])]
            named = [each if each in by_name else by_path.get(Path(each).resolve()) for each in texts]
            reads[key] = [each for each in named if each is not None]
            for each in reads[key]:
                self._check_kind(key, by_name[each], kinds)
            both = [name or each for name, each in zip(named, texts, strict=True)]
            values[key] = both if isinstance(values[key], list) else both[0]
        places = {key: self._place(key) for key in values}
        place = self.toml.place(self.command, self.number)
        return Stage(self.command, name, values, reads, place, places, made, shared)

    def _check_kind(self, key: str, stage: Stage, kinds: Sequence[str]) -> None:
        if stage.command not in kinds:
            raise StillhouseError(
                f"{self._place(key)} must be made by [{'] or ['.join(kinds)}], got {stage.name!r},"
                f" which [{stage.command}] makes"
            )

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise StillhouseError(f'{self._place(key)} must be text in "quotes", got {value!r}')
        return value

    def _place(self, key: str) -> str:
        return self.toml.place(self.command, self.number, key)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
