"""The summary of a transfer set as blocks of aligned lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

import click

from augment.summary import Summary
from transferset import Task

#: Of more inputs than this the rest are counted.
_NAMED_INPUTS = 6


def summary_lines(found: Summary, colours: Mapping[str, str]) -> Iterator[list[str]]:
    """Blocks of lines: rows, rules, sizes, and what the changes come to; rule names in their colours."""
    yield _aligned(_rows(found), {})
    if found.rules:
        uses = [(rule, _number(use.edits), _number(use.rows), _share(use.share)) for rule, use in found.rules.items()]
        yield _aligned([("rule", "edits", "rows", "of augmented"), *uses], colours)
    yield _aligned(_sizes(found), {})
    yield [f"  {line}" for line in _changes(found)]


def _rows(found: Summary) -> Iterator[Sequence[str]]:
    kept = found.augmented / found.drawn if found.drawn else 0.0
    yield "", "rows", "of drawn"
    yield "originals", _number(found.originals)
    yield "drawn", _number(found.drawn)
    yield "augmented", _number(found.augmented), _share(kept)
    yield "dropped as unchanged", _number(found.unchanged), _share(found.unchanged_share)
    yield "dropped as duplicates", _number(found.duplicates), _share(found.duplicates_share)
    if found.short is not None:
        yield "short of all copies", _number(found.short)


def _sizes(found: Summary) -> Iterator[Sequence[str]]:
    spreads = {"copies of an original": found.copies}
    if found.texts is not None:
        spreads |= {
            "words of an original": found.texts.original_words,
            "words of an edited text, before": found.texts.before_words,
            "words of an edited text, after": found.texts.after_words,
        }
    yield "", "least", "median", "mean", "most"
    for name, spread in spreads.items():
        yield name, _number(spread.least), f"{spread.median:,.1f}", f"{spread.mean:,.1f}", _number(spread.most)


def _changes(found: Summary) -> Iterator[str]:
    none = found.without_copies / found.originals if found.originals else 0.0
    yield f"originals without a copy: {_number(found.without_copies)} ({_share(none)})"
    if found.cells is not None:
        share = _share(found.cells.changed_share)
        yield f"cells changed in a copy: {found.cells.changed:.2f} on average ({share} of them)"
    if found.texts is None:
        return
    texts = found.texts
    if texts.sides is not None:
        first, second, both = map(_share, texts.sides.values())
        yield f"edited of a pair: the first text alone {first}, the second alone {second}, both {both}"
    yield (
        f"words changed in an edited text: {texts.replaced:.2f} replaced and {texts.dropped:.2f} dropped on average"
        f" ({_share(texts.changed_share)} of them)"
    )
    yield f"vocabulary: {_number(texts.vocabulary)} words in the originals, {_number(texts.gained)} gained by edits"
    if texts.most_gained:
        yield f"gained most often: {', '.join(f'{word} {times:,}' for word, times in texts.most_gained.items())}"


def task_line(task: Task) -> str:
    """What is learned from what, in a line."""
    more = f" and {len(task.inputs) - _NAMED_INPUTS} more" if len(task.inputs) > _NAMED_INPUTS else ""
    inputs = ", ".join(map(repr, task.inputs[:_NAMED_INPUTS])) + more
    label = f"{task.target} by {task.label!r}" if task.label is not None else "no label"
    classes = f" ({', '.join(task.classes)})" if task.classes else ""
    return f"{task.kind} {inputs}; {label}{classes}"


def _aligned(rows: Iterable[Sequence[str]], colours: Mapping[str, str]) -> list[str]:
    """Names to the left, in their colours, and values to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    lines = []
    for name, *values in rows:
        padded = name.ljust(widths[0])
        shown = click.style(padded, fg=colours[name]) if name in colours else padded
        columns = [value.rjust(width) for value, width in zip(values, widths[1:], strict=False)]
        lines.append("  ".join(["", shown, *columns]))
    return lines


def _number(value: int) -> str:
    return f"{value:,}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
