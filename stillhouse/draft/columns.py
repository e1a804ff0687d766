"""What the columns of a file hold, as far as its first rows tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transferset import Source, StillhouseError
from transferset.tables import LABEL_SEPARATOR, MISSING

#: So many rows are looked at.
ROWS = 20_000
#: So many words a heading of a column has at most.
_LONGEST_NAME = 5
#: A word, or a character of a script that puts no spaces between words.
_WORD = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+"
)


@dataclass(frozen=True)
class Column:
    """What a column holds, of the rows that were looked at.

    Attributes:
        rows: how many these are; ``filled`` of them hold something.
        values: how often each distinct value is there, as text, the most frequent first.
        words: of a value, on average.
        is_number: whether all values are numbers; ``is_whole`` whether these have no fraction.
        is_list: whether a cell holds several values, as a list or joined by ``|``; ``values`` are then those in it.
    """

    name: str
    rows: int
    filled: int
    values: Counter[str]
    words: float
    is_number: bool
    is_whole: bool
    is_list: bool

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(self.values)

    @property
    def is_key(self) -> bool:
        """Whether every row has a value of its own, in one word: the row's number, say, and nothing to learn from."""
        return self.rows > 1 and self.distinct == self.rows and self.words < 2 and (not self.is_number or self.is_whole)

    @property
    def is_prose(self) -> bool:
        """Whether it holds texts: several words each, and mostly different ones."""
        few = self.distinct < max(3, 0.2 * self.filled) and self.distinct < 1000
        return not self.is_number and not self.is_list and self.words >= 3 and not few


@dataclass(frozen=True)
class Look:
    """What was seen of a source.

    Attributes:
        source: as it has to be read: without a header where its first line is a row like the others.
        rows: how many were looked at; ``is_all`` whether there are no more.
    """

    source: Source
    columns: tuple[Column, ...]
    rows: int
    is_all: bool

    def column(self, name: str) -> Column:
        """The column of a name."""
        return next(each for each in self.columns if each.name == name)


def look_at(source: Source, rows: int = ROWS) -> Look:
    """The columns of a source, from its first rows; no more than these are held at a time.

    Raises:
        StillhouseError: it cannot be read, or holds no rows.
    """
    if source.header and source.format in (".csv", ".tsv") and _has_no_header(source):
        source = replace(source, header=False)
    cells, seen, is_all = _sample(source, rows)
    if not seen:
        raise StillhouseError(f"{source.path}: must hold at least one row, got none")
    return Look(source, tuple(_column(name, values) for name, values in cells.items()), seen, is_all)


def _sample(source: Source, rows: int) -> tuple[dict[str, list[Any]], int, bool]:
    """The cells of the first rows by column, how many rows these are, and whether there are no more."""
    names = [name for name in source.columns() if name.isprintable() and name]
    cells: dict[str, list[Any]] = {name: [] for name in names}
    seen = 0
    for batch in source.batches(names, rows=min(rows, 4096)):
        kept = batch.slice(0, rows - seen)
        for name in names:
            cells[name].extend(kept.column(name).to_pylist())
        seen += kept.num_rows
        if kept.num_rows < batch.num_rows:
            return cells, seen, False
    return cells, seen, True


def _has_no_header(source: Source) -> bool:
    """Whether the first line is a row: its cells come again in their columns, or are sentences, or it has one twice."""
    try:
        cells, _, _ = _sample(replace(source, header=False), 2000)
    except StillhouseError:
        return False  # what is wrong is told where the rows are read, by their own numbers
    first = [str(values[0]) for values in cells.values() if values]
    if len(set(first)) < len(first):
        return True
    again = any(first and len(values) > 2 and str(values[0]) in map(str, values[1:]) for values in cells.values())
    return again or any(len(cell.split()) > _LONGEST_NAME for cell in first)


def _column(name: str, cells: Sequence[Any]) -> Column:
    filled = [cell for cell in cells if cell is not None and str(cell).strip() not in MISSING]
    lists = [_several(cell) for cell in filled]
    is_list = _is_list(filled, lists)
    flat = [value for values in lists for value in values] if is_list else [_said(cell) for cell in filled]
    # Each distinct value is looked at once: there are mostly few.
    values = Counter(dict(Counter(flat).most_common()))
    numbers = [_number(value) for value in values]
    known = [number for number in numbers if number is not None]
    is_number = bool(flat) and len(known) == len(numbers) and not any(isinstance(cell, bool) for cell in filled)
    words = sum(count * len(_WORD.findall(value)) for value, count in values.items())
    return Column(
        name,
        len(cells),
        len(filled),
        values,
        words / max(1, len(flat)),
        is_number,
        is_number and all(number.is_integer() for number in known),
        is_list,
    )


def _is_list(filled: Sequence[Any], lists: Sequence[Sequence[str]]) -> bool:
    """Lists of names, or texts joined by the separator of which the pieces come again and again."""
    if any(isinstance(cell, list) for cell in filled):
        return True
    joined = [values for values in lists if len(values) > 1]
    pieces = {value for values in lists for value in values}
    return len(joined) >= max(2, 0.02 * len(lists)) and len(pieces) <= max(50, len(lists) // 10)


def _several(cell: Any) -> list[str]:
    if isinstance(cell, list):
        return [_said(each) for each in cell]
    return [each.strip() for each in _said(cell).split(LABEL_SEPARATOR)]


def _said(cell: Any) -> str:
    """A cell as text; a whole number as such, also where it is stored as a float."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53 else str(cell)


def _number(text: str) -> float | None:
    try:
        return float(text) if re.fullmatch(r"\s*[-+]?[0-9.]+(e[-+]?[0-9]+)?\s*", text, re.IGNORECASE) else None
    except ValueError:
        return None


def spoken(values: Iterator[str] | Sequence[str], most: int = 6) -> str:
    """Some values for a comment: on one line, none too long."""
    shown = list(values)
    texts = ["".join(each if each.isprintable() else " " for each in value) for value in shown[:most]]
    cut = [text if len(text) <= 24 else f"{text[:21]}..." for text in texts]
    return ", ".join(cut) + (", ..." if len(shown) > most else "")
