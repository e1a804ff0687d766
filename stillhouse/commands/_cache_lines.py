"""What a logit cache or an ensemble holds: as values for JSON, and as aligned lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transferset import Ensemble, LogitCache, Part, StillhouseError, Store

#: Fields of a cache's description that are said in words; the others are the teacher's identity.
_SAID = ("inputs", "target", "classes", "signals", "storage")


def size_text(size: int) -> str:
    """A number of bytes as people say it.

    >>> size_text(512), size_text(12_345), size_text(3_400_000)
    ('512 bytes', '12.3 kB', '3.4 MB')
    """
    if size < 1000:
        return f"{size} bytes"
    scaled, unit = size / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if scaled >= 999.95:
            scaled, unit = scaled / 1000, larger
    return f"{scaled:.1f} {unit}"


def cache_facts(cache: LogitCache) -> dict[str, Any]:
    """Everything there is to say of a cache, without reading a row."""
    store, parts = cache.store, cache.store.parts()
    return {
        **_counts(store, parts),
        "classes": list(cache.classes),
        "signals": cache.widths,
        "storage": cache.storage,
        "cut": sum(part.notes.get("cut", 0) for part in parts),
        "rounding": _rounding(parts),
        "about": store.about,
        "made_with": store.made_with,
    }


def ensemble_facts(ensemble: Ensemble) -> dict[str, Any]:
    """Everything there is to say of an ensemble; a member that is not there has no rows."""
    members = zip(ensemble.members, ensemble.weights.tolist(), strict=True)
    return {
        "kind": ensemble.store.kind,
        "rows": _common_rows(ensemble),
        "mean": ensemble.mean,
        "target": ensemble.target,
        "classes": list(ensemble.classes),
        "members": [
            {"folder": each.folder, "teacher": each.teacher, "weight": weight, **_member(ensemble, each.folder)}
            for each, weight in members
        ],
    }


def _member(ensemble: Ensemble, folder: str) -> dict[str, Any]:
    try:
        store = Store.open(ensemble.path / folder)
    except StillhouseError:
        return {"rows": None}
    return {**_counts(store, store.parts()), "about": store.about, "made_with": store.made_with}


def _common_rows(ensemble: Ensemble) -> int | None:
    try:
        return len(ensemble.keys())
    except StillhouseError:
        return None


def _counts(store: Store, parts: list[Part]) -> dict[str, Any]:
    rows, size = sum(part.rows for part in parts), sum(part.bytes for part in parts)
    return {"kind": store.kind, "rows": rows, "parts": len(parts), "bytes": size}


def _rounding(parts: Iterable[Part]) -> dict[str, dict[str, float]]:
    """Of each signal that was rounded the largest error and the mean one, over all rows."""
    found: dict[str, dict[str, float]] = {}
    rows = 0
    for part in parts:
        for name, error in part.notes.get("rounding", {}).items():
            so_far = found.setdefault(name, {"max": 0.0, "mean": 0.0})
            so_far["max"] = max(so_far["max"], error["max"])
            so_far["mean"] += (error["mean"] - so_far["mean"]) * part.rows / max(1, rows + part.rows)
        rows += part.rows
    return found


def cache_lines(path: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """A cache's facts for people."""
    about, made_with = facts["about"], dict(facts["made_with"])
    teacher = made_with.pop("teacher", None)
    # The same figures twice: in words for people, as numbers for programs.
    tried, _ = made_with.pop("precision", ()), made_with.pop("fidelity", None)
    no_classes = "none, a score" if "logits" in facts["signals"] else "none, no logits"
    yield f"{path}: logit cache, {_size(facts)}"
    yield from _aligned(
        {
            "teacher": str(teacher) if teacher is not None else None,
            "task": ", ".join(str(about[name]) for name in ("inputs", "target") if name in about) or None,
            "classes": ", ".join(facts["classes"]) or no_classes,
            "signals": ", ".join(f"{name} ({width:,})" for name, width in facts["signals"].items()),
            "stored as": facts["storage"],
            "cut": f"{facts['cut']:,} texts were longer than the teacher reads",
            **{
                f"rounding of {name}": f"{error['mean']:.2g} on average, {error['max']:.2g} at most"
                for name, error in facts["rounding"].items()
            },
        }
    )
    yield from _block("what the answers depend on", {name: about[name] for name in about if name not in _SAID})
    yield from _block("made with", made_with)
    if tried:
        yield from ("", "  precisions tried", *(visible(f"    {line}") for line in tried))


def ensemble_lines(path: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """An ensemble's facts for people."""
    members = facts["members"]
    rows = "some of them missing" if facts["rows"] is None else f"{_of(facts['rows'], 'row')} that all members have"
    yield f"{path}: ensemble of {_of(len(members), 'teacher')}, {rows}"
    classes = ", ".join(facts["classes"]) or "none, a score"
    yield from _aligned({"mean of": facts["mean"], "task": facts["target"], "classes": classes})
    yield ""
    lines = [("member", "weight", "rows", "teacher")]
    for each in members:
        rows = "missing" if each["rows"] is None else f"{each['rows']:,}"
        lines.append((each["folder"], f"{100 * each['weight']:.1f} %", rows, each["teacher"]))
    name, weight, held, _ = (max(map(len, column)) for column in zip(*lines, strict=True))
    for line in lines:
        yield visible(f"  {line[0]:<{name}}  {line[1]:>{weight}}  {line[2]:>{held}}  {line[3]}")


def _size(facts: Mapping[str, Any]) -> str:
    return f"{_of(facts['rows'], 'row')} in {_of(facts['parts'], 'part')}, {size_text(facts['bytes'])}"


def _of(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _block(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    if values:
        yield f"\n  {title}"
        yield from (f"  {line}" for line in _aligned({name: _plain(value) for name, value in values.items()}))


def _aligned(values: Mapping[str, str | None]) -> Iterator[str]:
    width = max(map(len, values), default=0)
    for name, value in values.items():
        if value is not None:
            yield visible(f"  {name:<{width}}  {value}")


def visible(line: str) -> str:
    """A line that cannot command the terminal, whatever names it has in it."""
    return "".join(each if each.isprintable() else " " for each in line).rstrip()


def _plain(value: Any) -> str:
    """A value of JSON without its punctuation."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
