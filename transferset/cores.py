"""How many processor cores this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """The cores that the system lets this process run on, which under ``taskset`` or in a container may be few of many.

    >>> cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
