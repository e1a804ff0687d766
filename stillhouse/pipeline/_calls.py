"""Runs a stage: its command is called in this process with the words that would be typed.

One process is enough: models are let go of when a command returns, and what computes in several processes (augmenting,
sweeps) starts them afresh. Nothing has to be said twice, and a mistake comes back as the exception that it is.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from transferset import StillhouseError
from transferset.files import write_file

from ._sections import check_command_line, load_command, ordered, parameters_of, words
from ._stages import Stage

#: The option that says where a command writes; figures are taken from what it prints.
_WRITES = {"export": "onnx", "evaluate": None}
#: Keys for which a sweep stands for its best student.
_STUDENTS = ("student", "baseline")


def command_lines(stage: Stage, stages: Mapping[str, Stage], made: Path, candidates: Path) -> Iterator[list[str]]:
    """The words of a stage's command, one after the other if it takes several transfer sets.

    Raises:
        StillhouseError: a value of another type.
    """
    parameters = parameters_of(load_command(stage.command))
    values = dict(stage.settings)
    if stage.command == "augment":
        values.setdefault("candidates", str(candidates))
    if isinstance(values.get("grid"), dict):
        values["grid"] = str(grid_file(stage, candidates.parent))
    for key, names in stage.reads.items():
        # A name stands for what the stage made.
        paths = {name: str(_student(stages[name]) if key in _STUDENTS else stages[name].made) for name in names}
        value = values[key]
        values[key] = [paths.get(each, each) for each in value] if isinstance(value, list) else paths.get(value, value)
    transfers = values["transfer"] if stage.command == "label" else [None]
    for transfer in transfers if isinstance(transfers, list) else [transfers]:
        if transfer is not None:
            values["transfer"] = transfer
        yield _line(stage, values, parameters, made)


def _line(stage: Stage, values: Mapping[str, Any], parameters: Mapping[str, click.Parameter], made: Path) -> list[str]:
    option = _WRITES.get(stage.command, "out")
    typed = ["--json"] if option is None else [f"--{option}={made}"]
    arguments: list[str] = []
    for key, value in ordered(values, parameters):
        parameter = parameters[key]
        spoken = words(key, parameter, value, stage.at(key))
        (typed if isinstance(parameter, click.Option) else arguments).extend(spoken)
    return [*typed, "--", *arguments]


def _student(stage: Stage) -> Path:
    """The student that a stage made; of a sweep the best."""
    if stage.command != "sweep":
        return stage.made
    file = stage.made / "results.parquet"
    try:
        rows = pq.read_table(file, columns=["name", "status"]).to_pylist() if file.exists() else []
    except (OSError, pa.ArrowException) as error:
        raise StillhouseError(f"{file}: must be the results of a sweep: {str(error).splitlines()[0]}") from None
    # Before it has run there is none to name.
    return stage.made / next((row["name"] for row in rows if row["status"] == "done"), "best")


def grid_file(stage: Stage, folder: Path) -> Path:
    """Where the grid lies that stands in the pipeline itself."""
    return folder / "grids" / f"{stage.name}.toml"


def check_lines(stage: Stage, stages: Mapping[str, Stage], folder: Path) -> None:
    """Raises StillhouseError where the command would refuse its options."""
    command = load_command(stage.command)
    for line in command_lines(stage, stages, stage.made, folder / "candidates"):
        check_command_line(command, line, stage.place)


def call(stage: Stage, stages: Mapping[str, Stage], made: Path, folder: Path) -> list[str]:
    """Runs the command of a stage, to make it in ``made``; what it says, with its final place for that.

    Raises:
        StillhouseError: as the command.
    """
    grid = stage.settings.get("grid")
    if isinstance(grid, dict):
        grid_file(stage, folder).parent.mkdir(parents=True, exist_ok=True)
        write_file(grid_file(stage, folder), tomli_w.dumps(grid).encode())
    command, said = load_command(stage.command), io.StringIO()
    with _threads_kept():
        for line in command_lines(stage, stages, made, folder / "candidates"):
            try:
                with contextlib.redirect_stdout(said), command.make_context(stage.command, line) as context:
                    command.invoke(context)
            except StillhouseError as error:
                raise StillhouseError(str(error).replace(str(made), str(stage.made))) from None
            except click.ClickException as error:
                raise StillhouseError(f"{stage.place}: {error.format_message()}") from None
    if stage.command == "evaluate":
        return _figures(said.getvalue(), made)
    return said.getvalue().replace(str(made), str(stage.made)).splitlines()


def _figures(said: str, made: Path) -> list[str]:
    """Keeps what an evaluation found, and says it for people."""
    from ..commands._evaluation_lines import evaluation_lines

    found = json.loads(said)
    write_file(made, (json.dumps(found, indent=1) + "\n").encode())
    return list(evaluation_lines(found))


@contextlib.contextmanager
def _threads_kept() -> Iterator[None]:
    """A command's --threads is for that command alone."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
