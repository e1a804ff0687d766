"""The one exception a user meets, and the sentences it speaks.

Every message is one line of the form *thing: what must hold, got what*.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class StillhouseError(ValueError):
    """A mistake in what the user gave; the command line prints it as one line and exits with 2.

    >>> raise StillhouseError("mask: rate must be between 0 and 1, got 1.7")
    Traceback (most recent call last):
    ...
    transferset.errors.StillhouseError: mask: rate must be between 0 and 1, got 1.7
    """


class OccupiedError(StillhouseError):
    """A directory holds the work of another command: another ``--out`` is needed, or ``--force``."""


def unknown(what: str, name: str, known: Iterable[str]) -> StillhouseError:
    """The error for a name that is not among ``known``; it suggests the nearest one.

    >>> print(unknown("recipe", "tang2091", ["munge", "tang2019"]))
    recipe: must be one of munge, tang2019, got 'tang2091': did you mean 'tang2019'?
    """
    names = [each if each.isprintable() else repr(each) for each in known]
    lowered = {each.lower(): each for each in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    hint = f": did you mean {lowered[near[0]]!r}?" if near else ""
    return StillhouseError(f"{what}: must be one of {', '.join(names)}, got {name!r}{hint}")
