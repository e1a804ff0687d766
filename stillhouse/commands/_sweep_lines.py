"""What a sweep found, for a person: a line for each student with what tells them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transferset import StillhouseError

_MEASURED = ("dev_accuracy", "dev_f1", "dev_pearson", "dev_agreement", "dev_cosine", "test_accuracy", "test_pearson")


def sweep_lines(out: Path) -> list[str]:
    """The lines, the best student first."""
    file = out / "results.parquet"
    try:
        table = pq.read_table(file)
        options = table.column_names[2 : table.column_names.index("trained_epochs")]
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StillhouseError(f"{file}: must be the results of a sweep: {str(error).splitlines()[0]}") from None
    varied = [name for name in options if name != "epoch" and len(set(map(str, table[name].to_pylist()))) > 1]
    shown = ["name", "status", *varied, *(name for name in _MEASURED if name in table.column_names), "seconds"]
    rows = [shown, *([_cell(row[name]) for name in shown] for row in table.to_pylist())]
    widths = [max(len(row[place]) for row in rows) for place in range(len(shown))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, f"{file}: {len(table)} students"]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
