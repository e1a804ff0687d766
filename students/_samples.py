"""Random rows of any encoding, on which two networks are compared."""

from __future__ import annotations

import numpy as np

from transferset import Task

from ._features import FeatureRows, Features
from ._tokens import Texts, Tokens, begins
from .encoding import Encoding, Inputs


def samples(encoding: Encoding, task: Task, rows: int, tokens: int) -> Inputs:
    """So many rows, always the same.

    Texts have up to ``tokens`` tokens, but no more than the encoding ever gives; the first has as many. The second
    texts of pairs have about half of them.
    """
    random = np.random.default_rng((rows, tokens))
    if isinstance(encoding, Features):
        return _features(encoding, rows, random)
    longest: int = min(tokens, getattr(encoding, "max_tokens", tokens))
    numbers: int = len(encoding)  # type: ignore[arg-type]
    sides = [longest, (longest + 1) // 2][: len(task.inputs)]
    return Texts(tuple(_texts(rows, most, numbers, random) for most in sides))


def _texts(rows: int, longest: int, numbers: int, random: np.random.Generator) -> Tokens:
    lengths = random.integers(1, longest, rows, endpoint=True)
    lengths[0] = longest
    return Tokens(random.integers(1, numbers, lengths.sum()), begins(lengths))


def _features(encoding: Features, rows: int, random: np.random.Generator) -> FeatureRows:
    codes = random.integers(0, np.array(encoding.cardinalities, np.int64), (rows, len(encoding.cardinalities)))
    return FeatureRows(random.normal(size=(rows, encoding.numbers)).astype(np.float32), codes)
