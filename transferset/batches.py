"""Batches for a model: rows of about one length together, as many as a budget of tokens allows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def plan_batches(
    lengths: npt.NDArray[np.int32], batch_tokens: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The order of U rows, longest first, and the bounds of the batches in it, (batches + 1,).

    A batch holds as many rows as fit when all are padded to its first, and at least one. Rows of one length stay in
    order.

    >>> order, bounds = plan_batches(np.array([3, 9, 4, 4], np.int32), batch_tokens=10)
    >>> order.tolist(), bounds.tolist()
    ([1, 2, 3, 0], [0, 1, 3, 4])
    """
    order = np.argsort(-lengths, kind="stable")
    ranked = lengths[order]
    bounds = [0]
    while bounds[-1] < len(order):
        bounds.append(min(len(order), bounds[-1] + max(1, batch_tokens // max(1, int(ranked[bounds[-1]])))))
    return order, np.array(bounds)
