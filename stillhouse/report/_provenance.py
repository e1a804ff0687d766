"""The section that says how it was made: data, copies, teacher, settings, versions, and the report itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from ._element import Child, element, own, shortened
from ._figures import plural
from ._quality import Entry
from ._runs import spoken, varied

#: Fields of a cache's description that say who the teacher is and how it answered; the others are said in words.
_LONGEST = 300
Facts = Sequence[tuple[str, Any]]


def provenance(entries: Sequence[Entry], report: Facts) -> list[Child]:
    """Lists of facts: those that students share are told once, with the numbers of the students."""
    made = [each for each in entries if each.run.made_from]
    blocks = [
        *_blocks("The data and its copies", made, "transfer", _transfer),
        *_blocks("The teacher and its answers", made, "cache", _cache),
        *_blocks("The rows watched in training", made, "dev", _dev),
        _block("Settings that all students share", _shared(entries)),
        _block("Versions", sorted({("torch", str(each.run.made_from.get("torch", ""))) for each in made})),
        _block("This report", report),
    ]
    text = "What the directories say of themselves. Settings in which the students differ are columns of the results."
    return [element("p", text), element("div", [each for each in blocks if each is not None], class_="facts-lists")]


def _blocks(title: str, entries: Sequence[Entry], part: str, told: Any) -> Iterator[Element | None]:
    """A list for each distinct record; where there are several, with the students that it is of."""
    groups: dict[str, list[Entry]] = {}
    for each in entries:
        groups.setdefault(json.dumps(each.run.made_from.get(part), sort_keys=True), []).append(each)
    for record, those in groups.items():
        value = json.loads(record)
        if isinstance(value, dict):
            whose = f" of {_numbers(those)}" if len(groups) > 1 else ""
            yield _block(title + whose, list(told(value)))


def _numbers(entries: Sequence[Entry]) -> str:
    """Whose a record is.

    >>> from ._runs import Run
    >>> _numbers([Entry(n, "", Run("", "", "", {}, {}), None, None, None) for n in (1, 2, 3, 7)])
    'students 1 to 3, 7'
    """
    numbers = sorted(each.number for each in entries)
    spans: list[list[int]] = []
    for each in numbers:
        if spans and each == spans[-1][1] + 1:
            spans[-1][1] = each
        else:
            spans.append([each, each])
    told = [str(first) if first == last else f"{first} to {last}" for first, last in spans]
    return f"student{'s' * (len(numbers) > 1)} {', '.join(told)}"


def _transfer(about: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    source, recipe, task = (_record(about.get(name)) for name in ("source", "recipe", "task"))
    if task:
        yield "task", f"{task.get('kind')}, {task.get('target')}"
        yield "reads", ", ".join(task.get("inputs", ()))
        yield "label", task.get("label")
        yield "classes", ", ".join(task.get("classes", ()))
    yield "rows", plural(source["rows"], "row") if "rows" in source else None
    yield "fingerprint", source.get("fingerprint")
    yield "recipe", recipe.get("name")
    for number, step in enumerate(recipe.get("step", ()), 1):
        yield f"step {number}", _step(step)
    yield "copies", about.get("copies")
    yield "seed", about.get("seed")


def _step(step: Any) -> str:
    """A step of a recipe as ``mask (rate 0.1)``.

    >>> _step({"use": "mask", "rate": 0.1, "tagger": None})
    'mask (rate 0.1)'
    """
    if not isinstance(step, dict):
        return str(step)
    for group in ("one_of", "in_sequence"):
        if group in step:
            return f"{group.replace('_', ' ')}: {'; '.join(map(_step, step[group]))}"
    known = [f"{name} {spoken(value)}" for name, value in step.items() if name != "use" and value not in (None, "", [])]
    return str(step.get("use")) + (f" ({', '.join(known)})" if known else "")


def _cache(about: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in about.items():
        if name == "members" and isinstance(value, list):
            for number, each in enumerate(value, 1):
                yield f"teacher {number}", f"{each.get('teacher')}, weight {each.get('weight')}"
        elif isinstance(value, dict):
            yield name, ", ".join(f"{key} {spoken(each)}" for key, each in value.items())
        else:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else value


def _dev(about: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "file", about.get("name")
    yield "checksum", about.get("content")
    yield "label", about.get("label")


def _shared(entries: Sequence[Entry]) -> Iterator[tuple[str, Any]]:
    differ = varied([each.run for each in entries])
    known: dict[str, Any] = {}
    for each in entries:
        known |= {name: value for name, value in each.run.settings.items() if name not in (*differ, "student")}
    for name, value in known.items():
        yield name.replace("_", " "), spoken(value)


def _block(title: str, facts: Any) -> Element | None:
    told = [(name, value) for name, value in facts if value not in (None, "")]
    if not told:
        return None
    pairs = [(element("dt", name), element("dd", own(shortened(str(value), _LONGEST)))) for name, value in told]
    return element("section", element("h3", title), element("dl", pairs))


def _record(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
