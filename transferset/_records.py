"""The JSON files of a store: read and checked, and told apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import StillhouseError
from .plain import parse_json


@dataclass(frozen=True)
class Part:
    """A committed part: its slot, file name, size, checksum, and what its writer noted."""

    slot: int
    file: str
    rows: int
    bytes: int
    checksum: str
    notes: Mapping[str, Any] = field(default_factory=dict)


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = parse_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StillhouseError(f"{path}: must be a JSON file: {error}") from None
    if not isinstance(value, dict):
        raise StillhouseError(f"{path}: must hold a JSON object, got {type(value).__name__}")
    return value


def read_record(file: Path) -> Part:
    try:
        part = Part(**(read_json(file) or {}))
        named = f"part-{part.slot:06d}-{part.checksum[:16]}.parquet"
        counts = (part.slot, part.rows, part.bytes)
        fits = all(type(each) is int and 0 <= each < 1 << 63 for each in counts) and isinstance(part.notes, dict)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise StillhouseError(f"{file}: must be the record of a part, got other fields")
    if part.file != named:
        raise StillhouseError(f"{file}: must be the record of {named}, got that of {part.file}")
    if file.name != f"{part.slot:06d}.json":
        raise StillhouseError(f"{file}: must be the record of its slot, got that of slot {part.slot}")
    return part


def difference(old: Any, new: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first leaf in which two JSON values differ, in the order of the new one: its name, old and new value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*new, *(key for key in old if key not in new)):
            found = difference(old.get(key), new.get(key), f"{name} {key}".strip())
            if found is not None:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and dict in map(type, new):
        pairs = enumerate(zip(old, new, strict=True), 1)
        return next((each for n, (a, b) in pairs if (each := difference(a, b, f"{name} {n}"))), None)
    return None if old == new else (name, old, new)


def article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
