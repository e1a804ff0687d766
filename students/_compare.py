"""Figures of a student beside those of its teacher and of another student, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._intervals import Counts, bootstrap, interval
from .metrics import Measure, Values, Weights


@dataclass(frozen=True)
class Party:
    """Whose answers are measured.

    Attributes:
        measures: the figures that get an interval, as functions of how often each kind of row counts.
        figures: others.
    """

    measures: Sequence[Measure]
    figures: Mapping[str, float] = field(default_factory=dict)


def compare(parties: Mapping[str, Party], counts: Counts, resamples: int, seed: int) -> dict[str, Any]:
    """The figures of the student, and of each other party under its name; ``counts``, (U,), are rows of each kind.

    All parties are measured on the same resamples, so the ``difference`` of student and baseline has an interval of
    its own: that both find the same rows hard is no part of it.
    """

    def measure(weights: Weights) -> dict[str, Values]:
        found = {
            who: {name: value for each in party.measures for name, value in each(weights).items()}
            for who, party in parties.items()
        }
        if "baseline" in found:
            found["difference"] = {name: found["student"][name] - value for name, value in found["baseline"].items()}
        return {f"{who} {name}": values for who, figures in found.items() for name, values in figures.items()}

    whole = _by_party(measure(counts[None].astype(np.float64)))
    drawn = _by_party(bootstrap(measure, counts, resamples, seed))
    found: dict[str, Any] = {}
    for who, figures in whole.items():
        found[who] = {name: float(values[0]) for name, values in figures.items()}
        found[who] |= parties[who].figures if who in parties else {}
        if drawn:
            found[who]["intervals"] = {name: interval(values) for name, values in drawn[who].items()}
    return {**found.pop("student"), **found}


def _by_party(figures: Mapping[str, Values]) -> dict[str, dict[str, Values]]:
    found: dict[str, dict[str, Values]] = {}
    for key, values in figures.items():
        who, _, name = key.partition(" ")
        found.setdefault(who, {})[name] = values
    return found
