"""Both samples, one after the other."""

from __future__ import annotations

from pathlib import Path

from transferset.parameters import check_whole

from .digits import digits
from .encoder import encoder
from .reviews import reviews
from .table import Line

#: What a run leaves in its directory.
MADE = ("reviews", "digits")


def run(out: Path, seed: int = 0) -> dict[str, list[Line]]:
    """Runs every stage of both parts into ``out``, and gives the lines of the table under their titles.

    Raises:
        StillhouseError: the encoder cannot be had, or the sample is not there.
    """
    check_whole("seed", seed, 0)
    pretrained = encoder()  # before any work
    return {
        "reviews": reviews(out / "reviews", pretrained, seed),
        "digits": digits(out / "digits", seed),
    }
