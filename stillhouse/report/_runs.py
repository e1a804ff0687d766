"""The students that a report is about: those of directories, and a sweep's candidates, whatever became of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transferset import StillhouseError, Task

#: What becomes of a student; one that is removed was done, and its directory is gone.
STATUSES = ("done", "paused", "stopped", "removed", "failed")
Epoch = Mapping[str, float]
#: Columns of a sweep's results that are neither options nor figures.
_NOTED = ("name", "status", "epoch", "trained_epochs", "train_loss", "rows", "seconds", "error", "bytes")


@dataclass(frozen=True)
class Run:
    """A student, or what there is of one that never came to be.

    Attributes:
        name: what people call it: its directory's name.
        kind: ``bilstm``, ``bag``, ...
        status: one of ``STATUSES``.
        settings: all its options by name, or those that the grid named.
        noted: ``dev_*`` of the epoch that was kept, and ``test_*`` where the sweep had a test file.
        history: what was noted of each epoch.
        place: its directory; None where there is no student.
        task: None where there is no student.
        output: ``logits`` or ``embedding``; empty where there is no student.
        made_from: the transfer set, the cache, and how it was trained.
    """

    name: str
    kind: str
    status: str
    settings: Mapping[str, Any]
    noted: Mapping[str, float]
    history: Sequence[Epoch] = ()
    best_epoch: int = 0
    rows: int | None = None
    seconds: float | None = None
    error: str = ""
    place: Path | None = None
    task: Task | None = None
    output: str = ""
    made_from: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_candidate(self) -> bool:
        """Whether it is a sweep's, and so is called by a hash."""
        return re.fullmatch(re.escape(self.kind) + "-[0-9a-f]{10}", self.name) is not None

    def label(self, varied: Sequence[str]) -> str:
        """A few words for people: of a sweep's candidate what was varied says more than the hash in its name.

        >>> run = Run("bag-0123456789", "bag", "done", {"loss": "kl", "temperature": 3.0, "seed": 1}, {})
        >>> run.label(["loss", "temperature"])
        'bag, kl, temperature 3'
        """
        if not self.is_candidate:
            return self.name
        said = [(name, self.settings[name]) for name in varied if self.settings.get(name) is not None]
        told = [
            spoken(value) if name == "loss" else f"{name.replace('_', ' ')} {spoken(value)}" for name, value in said
        ]
        return ", ".join([self.kind, *told])


def varied(runs: Sequence[Run]) -> list[str]:
    """The settings, but for the kind, that are not the same for all students that have them."""
    values: dict[str, set[str]] = {}
    for run in runs:
        for name, value in run.settings.items():
            values.setdefault(name, set()).add(spoken(value))
    return [name for name, found in values.items() if len(found) > 1 and name != "student"]


def spoken(value: Any) -> str:
    """A setting as people write it.

    >>> spoken(3.0), spoken(None), spoken(True)
    ('3', 'default', 'yes')
    """
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_runs(places: Sequence[Path | str]) -> list[Run]:
    """The students and candidates of some directories, each once.

    Raises:
        StillhouseError: no directory, one that is neither a student nor a sweep, or a damaged one.
    """
    if not places:
        raise StillhouseError("report: must have a student's or a sweep's directory, got none")
    found: dict[Path, Run] = {}
    for place in map(Path, places):
        for each in _runs_in(place):
            found.setdefault((each.place or place / each.name).resolve(), each)
    return list(found.values())


def _runs_in(place: Path) -> Iterator[Run]:
    if (place / "config.json").is_file():
        yield _student(place)
    elif (place / "results.parquet").is_file():
        yield from _finished_sweep(place)
    elif (place / "_sweep").is_dir():
        yield from _unfinished_sweep(place)
    else:
        got = "got something else" if place.is_dir() else "got nothing there" if not place.exists() else "got a file"
        inside = sorted(each.parent.name for each in place.glob("*/config.json")) if place.is_dir() else []
        advice = f": try {place / inside[0]}" if inside else ""
        raise StillhouseError(f"{place}: must be a student's or a sweep's directory, {got}{advice}")


