"""Which students a sweep trains: a grid of options, or random draws from ranges."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from xxhash import xxh3_64_hexdigest

from transferset import StillhouseError, unknown
from transferset.parameters import build, check_whole, describe, parameters

from .objectives import Objective, load_objective, objectives
from .reading import Reading
from .student import Architecture, architectures, load_architecture
from .training import Training

_FIRST = ("student", "loss", "seed")
#: Numbers beyond are none that a range can end in.
_HUGE = 1e300


@dataclass(frozen=True)
class Candidate:
    """One student of a sweep: what it is, how it is trained, and the options that say so.

    Attributes:
        options: those that the grid named and that are its own, by name.
        name: of its directory; the same settings have the same name in every sweep.
    """

    architecture: Architecture
    objective: Objective
    training: Training
    reading: Reading
    seed: int
    options: Mapping[str, Any] = field(compare=False)

    @property
    def name(self) -> str:
        """A hash of all its settings."""
        parts = (self.architecture, self.objective, self.training, self.reading)
        said = json.dumps([[type(each).__module__, describe(each)] for each in parts] + [self.seed])
        return f"{self.options['student']}-{xxh3_64_hexdigest(said.encode())[:10]}"


def read_grid(path: Path | str) -> list[dict[str, Any]]:
    """The grids of a TOML file: its tables ``[[grid]]``, each joined with what stands above them.

    Raises:
        StillhouseError: no such file, not TOML, or a value that no option can have.
    """
    path = Path(path)
    try:
        stored = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StillhouseError(f"{path}: must be a TOML file of options: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise StillhouseError(f"{path}: must be TOML: {error}") from None
    grids = stored.pop("grid", [{}])
    if not isinstance(grids, list) or not all(isinstance(each, dict) for each in grids) or not grids:
        raise StillhouseError(f"{path}: grid must be tables [[grid]], got {str(grids)[:60]}")
    return [{**stored, **each} for each in grids]


def candidates(grids: Sequence[Mapping[str, Any]], draws: int | None = None, seed: int = 0) -> list[Candidate]:
    """The distinct students of some grids, in order: every combination, or ``draws`` at random.

    A value is one for all, a list of them, or a range ``{low, high}`` to draw from, with ``log = true`` evenly by
    magnitude and of whole numbers where both ends are. Options that a student or a loss does not have are passed
    over for it, as long as another one of the grid has them.

    >>> found = candidates([{"student": ["bag", "bilstm"], "width": [64, 128], "seed": 1}])
    >>> [dict(each.options) for each in found][1]
    {'student': 'bilstm', 'seed': 1, 'width': 64}

    Raises:
        StillhouseError: an unknown option or kind, a value out of range, a range without ``draws``.
    """
    if draws is not None:
        check_whole("random", draws, 1)
    check_whole("seed", seed, 0)
    found: dict[Candidate, None] = {}
    for number, grid in enumerate(grids):
        plain = {name.replace("-", "_"): value for name, value in grid.items()}
        axes = {name: value if isinstance(value, list) else [value] for name, value in plain.items()}
        _check_names(axes)
        ranges = [name for name, values in axes.items() if any(isinstance(each, dict) for each in values)]
        if ranges and draws is None:
            raise StillhouseError(
                f"sweep: {ranges[0]} must be values, got a range: say how many to draw with --random N"
            )
        random = np.random.default_rng((seed, number))
        chosen = _combined(axes) if draws is None else _drawn(axes, draws, random)
        found |= dict.fromkeys(map(_candidate, chosen))
    return list(found)


def _check_names(axes: Mapping[str, list[Any]]) -> None:
    """Each option must be one of ``train``'s, and of one of the students and losses that take part."""
    for name, values in axes.items():
        if not values:
            raise StillhouseError(f"sweep: {name} must have a value, got none")
    known = {each.name for cls in (Training, Reading) for each in parameters(cls)} | set(_FIRST)
    for what, kinds, usual in (("student", architectures(), "bilstm"), ("loss", objectives(), "mse")):
        for name in axes.get(what, [usual]):
            if not isinstance(name, str) or name not in kinds:
                raise unknown(what, str(name), kinds)
            known |= {each.name for each in parameters(kinds[name])}
    for name in axes:
        if name not in known:
            raise unknown("sweep: option", name, sorted(known))


def _combined(axes: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination; the order of the names does not matter."""
    names = sorted(axes)
    return (dict(zip(names, values, strict=True)) for values in product(*(axes[name] for name in names)))


def _drawn(axes: Mapping[str, list[Any]], draws: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    for _ in range(draws):
        yield {name: _draw(name, values[random.integers(len(values))], random) for name, values in axes.items()}


def _draw(name: str, value: Any, random: np.random.Generator) -> Any:
    if not isinstance(value, dict):
        return value
    low: Any = value.get("low")
    high: Any = value.get("high")
    if not (_is_number(low) and _is_number(high)) or set(value) - {"low", "high", "log"} or not low < high:
        raise StillhouseError(
            f"sweep: {name} must be a range such as {{low = 1e-4, high = 1e-2, log = true}}, got {value}"
        )
    if value.get("log") and low <= 0:
        raise StillhouseError(f"sweep: {name} must be above 0 for log = true, got {low}")
    whole = isinstance(low, int) and isinstance(high, int)
    # Each whole number has all that is rounded to it, the ends too.
    first, last = (low - 0.5, high + 0.5) if whole else (low, high)
    drawn = (
        math.exp(random.uniform(math.log(first), math.log(last))) if value.get("log") else random.uniform(first, last)
    )
    return min(high, max(low, round(drawn))) if whole else float(f"{drawn:.4g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


def _candidate(options: Mapping[str, Any]) -> Candidate:
    """The student that some options describe; those of other kinds take no part."""
    given = {"student": "bilstm", **options}
    loss = given.get("loss", "mse")
    kinds = {
        "student": architectures()[given["student"]],
        "loss": objectives()[loss],
        "training": Training,
        "reading": Reading,
    }
    mine: dict[str, dict[str, Any]] = {}
    for what, cls in kinds.items():
        names = [each.name for each in parameters(cls)]
        mine[what] = {name: given[name] for name in names if name in given}
    seed = given.get("seed", 0)
    check_whole("sweep: seed", seed, 0)
    first = {name: given[name] for name in _FIRST if name in given}
    return Candidate(
        load_architecture(given["student"], mine["student"]),
        load_objective(loss, mine["loss"]),
        build(Training, mine["training"], "sweep"),
        build(Reading, mine["reading"], "sweep"),
        seed,
        {**first, **mine["student"], **mine["loss"], **mine["training"], **mine["reading"]},
    )
