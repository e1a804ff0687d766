"""Puts a report together: reads the students, measures them, looks at the best ones closely, and writes the page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from augment import Summary, summarize
from transferset import StillhouseError, TransferSet
from transferset.files import whole_file
from transferset.parameters import check_whole

from .. import __version__
from ._augmenters import augmenters
from ._calibration import calibrations
from ._confusion import confusions
from ._curves import curves
from ._differences import differences
from ._element import Child, element
from ._head import key_figures, subtitle, title
from ._judged import Judged, judged
from ._measured import Yardstick, closely, measure
from ._page import page
from ._provenance import provenance
from ._quality import Entry, rank
from ._results import results
from ._runs import Run, read_runs
from ._tradeoff import tradeoff

__all__ = ["Yardstick", "report"]


def report(
    places: Sequence[Path | str],
    out: Path | str,
    test: Yardstick | None = None,
    transfer: TransferSet | None = None,
    examples: int = 20,
    force: bool = False,
    progress: bool = False,
) -> int:
    """Writes a page about students and sweeps, one HTML file, and returns how many students are in it.

    Without ``test`` the page has what was noted in training. With it the students are measured on its rows, and with
    its cache the teacher beside them. ``transfer`` is the set they were trained on, whose edits are then counted;
    ``examples`` as many rows as are shown on which the best student and the teacher differ. But for measured speed
    the same students give the same bytes.

    Raises:
        StillhouseError: no students, students of different classes, a file, a cache or a transfer set that does not
            fit, a file that is there and no ``force``. Nothing is written then.
    """
    out = Path(out)
    if out.is_dir() or (out.exists() and not force):
        got, advice = ("a directory", "name a file") if out.is_dir() else ("a file", "use another --out or --force")
        raise StillhouseError(f"{out}: must be a new file, got {got}: {advice}")
    check_whole("report: examples", examples, 0)
    runs = read_runs(places)
    _check_transfer(runs, transfer)
    quality, entries = rank(runs, measure(runs, test, progress))
    tested, rows = test.source.path.name if test is not None else "", _rows(entries)
    sections = {
        "Results": results(entries, quality, tested, rows),
        "Quality and cost": tradeoff(entries, quality),
        "Learning curves": curves(entries),
        **_looked_at(entries, test, examples),
        "Augmenters": augmenters(entries, quality, _summary(transfer, progress)),
        "How it was made": provenance(entries, list(_record(test, rows))),
    }
    with whole_file(out) as file:
        file.write(page(title(entries), subtitle(entries, tested, rows), key_figures(entries, quality), sections))
    return len(entries)


def _check_transfer(runs: Sequence[Run], transfer: TransferSet | None) -> None:
    if transfer is not None and not any(run.made_from.get("transfer") == transfer.store.about for run in runs):
        raise StillhouseError(
            f"{transfer.store.path}: must be the transfer set that students of the report were trained on, got another"
        )


def _summary(transfer: TransferSet | None, progress: bool) -> Summary | None:
    return None if transfer is None else summarize(transfer, progress)


def _rows(entries: Sequence[Entry]) -> int:
    return next((each.measured.figures["rows"] for each in entries if each.measured and each.measured.figures), 0)


def _looked_at(entries: Sequence[Entry], test: Yardstick | None, examples: int) -> dict[str, Sequence[Child]]:
    """The sections for which single answers are looked at."""
    close = judged(entries, test) if test is not None else []
    able = sum(each.run.output == "logits" for each in entries)
    left_out = "there is no file to measure on: give --test FILE" if test is None else "embeddings decide nothing"
    nothing: list[Child] = [element("p", f"Left out: {left_out}.")]
    return {
        "Calibration": calibrations(close, able) if close else nothing,
        "Confusion": confusions(close) if close else nothing,
        "Where they differ": _differing(entries, close, test, examples),
    }


def _differing(entries: Sequence[Entry], close: Sequence[Judged], test: Yardstick | None, examples: int) -> list[Child]:
    best = next((each for each in entries if each.measured is not None), None)
    if test is None or best is None:
        return [element("p", "Left out: there is no file to look for them in: give --test FILE and --cache CACHE.")]
    known = next((each.answered for each in close if each.number == best.number), None)
    if known is None and not test.teaches(best.run):
        return [
            element("p", "Left out: the teacher\u2019s embeddings of the test file are not there: give --cache CACHE.")
        ]
    return differences(best, known if known is not None else closely(best.run, test), examples)


def _record(test: Yardstick | None, rows: int) -> Iterator[tuple[str, Any]]:
    """How the report itself was made."""
    yield "stillhouse", __version__
    if test is None:
        return
    yield "measured on", f"{rows:,} rows of {test.source.path.name}"
    yield "checksum", test.source.content()
    if test.cache is not None:
        yield "teacher", test.cache.store.made_with.get("teacher") or test.cache.about.get("teacher")
    yield "intervals", f"{test.resamples:,} resamples, seed {test.seed}"
    if test.speed:
        yield "speed", f"{threads()} threads, {os.cpu_count()} cores, {os.uname().machine}"


def threads() -> int:
    """The threads that students compute with."""
    import torch

    return torch.get_num_threads()
