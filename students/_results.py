"""What a sweep found, as one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors import safe_open

from transferset import Source

from ._pool import Record


def results(
    out: Path, records: Sequence[Record], test: Source | None, label: str | None, metric: str | None, lower: bool
) -> pa.Table:
    """A row for each student, the best by ``metric`` first: its options, its best epoch's metrics, its size, its cost.

    Columns: ``name`` (of its directory), ``status``, each option, ``epoch`` (the one kept), ``trained_epochs``,
    ``train_loss`` and ``dev_*`` of that epoch, ``test_*`` where there is a test file, ``parameters``,
    ``parameters_without_vectors``, ``bytes`` (of the weights), ``rows``, ``seconds``, ``error``.
    """
    rows = [_row(out, record, test, label) for record in records]
    if metric is not None:
        rows.sort(key=lambda row: _rank(row.get(metric), lower))
    options = dict.fromkeys(name for record in records for name in record.options)
    measured = dict.fromkeys(
        name for row in rows for name in row if name == "train_loss" or name.startswith(("dev_", "test_"))
    )
    sizes = ("parameters", "parameters_without_vectors", "bytes", "rows", "seconds", "error")
    order = [*dict.fromkeys(("name", "status", *options, "epoch", "trained_epochs", *measured, *sizes))]
    return pa.table({name: _column([row.get(name) for row in rows]) for name in order})


def _rank(value: float | None, lower: bool) -> float:
    """What is not there, or no number, is last."""
    if value is None or math.isnan(value):
        return math.inf
    return value if lower else -value


def _row(out: Path, record: Record, test: Source | None, label: str | None) -> dict[str, Any]:
    best = dict(record.history[record.best_epoch - 1]) if record.best_epoch else {}
    row = {
        "name": record.name,
        "status": record.status,
        **record.options,
        "trained_epochs": len(record.history),
        **{"train_loss" if name == "loss" else name: value for name, value in best.items()},
        "rows": record.rows,
        "seconds": record.seconds,
        "error": record.error,
    }
    if record.status == "done":
        row |= _size(out / record.name / "model.safetensors")
        if test is not None:
            row |= _tested(out / record.name, test, label)
    return row


def _size(file: Path) -> dict[str, int]:
    with safe_open(file, "np") as weights:
        shapes = {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
    total = sum(math.prod(shape) for shape in shapes.values())
    vectors = math.prod(shapes.get("vectors.weight", [0]))
    return {
        "parameters": total,
        "parameters_without_vectors": total - vectors,
        "bytes": file.stat().st_size,
    }


def _tested(folder: Path, test: Source, label: str | None) -> dict[str, float]:
    from .evaluate import evaluate
    from .student import Student

    found = evaluate(Student.load(folder), test, label=label, resamples=0)
    return {f"test_{name}": value for name, value in found.items() if isinstance(value, float)}


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values])
