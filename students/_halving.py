"""Successive halving: many students for few epochs, few for many."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._pool import Pool, Record
from .grid import Candidate


def halved(pool: Pool, chosen: Sequence[Candidate], factor: int, metric: str, lower: bool) -> list[Record]:
    """The records of all candidates; of each round the best one in ``factor`` go on for ``factor`` times the epochs.

    Source: Jamieson and Talwalkar 2016 (arXiv 1502.07943), figure 3. There are no more rounds than epochs allow, so
    with few epochs more than one candidate goes on to the end. A candidate is ranked by its best epoch so far, and
    ties by their order.
    """
    alive, records = list(chosen), dict[str, Record]()
    least = min(pool.epochs[each.name] for each in chosen)
    for share in shares(len(chosen), factor, least):
        until = {each.name: epochs_at(share, pool.epochs[each.name]) for each in alive}
        trained = dict(zip((each.name for each in alive), pool.train(alive, until), strict=True))
        records |= trained
        if share == 1.0:
            break
        able = [each for each in alive if trained[each.name].status != "failed"]
        ranked = sorted(able, key=lambda each: _rank(trained[each.name], until[each.name], metric, lower))
        keep = max(1, len(alive) // factor)
        for each in ranked[keep:]:
            if trained[each.name].status == "paused":
                records[each.name] = pool.stop(trained[each.name])
        alive = ranked[:keep]
        if not alive:
            break
    return [records[each.name] for each in chosen]


def shares(candidates: int, factor: int, epochs: int) -> list[float]:
    """The share of all epochs after which each round ends, the last being 1; the first is an epoch or more.

    >>> shares(9, 3, epochs=9)
    [0.1111111111111111, 0.3333333333333333, 1.0]
    >>> shares(27, 3, epochs=4)
    [0.3333333333333333, 1.0]
    """
    rounds = int(math.log(min(candidates, epochs), factor) + 1e-9)
    return [float(factor) ** (done - rounds) for done in range(rounds + 1)]


def epochs_at(share: float, epochs: int) -> int:
    """So many epochs are that share, at least one.

    >>> epochs_at(1 / 9, 4), epochs_at(1.0, 4)
    (1, 4)
    """
    return max(1, round(share * epochs))


def _rank(record: Record, until: int, metric: str, lower: bool) -> float:
    best = [row[metric] for row in record.history[:until] if not math.isnan(row.get(metric, math.nan))]
    return (min(best) if lower else -max(best)) if best else math.inf
