"""Which column is what: a guess from what columns hold and what they are called, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transferset import StillhouseError, Task
from transferset.glue import COLUMNS, glue_task
from transferset.task import ADDED_COLUMNS, Kind, Target, sort_classes

from .columns import Column, Look, spoken

#: What labels are called, the likeliest first.
_LABELS = (
    "label", "labels", "gold_label", "class", "target", "category", "categories", "sentiment", "polarity",
    "is_duplicate", "score", "similarity", "stars", "rating", "quality", "intent", "topic", "tags", "emotion",
    "emotions", "y",
)  # fmt: skip
#: Beyond these a label is no class but a number, or an answer in words.
_MOST_CLASSES, _MOST_WHOLE = 200, 30
#: Texts of which one is this many times as long as the other are hardly two halves of a pair.
_UNLIKE = 3.0


@dataclass(frozen=True)
class Roles:
    """The task of a file as it was guessed.

    Attributes:
        classes: those seen, in their standard order; empty for regression or without a label.
        why: a sentence for each decision.
        left: columns that take no part.
    """

    task: Task
    classes: tuple[str, ...]
    why: tuple[str, ...]
    left: tuple[str, ...]


def guess_roles(look: Look) -> Roles:
    """The columns of the text, the pair or the features, the label, and what kind of label it is.

    Raises:
        StillhouseError: there is no column to learn from.
    """
    columns = [each for each in look.columns if each.filled and each.name not in ADDED_COLUMNS]
    known = _known_task(look, columns)
    if known is not None:
        label = look.column(known.label) if known.label is not None else None
        told, why = _what_kind(label)
        target: Target = "regression" if known.target == "regression" else told
        return _roles(look, known.kind, known.inputs, label, target, ["these are the columns of a task of GLUE", why])
    prose = sorted((each for each in columns if each.is_prose), key=lambda each: -each.words)
    if look.source.format == ".txt":
        prose = columns
    if not prose:
        return _of_features(look, columns)
    label, why_label = _label(columns, prose, last=False)
    others = [each for each in prose if each is not label]
    texts, why_texts = _texts(others)
    target, why_target = _what_kind(label)
    kind: Kind = "text" if len(texts) == 1 else "pair"
    return _roles(look, kind, [each.name for each in texts], label, target, [why_texts, why_label, why_target])


def _known_task(look: Look, columns: Sequence[Column]) -> Task | None:
    """The task of GLUE, or of its files, that the file's name and columns say, or the columns alone."""
    names = [each.name for each in columns]
    by_name = glue_task(look.source.path, names)
    if by_name is not None:
        return by_name
    if not look.source.header:
        return _headless_task(look)
    layouts = (layout for layouts in COLUMNS.values() for layout in layouts if len(layout[0]) == 2)
    found = next((each for each in layouts if {*each[0], each[1]} <= set(names)), None)
    return Task("pair", found[0], found[1]) if found is not None else None


def _headless_task(look: Look) -> Task | None:
    """Of the published files without a header: the STS benchmark, and CoLA."""
    by_name = {each.name: each for each in look.columns}
    columns = list(by_name.values())
    if len(columns) >= 7 and by_name["5"].is_number and by_name["6"].is_prose and by_name["7"].is_prose:
        return Task("pair", ("6", "7"), "5", "regression")
    if len(columns) == 4 and set(by_name["2"].values) == {"0", "1"} and set(by_name["3"].values) <= {"*"}:
        return Task("text", ("4",), "2")
    return None


def _of_features(look: Look, columns: Sequence[Column]) -> Roles:
    label, why_label = _label(columns, [], last=True)
    keys = [each for each in columns if each.is_key and each is not label and _is_name_of_key(each.name)]
    inputs = [each.name for each in columns if each is not label and each not in keys]
    if not inputs:
        raise StillhouseError(f"{look.source.path}: must have a column to learn from, got none beside {spoken(inputs)}")
    target, why_target = _what_kind(label)
    why = f"no column holds sentences, so the {len(inputs)} columns are features of a table"
    return _roles(look, "features", inputs, label, target, [why, why_label, why_target])


