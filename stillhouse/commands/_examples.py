"""A few originals of a transfer set and what became of them, as lines with every edit marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import click
import numpy as np
import pyarrow as pa

from transferset import Part, TransferSet
from transferset.words import Words, placeholders, split_words

#: Among so many successive originals the one is taken on which most rules were at work.
_LOOKED_AT = 64
#: Of more unedited words than this in a row, only the first and last few are shown.
_LONGEST_RUN, _SHOWN_OF_RUN = 60, 15

Row = Mapping[str, Any]
Span = tuple[int, int]


def examples(transfer: TransferSet, number: int) -> Iterator[list[Row]]:
    """Originals, spread evenly over the set, each with a few copies that show different rules; always the same."""
    parts = transfer.store.parts()
    until = np.cumsum([0, *(part.notes["originals"] for part in parts)])
    number = min(number, int(until[-1]))
    held: tuple[Part, pa.Table] | None = None
    for turn, (first, stop) in enumerate(pairwise(until[-1] * n // max(1, number) for n in range(number + 1))):
        place = int(np.searchsorted(until, first, "right")) - 1
        if held is None or held[0] != parts[place]:
            columns = [*transfer.task.inputs, "source", "copy", "edits"]
            held = parts[place], transfer.store.read(parts[place], columns)
        last = min(stop, first + _LOOKED_AT, until[place + 1])
        yield _chosen(_families(held[1], int(first - until[place]), int(last - until[place])), turn)


def _families(table: pa.Table, first: int, stop: int) -> list[list[Row]]:
    """Some originals of a part, each with its copies."""
    starts = np.append(np.flatnonzero(table["copy"].to_numpy() == 0), len(table))
    return [table.slice(start, end - start).to_pylist() for start, end in pairwise(starts[first : stop + 1].tolist())]


def _chosen(families: Sequence[list[Row]], turn: int) -> list[Row]:
    """The original on whose copies most rules were at work, and a copy for each of them, or for several."""
    original, *copies = max(families, key=lambda family: len(set().union(*map(_rules, family))))
    shown, chosen = set[str](), []
    # Not the first copies each time: of pairs they are those of the first text.
    start = turn % max(1, len(copies))
    for copy in (*copies[start:], *copies[:start]):
        if not _rules(copy) <= shown:
            shown |= _rules(copy)
            chosen.append(copy)
    return [original, *sorted(chosen, key=lambda row: row["copy"])]


def _rules(row: Row) -> set[str]:
    return {edit["rule"] for edit in row["edits"]}


def changed_cells(edits: Sequence[Row], inputs: Sequence[str], colours: Mapping[str, str]) -> list[str]:
    """For each rule at work a line with the cells it changed, old and new."""
    lines: dict[str, list[str]] = {}
    for edit in edits:
        if edit["old"] != edit["new"]:
            old, new = ("missing" if edit[side] is None else _visible(edit[side]) for side in ("old", "new"))
            cell = f"{inputs[edit['input']]}: {old} -> {_styled(new, edit['rule'], colours)}"
            lines.setdefault(edit["rule"], []).append(cell)
    return [f"{rule}  {', '.join(cells)}" for rule, cells in lines.items()]


def marked_text(text: str, edits: Sequence[Row], mask_token: str | None, colours: Mapping[str, str]) -> str:
    """What became of a text: ``the {film|movie:pos} is``, and ``{...:ngram}`` for words that were left out.

    With ``colours``, by rule, new words are coloured instead, and what was left out is dimmed.
    """
    words = split_words(pa.array([text], pa.string()), placeholders(mask_token))
    total, low, high, ngram = len(words.start), 0, len(words.start), ""
    for edit in edits:
        if edit["new"] is None:
            low, high, ngram = edit["position"], edit["position"] + edit["words"], edit["rule"]
    starts, ends = [*words.start.tolist(), len(words.data)], [0, *words.end.tolist()]
    begin, stop = starts[low] if low else 0, ends[high] if high < total else len(words.data)
    pieces = [_left_out(words, (0, low), (0, begin), ngram, colours)]
    at, word = begin, low
    for edit in edits:
        if edit["new"] is not None and edit["old"] != edit["new"]:
            pieces.append(_run(words, (word, edit["position"]), (at, starts[edit["position"]])))
            pieces.append(_replaced(edit, colours))
            word = edit["position"] + edit["words"]
            at = ends[word]
    pieces.append(_run(words, (word, high), (at, stop)))
    pieces.append(_left_out(words, (high, total), (stop, len(words.data)), ngram, colours))
    return "".join(pieces).strip()


def _replaced(edit: Row, colours: Mapping[str, str]) -> str:
    old, new = _visible(edit["old"]), _visible(edit["new"])
    return _styled(new, edit["rule"], colours) if colours else f"{{{old}|{new}:{edit['rule']}}}"


def _left_out(words: Words, place: Span, span: Span, rule: str, colours: Mapping[str, str]) -> str:
    if place[0] == place[1]:
        return ""
    return click.style(_run(words, place, span), dim=True) if colours else f" {{...:{rule}}} "


def _run(words: Words, place: Span, span: Span) -> str:
    """The text in a span of bytes, which holds the words from one place to before another; shortened if many."""
    (first, last), (begin, stop) = place, span
    left = last - first - 2 * _SHOWN_OF_RUN
    if last - first <= _LONGEST_RUN:
        return _visible(words.data[begin:stop].tobytes().decode())
    head = words.data[begin : words.end[first + _SHOWN_OF_RUN - 1]].tobytes().decode()
    tail = words.data[words.start[last - _SHOWN_OF_RUN] : stop].tobytes().decode()
    return f"{_visible(head)} [{left:,} words] {_visible(tail)}"


def _styled(text: str, rule: str, colours: Mapping[str, str]) -> str:
    return click.style(text, fg=colours[rule], bold=True) if colours else text


def _visible(text: str) -> str:
    """The text on one line, and without what would command a terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text)
