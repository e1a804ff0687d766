"""Random rows of any encoding, on which two networks are compared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transferset import Task
from transferset.tables import FeatureTypes

from ._tokens import Texts, Tokens, begins
from .encoding import Encoding, Inputs


def samples(encoding: Encoding, task: Task, rows: int, tokens: int) -> Inputs:
    """So many rows, always the same.

    Texts have up to ``tokens`` tokens, but no more than the encoding ever gives; the first has as many. The second
    texts of pairs have about half of them.
    """
    random = np.random.default_rng((rows, tokens))
    if encoding.types is not None:
        return encoding.encode(_features(encoding.types, task, rows, random))
    longest: int = min(tokens, getattr(encoding, "max_tokens", tokens))
    numbers: int = len(encoding)  # type: ignore[arg-type]
    sides = [longest, (longest + 1) // 2][: len(task.inputs)]
    return Texts(tuple(_texts(rows, most, numbers, random) for most in sides))


def _texts(rows: int, longest: int, numbers: int, random: np.random.Generator) -> Tokens:
    lengths = random.integers(1, longest, rows, endpoint=True)
    lengths[0] = longest
    return Tokens(random.integers(1, numbers, lengths.sum()), begins(lengths))


def _features(types: FeatureTypes, task: Task, rows: int, random: np.random.Generator) -> list[pa.Array]:
    return [_cells(types[name], rows, random) for name in task.inputs]


def _cells(kind: pa.DataType, rows: int, random: np.random.Generator) -> pa.Array:
    """Typed cells, a tenth of them missing."""
    missing: npt.NDArray[np.bool_] = random.random(rows) < 0.1
    if kind == pa.bool_():
        return pa.array(random.random(rows) < 0.5, mask=missing)
    if kind == pa.string():
        return pa.array([f"name {each}" for each in random.integers(0, 9, rows)], mask=missing)
    values = random.normal(0, 100, rows)
    return pa.array(np.round(values).astype(np.int64) if kind == pa.int64() else values, mask=missing)
