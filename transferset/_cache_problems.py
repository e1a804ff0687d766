"""What can be wrong with a logit cache beyond damage to its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from xxhash import xxh3_128_hexdigest

from ._signals import stored_matrix
from .errors import StillhouseError
from .keys import KeySet, keys_from_arrow
from .plain import parse_json
from .store import Store


def cache_problems(store: Store, classes: Sequence[str], widths: Mapping[str, int]) -> list[str]:
    problems = [*store.verify(), *_wrong_width(store.path, classes, widths), *_wrong_files(store.path / "_teacher")]
    seen = KeySet()
    # Rows are looked at only where every part is there.
    for part in () if problems else store.parts():
        try:
            table = store.read(part)
        except StillhouseError as error:
            problems.append(str(error))
            continue
        problems += [f"{store.path / part.file}: {what}" for what in _wrong_rows(table, widths, seen)]
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
        for name, wanted in parse_json((folder / "files.json").read_bytes()).items():
            if Path(name).name != name:
                raise ValueError(f"{name!r} is no name of a file in it")
            data = (folder / name).read_bytes() if (folder / name).is_file() else b""
            if xxh3_128_hexdigest(data) != wanted["checksum"]:
                yield f"{folder / name}: must be what the labeller kept, got another file or none: {again}"
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        yield f"{folder / 'files.json'}: must name what the labeller kept, got none or other fields: {again}"


def _wrong_rows(table: pa.Table, widths: Mapping[str, int], seen: KeySet) -> Iterator[str]:
    twice = int((~seen.add(keys_from_arrow(table["key"]))).sum())
    if twice:
        yield f"must hold each key once, got {twice} again"
    for name, width in widths.items():
        matrix = stored_matrix(table[name], width)
        wrong = np.flatnonzero(~np.isfinite(matrix))
        if len(wrong):
            yield f"{name} must be finite, got {matrix.flat[wrong[0]]} in row {wrong[0] // width}"
