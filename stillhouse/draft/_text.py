"""The lines of a commented TOML file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from .columns import Column, spoken


def column_line(column: Column) -> str:
    """A column in a line: its name, what is in it, and how much of that."""
    name = spoken([column.name])
    filled = "" if column.filled == column.rows else f", {1 - column.filled / column.rows:.0%} empty"
    kind = "number" if column.is_number else "several" if column.is_list else "text"
    words = f", {column.words:.1f} words" if kind == "text" and column.words >= 1.5 else ""
    return f"{name:<24} {kind:<8} {column.distinct:,} different{words}{filled}: {spoken(list(column.values), 3)}"


def section(
    name: str, values: dict[str, Any], above: Sequence[str], options: Sequence[str] = (), many: bool = False
) -> str:
    """A section with what it is for above it, and the options that are left alone below."""
    head = f"[[{name}]]" if many or name == "augment" else f"[{name}]"
    lines = [comment(above).rstrip("\n"), head, *(key_line(key, value) for key, value in values.items())]
    return "\n".join([*lines, *(f"# {option}" for option in options)]) + "\n"


def key_line(key: str, value: Any) -> str:
    return tomli_w.dumps({key: value}).strip()


def comment(lines: Sequence[str]) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def folder_name(out: Path) -> str:
    """What is made lies in a folder called like the file."""
    return re.sub(r"[^\w.-]+", "-", out.stem).strip("-.") or "made"
