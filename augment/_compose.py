"""Augmenters made of augmenters: one of several, several in a row, or any of these on a share of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from transferset import StillhouseError
from transferset.parameters import check_share

from ._corpus import Corpus


@dataclass(frozen=True)
class OneOf:
    """On each text, or row of features, one of the steps: chosen by weight, equal ones where none are given.

    With a ``probability`` below 1 the others are left as they are.

    >>> from augment import Mask, Ngram, preview
    >>> texts = preview(["a b c d e f g h"], [OneOf((Mask(rate=1.0), Ngram(rate=1.0)))], copies=20)
    >>> sorted({text.startswith("[MASK]") for text in texts.to_pylist()})
    [False, True]

    Raises:
        StillhouseError: no steps, a weight for some of them only, or weights that are not positive.
    """

    steps: tuple[Any, ...]
    weights: tuple[float, ...] = ()
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_share("one_of: probability", self.probability)
        if not self.steps:
            raise StillhouseError("one_of: must have at least one step, got none")
        if self.weights and (
            len(self.weights) != len(self.steps)
            or not all(isinstance(weight, int | float) and 0 < weight < np.inf for weight in self.weights)
        ):
            raise StillhouseError(
                f"one_of: weights must be {len(self.steps)} numbers above 0, got {', '.join(map(str, self.weights))}"
            )

    @property
    def edits(self) -> str:
        """``texts`` or ``features``: what the steps edit."""
        return what_is_edited(self.steps)

    def fit(self, corpus: Corpus) -> Any:
        """Each step learns what it needs."""
        weights = np.array(self.weights or [1.0] * len(self.steps))
        until = np.cumsum(weights / weights.sum() * self.probability)
        return partial(_choose, [step.fit(corpus) for step in self.steps], until)


@dataclass(frozen=True)
class InSequence:
    """Several steps one after the other, on a share ``probability`` of the texts, or rows of features.

    Raises:
        StillhouseError: no steps, or a probability outside 0 to 1.
    """

    steps: tuple[Any, ...]
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_share("in_sequence: probability", self.probability)
        if not self.steps:
            raise StillhouseError("in_sequence: must have at least one step, got none")

    @property
    def edits(self) -> str:
        """``texts`` or ``features``: what the steps edit."""
        return what_is_edited(self.steps)

    def fit(self, corpus: Corpus) -> Any:
        """Each step learns what it needs."""
        steps = [step.fit(corpus) for step in self.steps]
        return partial(_choose, [partial(_run, steps)], np.array([self.probability]))


def what_is_edited(steps: Sequence[Any]) -> str:
    """``texts`` or ``features``.

    Raises:
        StillhouseError: some steps edit one and some the other.
    """
    kinds = sorted({getattr(step, "edits", "texts") for step in steps})
    if len(kinds) > 1:
        raise StillhouseError("recipe: steps must all edit texts or all features, got both")
    return kinds[0] if kinds else "texts"


def _choose(steps: Sequence[Any], until: np.ndarray[Any, Any], draft: Any) -> None:
    # A sure thing needs no draw, and is the same as the bare step.
    if len(steps) == 1 and until[0] >= 1:
        steps[0](draft)
        return
    share = (draft.row_draws(draft.name("one_of")) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    draft.split(np.searchsorted(until, share, side="right"), steps)


def _run(steps: Sequence[Any], draft: Any) -> None:
    for step in steps:
        step(draft)
