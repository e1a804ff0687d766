"""Random numbers that are a function of where they are used, and of nothing else.

Each draw is a 64-bit hash of (seed, rule, source row, copy, position): no generator, no state, no order. So the
output does not depend on workers, batches or restarts, and whole arrays are drawn at once. The mixing
function is the finalizer of SplitMix64.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (counter-based generators);
Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators" (the mixing function).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

Draws = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def row_draws(seed: int, rule: str, source: npt.NDArray[np.int64], copy: npt.NDArray[np.int32]) -> Draws:
    """One 64-bit draw for each output row, (R,), from its source row and copy, both (R,).

    >>> rows, copies = np.arange(3), np.ones(3, np.int32)
    >>> bool((row_draws(0, "mask", rows, copies) == row_draws(0, "mask", rows, copies)).all())
    True
    """
    state = np.full(len(source), xxh3_64_intdigest(rule.encode(), seed & (2**64 - 1)), np.uint64)
    for counter in (source, copy):
        state += (counter.astype(np.uint64) + np.uint64(1)) * _GOLDEN
        _mix(state)
    return state


def position_draws(of_row: Draws, position: npt.NDArray[np.int32]) -> Draws:
    """One 64-bit draw for each word, (N,), from the draw of its row and its position in the text, both (N,)."""
    state = position.astype(np.uint64)
    state += np.uint64(1)
    state *= _GOLDEN
    state += of_row
    _mix(state)
    return state


def below(draws: Draws, n: npt.NDArray[np.int64] | int) -> npt.NDArray[np.int64]:
    """Whole numbers uniform in 0..n-1, by the upper 53 bits; ``n`` is one number or one for each draw.

    >>> int(below(np.array([2**64 - 1], np.uint64), 5)[0])
    4
    """
    share = (draws >> np.uint64(11)).astype(np.float64) * 2.0**-53
    # The product can round up to n itself when n is large.
    whole: npt.NDArray[np.int64] = np.minimum((share * n).astype(np.int64), np.asarray(n) - 1)
    return whole


def threshold(share: float) -> int:
    """The bound below which a 64-bit draw falls with the given probability, 0 to 2**64."""
    return round(share * 2**64)


def within(draws: Draws, low: float, high: float) -> npt.NDArray[np.bool_]:
    """Which draws fall in the interval [low, high) of the unit interval.

    >>> within(np.array([0, 2**63, 2**64 - 1], np.uint64), 0.5, 1.0).tolist()
    [False, True, True]
    """
    first, end = threshold(low), threshold(high)
    if end <= first:
        return np.zeros(len(draws), np.bool_)
    # One comparison for both bounds: the difference wraps round below ``first``.
    return (draws - np.uint64(first)) <= np.uint64(end - first - 1)


def _mix(state: Draws) -> None:
    spare = state >> np.uint64(30)
    state ^= spare
    state *= np.uint64(0xBF58476D1CE4E5B9)
    np.right_shift(state, np.uint64(27), out=spare)
    state ^= spare
    state *= np.uint64(0x94D049BB133111EB)
    np.right_shift(state, np.uint64(31), out=spare)
    state ^= spare
