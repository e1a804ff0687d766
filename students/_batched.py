"""Rows in batches of about one length; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from transferset.batches import plan_batches

from .encoding import Array, Inputs, Rows

Outputs = npt.NDArray[np.float32]
#: What applies a function to many arguments and gives the results in order; threads may share the work.
Apply = Callable[[Callable[[Rows], Outputs], Iterable[Rows]], Iterable[Outputs]]


def outputs_of(
    inputs: Inputs, rows: Rows, width: int, batch_tokens: int, answer: Callable[..., Any], apply: Apply = map
) -> Outputs:
    """(B, width) what a network gives some rows, of its ``answer`` (B, width) to what ``Inputs.batch`` gives."""
    order, bounds = plan_batches(np.maximum(inputs.lengths[rows], 1).astype(np.int32), batch_tokens)
    found = np.zeros((len(rows), width), np.float32)
    batches = [order[start:end] for start, end in pairwise(bounds)]

    def answered(places: Rows) -> Outputs:
        arrays: tuple[Array, ...] = inputs.batch(rows[places])
        return np.asarray(answer(*arrays))

    for places, outputs in zip(batches, apply(answered, batches), strict=True):
        found[places] = outputs
    return found