def _student(place: Path, noted: Mapping[str, float] | None = None) -> Run:
    config, metrics = _read(place / "config.json"), _read(place / "metrics.json")
    try:
        made_from = dict(config["made_from"])
        history, best = list(metrics.get("history", ())), int(metrics.get("best_epoch", 0))
        return Run(
            place.resolve().name,
            str(config["student"]),
            "done",
            _settings(config, made_from),
            {**_dev(history, best), **(noted or {})},
            history,
            best,
            metrics.get("rows"),
            metrics.get("seconds"),
            place=place,
            task=Task.from_json(config["task"]),
            output=str(config["output"]),
            made_from=made_from,
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise StillhouseError(f"{place}: config.json and metrics.json must describe a student: {error}") from None


def _settings(config: Mapping[str, Any], made_from: Mapping[str, Any]) -> dict[str, Any]:
    objective = dict(made_from.get("objective", {}))
    found = {"student": config["student"], "loss": next(iter(objective), None), **config["parameters"]}
    for each in (*objective.values(), made_from.get("training", {}), made_from.get("reading", {})):
        found |= each
    return {**found, "seed": made_from.get("seed")}


def _dev(history: Sequence[Epoch], best: int) -> dict[str, float]:
    kept = history[best - 1] if best else {}
    return {name: value for name, value in kept.items() if name.startswith("dev_")}


def _finished_sweep(place: Path) -> Iterator[Run]:
    file = place / "results.parquet"
    try:
        table = pq.read_table(file).to_pylist()
        for row in table:
            yield _candidate(place, row)
    except (OSError, KeyError, TypeError, pa.ArrowException) as error:
        raise StillhouseError(f"{file}: must be the results of a sweep: {str(error).splitlines()[0]}") from None


def _candidate(place: Path, row: Mapping[str, Any]) -> Run:
    given = {name: value for name, value in row.items() if value is not None}
    noted = {name: value for name, value in given.items() if name.startswith(("dev_", "test_"))}
    folder, status = place / given["name"], given["status"]
    if status == "done" and (folder / "config.json").is_file():
        return _student(folder, noted)
    # One whose directory was taken away since is not there to be measured.
    status = "removed" if status == "done" else status
    sizes = ("parameters", "parameters_without_vectors")
    options = {name: value for name, value in given.items() if name not in (*_NOTED, *sizes, *noted)}
    record = _record(place, given["name"])
    history, best = record.get("history", ()), int(given.get("epoch") or record.get("best_epoch", 0))
    return Run(
        given["name"],
        str(options.get("student", given["name"].rpartition("-")[0])),
        status,
        options,
        {**_dev(history, best), **noted},
        history,
        best,
        given.get("rows"),
        given.get("seconds"),
        given.get("error", ""),
    )


def _unfinished_sweep(place: Path) -> Iterator[Run]:
    """What there is of a sweep that is still at work, or was interrupted."""
    names = {each.stem for each in (place / "_sweep").glob("*.json")} - {"sources"}
    names |= {each.parent.name for each in place.glob("*/config.json")}
    names |= {each.parent.parent.name for each in place.glob("*/_checkpoint/state.json")}
    for name in sorted(names):
        record = _record(place, name)
        status = "stopped" if record.get("status") == "stopped" else "paused"
        done = "done" if (place / name / "config.json").is_file() else status
        yield _candidate(place, {**record.get("options", {}), "name": name, "status": done})


def _record(place: Path, name: str) -> dict[str, Any]:
    """What a sweep noted of a candidate, or its last checkpoint says."""
    for file in (place / "_sweep" / f"{name}.json", place / name / "_checkpoint" / "state.json"):
        if file.is_file():
            return _read(file)
    return {}


def _read(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except OSError as error:
        raise StillhouseError(f"{file}: must be readable: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise StillhouseError(f"{file}: must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise StillhouseError(f"{file}: must hold a JSON object, got {type(value).__name__}")
    return value
