"""What was made from what: a record of each stage, written when it begins and again when what it made is whole.

On disk, in the directory of a pipeline::

    _pipeline/lock                held (flock) while the pipeline runs
    _pipeline/begun/NAME.json     what a stage is being made from; with files, once it is whole
    _pipeline/made/NAME.json      what the stage there was made from, and the hash of each of its files
    _pipeline/work/NAME/KEY/      what is being made, until it takes its place; or the cache of an earlier teacher
    _pipeline/candidates/         what models had to offer to words, for any recipe

A stage takes its place in three steps: the record of its files, the rename, the renaming of the record. So a kill
between any two of them is told from what lies there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transferset.files import write_file

from ._contents import digest_of, first_difference

FOLDER = "_pipeline"


@dataclass(frozen=True)
class Ingredients:
    """All that decides what a stage makes.

    Attributes:
        settings: the keys given.
        contents: the hash of each file that a setting names, by the setting's key and the file.
        stages: the identity of what each earlier stage made.
        versions: of the packages whose other versions might make something else.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """A hash of all."""
        return digest_of(asdict(self))

    def changes(self, old: Ingredients) -> Iterator[str]:
        """What is not as it was, in words."""
        before, now = _flat(old.settings), _flat(self.settings)
        for key in dict.fromkeys([*before, *now]):
            if before.get(key) != now.get(key):
                yield f"{key} changed: {_said(before.get(key))} -> {_said(now.get(key))}"
        for name in dict.fromkeys([*old.contents, *self.contents]):
            key, hashed = name.partition(" ")[0], self.contents.get(name)
            # Another file by another name is said above.
            same_name = old.settings.get(key) == self.settings.get(key)
            if same_name and hashed != old.contents.get(name):
                yield f"{name} changed"
        yield from (f"{name} changed" for name, made in self.stages.items() if old.stages.get(name, made) != made)
        for name, version in self.versions.items():
            if old.versions.get(name) != version:
                yield f"{name} changed: {old.versions.get(name, 'none')} -> {version}"


@dataclass(frozen=True)
class Made:
    """What a stage was made from, and what it made.

    Attributes:
        key: a hash of what decides whether more may be added to it.
        files: the hash of each; None while it is being made.
    """

    ingredients: Ingredients
    key: str
    files: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Ledger:
    """The records of a pipeline's directory."""

    folder: Path

    def begin(self, name: str, made: Made) -> None:
        """Notes that a stage is being made, or, with its files, that it is whole and about to take its place."""
        write_file(self._begun(name), json.dumps(asdict(made), indent=1, ensure_ascii=False, default=str).encode())

    def settle(self, name: str) -> None:
        """Notes that what was begun has taken its place."""
        self._made(name).parent.mkdir(parents=True, exist_ok=True)
        self._begun(name).replace(self._made(name))

    def begun(self, name: str) -> Made | None:
        """What a stage was being made from when it was last left unfinished."""
        return _read(self._begun(name))

    def made(self, name: str, path: Path) -> Made | None:
        """What the stage that lies in a path was made from; None where that is not known."""
        begun = self.begun(name)
        if begun is not None and begun.files is not None and first_difference(path, begun.files) is None:
            return begun
        return _read(self._made(name))

    def _begun(self, name: str) -> Path:
        return self.folder / "begun" / f"{name}.json"

    def _made(self, name: str) -> Path:
        return self.folder / "made" / f"{name}.json"


def _read(file: Path) -> Made | None:
    """A record; one that cannot be read is none, and its stage is made again."""
    try:
        stored = json.loads(file.read_bytes())
        return Made(Ingredients(**stored["ingredients"]), stored["key"], stored["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of a table, such as a grid, by the names of both."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= {f"{key}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def _said(value: Any) -> str:
    if value is None:
        return "not given"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
