"""What the sections of a pipeline are told of a file: its columns, how it is read, and where it lies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transferset import StillhouseError

from .columns import Look
from .roles import Roles

#: What files for watching and for measuring are called beside one called train.
DEV, TEST = ("dev", "valid", "validation", "val"), ("test",)


@dataclass(frozen=True)
class Facts:
    """A file as it was seen and understood, for a pipeline that will lie in ``out``."""

    look: Look
    roles: Roles
    out: Path

    def columns(self) -> dict[str, Any]:
        """What the columns are, and how the file is read, as every section that reads it is told."""
        task, said = self.roles.task, dict[str, Any]()
        if task.kind != "features":
            said |= dict(zip(("text", "text-pair"), task.inputs, strict=False))
        if task.label is not None:
            said["label"] = task.label
        if task.target != "classification":
            said["task"] = task.target
        elif self.beside(TEST) is not None and self.look.is_all and not any("," in each for each in self.roles.classes):
            said["classes"] = ",".join(self.roles.classes)
        return {**said, **self.reading()}

    def reading(self) -> dict[str, Any]:
        """How the file is read where that is not what its ending says."""
        source, said = self.look.source, dict[str, Any]()
        if source.quote is not None:
            said["quote"] = source.quote
        if not source.header:
            said["no-header"] = True
        return said if source.encoding == "utf-8" else {**said, "encoding": source.encoding}

    def features(self) -> str:
        """All columns, or their names where some take no part."""
        inputs = self.roles.task.inputs
        plain = not any("," in name or name != name.strip() for name in inputs)
        return ",".join(inputs) if self.roles.left and plain else "all"

    def beside(self, names: Sequence[str]) -> Path | None:
        """The file called after one of the names beside one called train, with the same columns."""
        path, source = self.look.source.path, self.look.source
        if "train" not in path.stem or not path.is_file():
            return None
        for name in names:
            other = path.with_name(path.stem.replace("train", name) + path.suffix)
            try:
                if other.is_file() and set(self.roles.task.columns) <= set(replace(source, path=other).columns()):
                    return other
            except StillhouseError:
                continue
        return None

    def path(self, file: Path | None = None) -> str:
        """A path as the pipeline has it: relative to its own folder, or as a whole where it lies far from there."""
        path = file or self.look.source.path
        return self._relative(path) if path.exists() else str(path)

    def spec(self, teacher: str) -> str:
        """A teacher by its path from the pipeline's folder; a name of the hub or of a module is left alone."""
        kind, colon, what = teacher.rpartition(":")
        if not Path(what).exists() or kind == "python":
            return teacher
        relative = self._relative(Path(what))
        return f"{kind}{colon}{relative if kind or relative.startswith(('.', '/')) else f'./{relative}'}"

    def _relative(self, path: Path) -> str:
        folder = self.out.absolute().parent
        relative = os.path.relpath(path.absolute(), folder)
        # Through a link, the way up leads elsewhere.
        far = relative.startswith("../..") or (folder / relative).resolve() != path.resolve()
        return str(path.absolute()) if far else relative
