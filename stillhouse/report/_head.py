"""What stands above the sections: the title, what it is about, and the figures that one looks for first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from ._element import Child, element, own
from ._figures import figure, megabytes, milliseconds, plural, said
from ._quality import Entry, Quality

_NAMED = 8
Fact = tuple[str, str, Child]


def title(entries: Sequence[Entry]) -> list[Child]:
    """How many students, of what kinds."""
    kinds = ", ".join(dict.fromkeys(each.run.kind for each in entries))
    return [plural(len(entries), "student"), ": ", kinds]


def subtitle(entries: Sequence[Entry], tested: str, rows: int) -> list[Child]:
    """What they answer, and what they were measured on."""
    task = next((each.run.task for each in entries if each.run.task is not None), None)
    measured: list[Child] = [f" Measured on {plural(rows, 'row')} of ", own(tested), "."] if rows else []
    if task is None:
        return ["None of them came to be.", *measured]
    answer: list[Child] = [own(task.label or "what the teacher says")]
    if all(each.run.output == "embedding" for each in entries if each.run.task is not None):
        answer = ["the teacher\u2019s embedding"]
    elif task.classes:
        more = f" and {len(task.classes) - _NAMED} more" if len(task.classes) > _NAMED else ""
        answer += [" (", own(", ".join(task.classes[:_NAMED])), more, ")"]
    more = f" and {len(task.inputs) - _NAMED} more" if len(task.inputs) > _NAMED else ""
    return ["They say ", *answer, " from ", own(", ".join(task.inputs[:_NAMED])), more, ".", *measured]


def key_figures(entries: Sequence[Entry], quality: Quality) -> Element | None:
    """The best student beside the teacher: quality, agreement, time, size."""
    best = entries[0]
    if best.quality is None:
        return None
    facts = [
        element("div", element("dt", name), element("dd", value, element("small", more)))
        for name, value, more in _facts(best, quality)
    ]
    return element("dl", facts, class_="facts")


def _facts(best: Entry, quality: Quality) -> Iterator[Fact]:
    who: list[Child] = [element("span", str(best.number), class_="rank"), " ", own(best.label)]
    interval = (
        f"95 %: {figure(best.interval[0])} to {figure(best.interval[1])}" if best.interval else "noted in training"
    )
    yield f"best {said(quality.metric)}", figure(best.quality), [who, element("br"), interval]
    if quality.teacher is not None:
        lost = (best.quality or 0.0) - quality.teacher
        yield "teacher", figure(quality.teacher), f"best student {lost:+.3f}".replace("-", "\u2212")
    figures = best.measured.figures if best.measured is not None else {}
    if "agreement" in figures and quality.metric != "agreement":
        yield "agreement with the teacher", figure(figures["agreement"]), "of the best student"
    if best.latency is not None and best.rows_per_second is not None:
        yield "time for one row", f"{milliseconds(best.latency)} ms", f"{best.rows_per_second:,.0f} rows/s in bulk"
    if best.measured is not None:
        weights = f"{best.measured.parameters:,} parameters"
        yield "size on disk", f"{megabytes(best.measured.bytes)} MB", weights
