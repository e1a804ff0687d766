"""Which of the drafted copies are kept: the new ones, and with an exact number wanted, further ones in their place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transferset import Keys, KeySet

from ._block import Flags, Places
from ._rows import Copies

#: Keys of the drafted rows, and the block's row that each is a copy of.
Drafted = tuple[Keys, Places]
#: The most times that a missing copy is drawn again.
RETRIES = 20


def choose_new(
    seen: KeySet, rows: int, exact: int, drafted: Drafted, more: Callable[[Places, Copies], Drafted]
) -> Flags:
    """Which drafted rows of a block to keep, in the order in which they were drafted; ``seen`` learns their keys.

    Args:
        rows: B, the rows of the block.
        exact: the copies each should get; 0 for as many as are new.
        more: drafts certain copies of certain rows, in ascending order of row.
    """
    keys, row = drafted
    keep = [seen.add(keys)]
    if not exact:
        return keep[0]
    missing = exact - np.bincount(row[keep[0]], minlength=rows)
    tried = np.full(rows, exact)
    for _ in range(RETRIES):
        again = np.repeat(np.arange(rows), missing)
        if not len(again):
            break
        nth = np.arange(len(again)) - np.repeat(np.cumsum(missing) - missing, missing)
        copy = (tried[again] + nth + 1).astype(np.int32)
        tried += missing
        keys, row = more(again, copy)
        keep.append(seen.add(keys))
        missing = missing - np.bincount(row[keep[-1]], minlength=rows)
    return np.concatenate(keep)