def _roles(
    look: Look, kind: Kind, inputs: Sequence[str], label: Column | None, target: Target, why: Sequence[str]
) -> Roles:
    classes = sort_classes(label.values) if label is not None and target != "regression" else ()
    task = Task(kind, tuple(inputs), label.name if label is not None else None, target)
    used = {*inputs, task.label}
    left = tuple(each.name for each in look.columns if each.name not in used)
    return Roles(task, classes, tuple(each for each in why if each), left)


def _texts(prose: Sequence[Column]) -> tuple[list[Column], str]:
    """One text, or two that belong together."""
    longest = prose[0]
    said = f"{longest.name!r} holds texts: {longest.words:.0f} words on average, {longest.distinct:,} different ones"
    if len(prose) == 1:
        return [longest], said
    pair = sorted(prose[:2], key=lambda each: each.name)
    if _stem(pair[0].name) == _stem(pair[1].name):
        return pair, f"{pair[0].name!r} and {pair[1].name!r} hold texts and are called alike, so they are a pair"
    if longest.words <= _UNLIKE * prose[1].words and len(prose) == 2:
        # In the order of the file.
        return list(prose), f"{prose[0].name!r} and {prose[1].name!r} hold texts of like length, so they may be a pair"
    others = spoken([each.name for each in prose[1:]])
    return [longest], f"{said}; {others} holds texts too: for a pair say text-pair"


def _stem(name: str) -> str:
    """What two halves of a pair have in common: a name without its number or letter."""
    return re.sub(r"[0-9]+|[_ -]?\b[ab]\b|(?<=_)[ab]$|(first|second|one|two|left|right)", "", name.lower())


def _label(columns: Sequence[Column], prose: Sequence[Column], last: bool) -> tuple[Column | None, str]:
    """The label: by its name, else the column with the fewest values, or of a table the last one."""
    able = [each for each in columns if each.distinct > 1 and each not in prose]
    able = [each for each in able if each.is_number or each.is_list or each.distinct <= _MOST_CLASSES]
    for name in _LABELS:
        for each in able:
            if each.name.lower() == name:
                return each, f"{each.name!r} is what labels are called"
    able = [each for each in able if not each.is_key]
    if last:
        named = [each for each in able if re.search(r"\b(class|label|target)\b", each.name.lower().replace("_", " "))]
        if named:
            return named[0], f"{named[0].name!r} is what labels are called"
        if len(able) < 2:
            return None, "no column looks like a label: the student learns from the teacher alone"
        return able[-1], f"{able[-1].name!r} is the last column, where labels mostly are"
    few = [each for each in able if not each.is_number or each.distinct <= _MOST_WHOLE] or able
    if not few:
        return None, "no column looks like a label: the student learns from the teacher alone"
    chosen = min(few, key=lambda each: each.distinct)
    return chosen, f"{chosen.name!r} has the fewest different values"


def _what_kind(label: Column | None) -> tuple[Target, str]:
    """What kind of label it is; without one the teacher's classes are learned."""
    if label is None:
        return "classification", ""
    empty = 1 - label.filled / label.rows
    gaps = f"; {empty:.0%} of its cells are empty, which are rows without a label" if empty >= 0.005 else ""
    seen = f"{label.distinct:,} different values ({spoken(list(label.values))})"
    if label.is_list:
        return "multilabel", f"it has several labels in a cell, {seen}, so this is multilabel{gaps}"
    if label.is_number and (not label.is_whole or label.distinct > _MOST_WHOLE):
        return "regression", f"it has {seen}, numbers on a scale, so this is regression{gaps}"
    scale = ', if these are points on a scale say task = "regression"' if label.is_number and label.distinct > 2 else ""
    return "classification", f"it has {seen}, so this is classification{scale}{gaps}"


def _is_name_of_key(name: str) -> bool:
    return re.search(r"(^|[^a-z])(id|idx|index|key|guid|uuid|number|no|nr)$", name.lower()) is not None or not name


def without_header(look: Look, roles: Roles) -> Roles:
    """The same, and that the file has no header, where it has none."""
    if look.source.header:
        return roles
    why = "the first line is a row like the others, so the file has no header: columns are called by their number"
    return replace(roles, why=(why, *roles.why))
