"""What can be wrong with a logit cache beyond damage to its parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from xxhash import xxh3_128_hexdigest

from ._signals import column_type, stored_matrix
from .keys import KEY_TYPE, KeySet, keys_from_arrow
from .store import Store


def cache_problems(store: Store, classes: Sequence[str], widths: Mapping[str, int], storage: str) -> list[str]:
    problems = [*store.verify(), *_wrong_width(store.path, classes, widths), *_wrong_files(store.path / "_teacher")]
    types = {"key": KEY_TYPE, **{name: column_type(storage, width) for name, width in widths.items()}}
    seen = KeySet()
    # Rows are looked at only where every part can be read.
    for part in () if problems else store.parts():
        table = store.read(part)
        found = [*_wrong_columns(table, types)] or [*_wrong_rows(table, widths, seen)]
        problems += [f"{store.path / part.file}: {what}" for what in found]
    return problems


def _wrong_width(path: Path, classes: Sequence[str], widths: Mapping[str, int]) -> Iterator[str]:
    wanted = len(classes) or 1
    if widths.get("logits", wanted) != wanted:
        yield f"{path}: logits must have width {wanted} ({', '.join(classes) or 'a score'}), got {widths['logits']}"


def _wrong_files(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        return
    again = "delete _teacher and run `stillhouse label` again"
    try:
        for name, wanted in json.loads((folder / "files.json").read_bytes()).items():
            data = (folder / name).read_bytes() if (folder / name).is_file() else b""
            if xxh3_128_hexdigest(data) != wanted["checksum"]:
                yield f"{folder / name}: must be what the labeller kept, got another file or none: {again}"
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        yield f"{folder / 'files.json'}: must name what the labeller kept, got none or other fields: {again}"


def _wrong_columns(table: pa.Table, types: Mapping[str, pa.DataType]) -> Iterator[str]:
    for name, wanted in types.items():
        got = table.schema.field(name).type if name in table.schema.names else "no such column"
        # Types are compared by what they hold: the name of the inner field differs among writers.
        if isinstance(got, str) or not got.equals(wanted):
            yield f"{name} must be {wanted}, got {got}"


def _wrong_rows(table: pa.Table, widths: Mapping[str, int], seen: KeySet) -> Iterator[str]:
    twice = int((~seen.add(keys_from_arrow(table["key"]))).sum())
    if twice:
        yield f"must hold each key once, got {twice} again"
    for name, width in widths.items():
        matrix = stored_matrix(table[name], width)
        wrong = np.flatnonzero(~np.isfinite(matrix))
        if len(wrong):
            yield f"{name} must be finite, got {matrix.flat[wrong[0]]} in row {wrong[0] // width}"
