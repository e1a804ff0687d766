"""A whole chain from one TOML file: each section is a command, and a stage runs only where something changed.

What a stage is made from is hashed: its settings, the bytes of the files it reads, what earlier stages made, and the
versions that matter. Where the hash, and every byte that the stage made, is what it was, the stage is skipped.
Otherwise it is made beside what is there, and takes its place when it is whole. A logit cache and a sweep are only
added to, as long as what they hold is still what it would be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from transferset import StillhouseError
from transferset.files import file_lock

from ._calls import check_lines
from ._checks import check_stage
from ._ledger import FOLDER
from ._stages import Stage, stages_of
from ._toml import read_toml
from ._work import Step, Work


@dataclass(frozen=True)
class Pipeline:
    """The stages of a file, in the order of work.

    Attributes:
        folder: of the file; all paths in it are relative to that.
        out: where everything that is made lies, relative to ``folder``.
    """

    file: Path
    folder: Path
    out: Path
    stages: tuple[Stage, ...]


def load_pipeline(file: Path | str) -> Pipeline:
    """The pipeline of a TOML file, checked: sections, keys, types, and that the files it names are there.

    Raises:
        StillhouseError: with the line of the file at fault.
    """
    file = Path(file)
    toml = read_toml(file)
    folder, toml = file.resolve().parent, replace(toml, path=file.absolute())
    given = toml.values.get("out", file.stem)
    if not isinstance(given, str) or not given:
        raise StillhouseError(f'{toml.place("", 0, "out")} must be a directory in "quotes", got {given!r}')
    out = Path(given)
    with contextlib.chdir(folder), _told_as(toml.path, file):
        if out.exists() and not out.is_dir():
            raise StillhouseError(f"{toml.place('', 0, 'out')} must be a directory, got the file {out}")
        stages = stages_of(toml, out)
        by_name = {stage.name: stage for stage in stages}
        for stage in stages:
            check_lines(stage, by_name, out / FOLDER)
            check_stage(stage, toml)
    return Pipeline(file, folder, out, stages)


@contextlib.contextmanager
def _told_as(path: Path, name: Path) -> Iterator[None]:
    """Errors speak of the file as the user did."""
    try:
        yield
    except StillhouseError as error:
        raise StillhouseError(str(error).replace(str(path), str(name))) from None


def plan(pipeline: Pipeline) -> Iterator[Step]:
    """What ``run`` would do, without doing it.

    A stage after one that would be made again is said to follow it; it is skipped all the same where what it reads
    comes out as it was.

    Raises:
        StillhouseError: a place is taken by something else.
    """
    with contextlib.chdir(pipeline.folder):
        work = Work(pipeline.out, pipeline.folder, pipeline.stages)
        for stage in pipeline.stages:
            step = work.step(stage)
            if step.action == "skip":
                work.done_with(stage)
            yield step


def run(pipeline: Pipeline, tell: Callable[[Step | str], object]) -> None:
    """Makes every stage of which something changed; ``tell`` gets each step before it is done, then what it says.

    The current directory is that of the pipeline's file meanwhile.

    Raises:
        StillhouseError: as the commands; the stages before stay, and what the stage had made before stays too.
    """
    with contextlib.chdir(pipeline.folder), file_lock(pipeline.out / FOLDER / "lock", "exclusive"):
        work = Work(pipeline.out, pipeline.folder, pipeline.stages)
        for stage in pipeline.stages:
            step = work.step(stage)
            tell(step)
            if step.action == "skip":
                work.keep(stage)
            else:
                for line in work.make(stage):
                    tell(line)
            work.done_with(stage)
