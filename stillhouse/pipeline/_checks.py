"""What can be told to be wrong before any stage runs: labelling for hours must not end in a student's misspelt name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from label import load_teachers, teachers
from students import Reading, Training, architectures, objectives
from students.grid import candidates, read_grid
from transferset import StillhouseError
from transferset.huggingface import names_set
from transferset.parameters import parameters
from transferset.sources import FORMATS

from ._stages import Stage
from ._toml import Toml

#: Keys that name a file of the user's, whatever they look like.
_FILES = ("source", "data", "file", "dev", "test", "grid")
#: Keys that name what another stage made, or a directory.
_MADE = ("transfer", "cache", "student", "baseline", "runs")
_CHOSEN = ("student", "loss", "seed")


def check_stage(stage: Stage, toml: Toml) -> None:
    """Raises StillhouseError for a file that is not there, or an option that a teacher or a student does not have."""
    for key, value in stage.settings.items():
        for text in _texts(value):
            _check_there(stage, key, text)
    try:
        _check_options(stage)
    except StillhouseError as error:
        raise StillhouseError(f"{stage.place}: {error}") from None
    if stage.made.resolve() in [toml.path.resolve(), *toml.path.resolve().parents]:
        raise StillhouseError(f"{stage.place}: must not make a directory that holds {toml.path}, got {stage.made}")


def _check_there(stage: Stage, key: str, text: str) -> None:
    what = text.partition(":")[2] if text.startswith(("sklearn:", "encoder:")) else text
    is_path = key in _FILES or what.startswith(("./", "../", "/")) or text.startswith("sklearn:")
    if key in ("source", "data", "file", "dev", "test") and names_set(Path(text), FORMATS):
        return  # of the hub, or a split of a folder
    if text in stage.before or Path(what).exists():
        return
    if is_path:
        raise StillhouseError(f"{stage.at(key)} must be a file or directory that is there, got {what!r}")
    if key in _MADE and not (key == "student" and stage.command == "train"):
        raise StillhouseError(f"{stage.at(key)} must be made by an earlier section, or be there, got {text!r}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))


def _check_options(stage: Stage) -> None:
    given = {key.replace("-", "_"): value for key, value in stage.settings.items()}
    if stage.command == "label":
        of_kinds = {each.name for cls in teachers().values() for each in parameters(cls)[1:]}
        specs = given["teacher"] if isinstance(given["teacher"], list) else [given["teacher"]]
        load_teachers(specs, {name: value for name, value in given.items() if name in of_kinds})
    elif stage.command == "train":
        kinds = (*architectures().values(), *objectives().values(), Training, Reading)
        known = {each.name for cls in kinds for each in parameters(cls)}.union(_CHOSEN)
        candidates([{name: value for name, value in given.items() if name in known}])
    elif stage.command == "sweep":
        grid = given["grid"]
        grids = _inline(grid) if isinstance(grid, dict) else read_grid(grid)
        candidates(grids, given.get("random"), given.get("seed", 0))


def _inline(grid: dict[str, Any]) -> list[dict[str, Any]]:
    """The grids of a table in the pipeline, as ``read_grid`` gives those of a file."""
    above = {key: value for key, value in grid.items() if key != "grid"}
    inner = grid.get("grid", [{}])
    if not isinstance(inner, list) or not inner or not all(isinstance(each, dict) for each in inner):
        raise StillhouseError(f"grid: must be a table, or tables [[sweep.grid.grid]], got {str(inner)[:60]}")
    return [{**above, **each} for each in inner]
