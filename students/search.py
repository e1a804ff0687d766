"""Trains many students from one transfer set and one cache, which are read once.

Each student is trained by one of several processes of few threads: two small students side by side use two cores
better than both do one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
from xxhash import xxh3_64_hexdigest

from transferset import Ensemble, LogitCache, Source, StillhouseError, TransferSet
from transferset.cores import cores
from transferset.files import file_lock, whole_file, write_file
from transferset.parameters import check_whole

from ._dataset import Dataset, open_dataset
from ._halving import halved
from ._judge import Judge
from ._pool import Pool, Record, noted
from ._prepare import describe_sources, prepare
from ._results import results
from .evaluate import read_labelled
from .grid import Candidate
from .objectives import Output
from .reading import Reading
from .trainer import check_fit

#: Where a sweep notes what it was made from.
_SOURCES = "sources.json"


def sweep(
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    chosen: Sequence[Candidate],
    out: Path | str,
    dev: Source | None = None,
    dev_label: str | None = None,
    test: Source | None = None,
    halving: int | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> list[Record]:
    """The students of a sweep, each in a directory of its own in ``out``, and ``results.parquet``, a row for each.

    The best is first, by the dev metric where rows are watched; the table has the students of earlier sweeps in
    ``out`` too. A student that is there already is not trained again, and an interrupted one goes on from its
    checkpoint, so the same call resumes a sweep, and one with more candidates adds to it. With ``halving``, say 3, all
    are trained for a few epochs, the best third goes on for three times as many, and so on to the end. ``workers`` are
    as many processes as cores by default; ``test`` is a labelled file that every finished student is measured on.

    Raises:
        StillhouseError: no candidates, candidates that do not fit the task, halving without rows to watch or with
            different metrics; ``out`` holds something else. A candidate that fails is a record that says why.

    Source: successive halving, Jamieson and Talwalkar 2016 (arXiv 1502.07943).
    """
    out = Path(out)
    if not chosen:
        raise StillhouseError("sweep: must have students to train, got none")
    for each in chosen:
        check_fit(each.architecture, each.objective, transfer.task)
        if test is not None and each.objective.signal != "logits":
            raise StillhouseError(f"sweep: test must be for students of logits, got loss {each.options.get('loss')}")
    if halving is not None:
        check_whole("sweep: halving", halving, 2)
    workers = workers if workers is not None else cores()
    check_whole("sweep: workers", workers, 1)
    _check_place(out)
    with file_lock(out / "_sweep" / "lock", "exclusive"):
        sources = _sources(out, transfer, cache, dev, dev_label)
        folders = _datasets(out, chosen, transfer, cache, dev, dev_label, progress)
        data = {folder: open_dataset(folder) for folder in folders.values()}
        plans = {each.name: _plan(each, data[folders[each.name]]) for each in chosen}
        metric, lower = _metric(plans.values())
        if halving is not None and metric is None:
            raise StillhouseError(
                "sweep: halving must have rows to watch and one dev metric for all students, got others: give"
                " --dev FILE or holdout, and one monitor"
            )
        if test is not None:
            one = data[folders[chosen[0].name]]
            read_labelled(test, replace(one.task, label=dev_label or one.task.label), one.encoding.types)
        write_file(out / "_sweep" / _SOURCES, sources)
        rows = {name: plan.rows for name, plan in plans.items()}
        epochs = {each.name: each.training.epochs_for(rows[each.name]) for each in chosen}
        with Pool(out, folders, rows, epochs, min(workers, len(chosen)), progress) as pool:
            if halving is None or metric is None:
                records = pool.train(chosen)
            else:
                records = halved(pool, chosen, halving, metric, lower)
        names = {each.name for each in chosen}
        others = [record for record in noted(out) if record.name not in names]
        table = results(out, [*records, *others], test, dev_label, metric, lower)
        with whole_file(out / "results.parquet") as file:
            pq.write_table(table, file)
    ranked = table["name"].to_pylist()
    return sorted(records, key=lambda record: ranked.index(record.name))


def _check_place(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise StillhouseError(f"{out}: must be a directory, got a file")
    if out.is_dir() and not (out / "_sweep").is_dir() and any(out.iterdir()):
        raise StillhouseError(f"{out}: must be empty or a sweep's directory, got {min(out.iterdir()).name!r} in it")


def _sources(
    out: Path, transfer: TransferSet, cache: LogitCache | Ensemble, dev: Source | None, dev_label: str | None
) -> bytes:
    """What all students of a sweep are trained on and watched with, which must be what it was before.

    The names of students say nothing of it, so those of other data would be taken for these.
    """
    about = describe_sources(transfer, cache, Reading(vectors="random"), "logits", dev, dev_label)
    found = json.dumps({name: about[name] for name in ("transfer", "cache", "dev")}).encode()
    file = out / "_sweep" / _SOURCES
    if file.exists() and file.read_bytes() != found:
        raise StillhouseError(
            f"{out}: must be empty or a sweep of the same transfer set, cache and dev file, got another's: use another"
            " --out"
        )
    return found


def _datasets(
    out: Path,
    chosen: Sequence[Candidate],
    transfer: TransferSet,
    cache: LogitCache | Ensemble,
    dev: Source | None,
    dev_label: str | None,
    progress: bool,
) -> dict[str, Path]:
    """The folder of the data set that each candidate is trained on, by its name; those that read alike share one."""
    folders: dict[tuple[Reading, Output], Path] = {}
    for reading, signal in dict.fromkeys((each.reading, each.objective.signal) for each in chosen):
        about = json.dumps(describe_sources(transfer, cache, reading, signal, dev, dev_label))
        folder = out / "_sweep" / f"data-{xxh3_64_hexdigest(about.encode())[:10]}"
        prepare(folder, transfer, cache, reading, signal, dev, dev_label, progress)
        folders[reading, signal] = folder
    return {each.name: folders[each.reading, each.objective.signal] for each in chosen}


@dataclass(frozen=True)
class _Plan:
    """How many rows a candidate is trained on, by which metric it is ranked, if any, and whether less is better."""

    rows: int
    metric: str | None
    lower: bool


def _plan(candidate: Candidate, data: Dataset) -> _Plan:
    judge = Judge(data, candidate.objective, candidate.training)
    watches = judge.examples is not None
    return _Plan(len(judge.rows_left), judge.metric if watches else None, watches and judge.lower)


def _metric(plans: Iterable[_Plan]) -> tuple[str | None, bool]:
    """The dev metric that all are ranked by, and whether less is better; None where there is no such metric."""
    metrics = {(plan.metric, plan.lower) for plan in plans}
    return metrics.pop() if len(metrics) == 1 else (None, False)
