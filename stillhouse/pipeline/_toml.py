"""A TOML file, and where in it each key stands: a mistake is told with its line."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transferset import StillhouseError

_HEADER = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_-]+)\s*\]")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")


@dataclass(frozen=True)
class Toml:
    """What a file holds, and the line of each key.

    Attributes:
        lines: by section (empty above the first), its number among those of one name, and key (empty for its header).
    """

    path: Path
    values: dict[str, Any]
    lines: dict[tuple[str, int, str], int] = field(default_factory=dict)

    def place(self, section: str = "", number: int = 0, key: str = "") -> str:
        """How errors begin that are about a key: ``films.toml:12: [train] epochs``."""
        line = self.lines.get((section, number, key.replace("_", "-"))) or self.lines.get((section, number, ""))
        where = f"{self.path}:{line}" if line else str(self.path)
        return f"{where}: [{section}]{' ' if key else ''}{key}" if section else f"{where}: {key}".removesuffix(": ")


def read_toml(path: Path) -> Toml:
    """A TOML file.

    Raises:
        StillhouseError: no such file, or it is not TOML.
    """
    try:
        # A byte-order mark, as some editors write it, is no TOML.
        text = path.read_text("utf-8-sig")
        values = tomllib.loads(text)
    except OSError as error:
        raise StillhouseError(f"{path}: must be a pipeline in TOML, got {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StillhouseError(f"{path}: must be TOML: {error}") from None
    return Toml(path, values, _lines(text))


def _lines(text: str) -> dict[tuple[str, int, str], int]:
    """Where keys stand that are written in the usual way, one on a line."""
    found: dict[tuple[str, int, str], int] = {}
    seen: Counter[str] = Counter()
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = header[2]
            seen[section] += 1
            found.setdefault((section, seen[section] - 1, ""), number)
        elif key := _KEY.match(line):
            found.setdefault((section, max(0, seen[section] - 1), key[1].replace("_", "-")), number)
    return found
