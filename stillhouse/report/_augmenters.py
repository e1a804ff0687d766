"""The section of augmenters: what each rule did to the data, and what students reached with and without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any
from xml.etree.ElementTree import Element

from augment import Summary

from ._chart import Scale, around, chart, label
from ._element import Child, element, own
from ._figures import figure, plural, said
from ._quality import Entry, Quality

_BAR, _DOTS, _HIGH = 120.0, 150.0, 16.0
#: What is varied to see what augmenting is worth; all else that made two students must be the same.
_VARIED = ("copies", "augmenters")


@dataclass(frozen=True)
class Setting:
    """Students trained on the same share of the same copies, but for the seed.

    Attributes:
        name: which copies.
        alone: whether they are the originals alone.
        entries: the students.
    """

    name: str
    alone: bool
    entries: Sequence[Entry]

    @property
    def mean(self) -> float:
        """Of the students' quality."""
        return fmean(each.quality or 0.0 for each in self.entries)


def augmenters(entries: Sequence[Entry], quality: Quality, summary: Summary | None) -> list[Child]:
    """What was done, where the transfer set is there, and what came of it, where students differ in it."""
    found = compared(entries)
    did = (
        "What each rule did was counted in the transfer set: it says how much, not what that is worth."
        if summary
        else "What each rule did is left out: give the transfer set with --transfer."
    )
    reached = (
        "What it is worth was measured: these students are alike in all else but the seed."
        if found
        else "What it is worth is left out: no two students with a figure differ only in --augmenters, --copies or the"
        " recipe; a sweep over these would tell."
    )
    blocks: list[Child] = [element("p", did, " ", reached, _chance(entries) if found else None)]
    if summary is not None:
        blocks.append(_counts(summary))
    return [*blocks, *(_comparison(each, quality) for each in found)]


def _chance(entries: Sequence[Entry]) -> str | None:
    """How far one student's figure may be off, for who compares two."""
    widths = [each.interval[1] - each.interval[0] for each in entries if each.interval is not None]
    if not widths:
        return None
    known = f"\u00b1{fmean(widths) / 2:.3f}"
    return f" On these rows one student\u2019s figure is known to about {known}: far smaller gains say little."


def compared(entries: Sequence[Entry]) -> list[list[Setting]]:
    """Groups of students that differ only in what copies they saw, each by setting, the best first."""
    groups: dict[str, dict[str, list[Entry]]] = {}
    for each in entries:
        if each.quality is not None and each.run.made_from:
            same, setting = _told_apart(each.run.made_from)
            groups.setdefault(same, {}).setdefault(setting, []).append(each)
    return [_settings(group) for group in groups.values() if len(group) > 1]


def _told_apart(made_from: Mapping[str, Any]) -> tuple[str, str]:
    """What must be the same for a comparison, and what may differ; the seed is neither."""
    transfer, training = dict(made_from.get("transfer", {})), dict(made_from.get("training", {}))
    which = {name: training.pop(name, None) for name in _VARIED}
    same = {
        **{name: value for name, value in made_from.items() if name != "seed"},
        "training": training,
        "transfer": {name: transfer.get(name) for name in ("source", "task")},
    }
    recipe = {name: value for name, value in transfer.items() if name not in ("source", "task", "parts")}
    return json.dumps(same, sort_keys=True), json.dumps([which, recipe], sort_keys=True)


def _settings(group: Mapping[str, Sequence[Entry]]) -> list[Setting]:
    told = [json.loads(each) for each in group]
    recipes = len({json.dumps(recipe) for _, recipe in told}) > 1
    found = [
        Setting(_name(which, recipe, recipes), _alone(which, recipe), entries)
        for (which, recipe), entries in zip(told, group.values(), strict=True)
    ]
    return sorted(found, key=lambda each: -each.mean)


def _alone(which: Mapping[str, Any], recipe: Mapping[str, Any]) -> bool:
    return which["copies"] == 0 or which["augmenters"] in ("", "none") or recipe.get("copies") == 0


def _name(which: Mapping[str, Any], recipe: Mapping[str, Any], recipes: bool) -> str:
    of = f", {recipe.get('recipe', {}).get('name', 'steps')} with {recipe.get('copies')} copies" if recipes else ""
    if _alone(which, recipe):
        return "originals alone" + (of if recipe.get("copies") else "")
    rules = "all rules" if which["augmenters"] is None else which["augmenters"].replace(",", ", ")
    copies = (
        "" if which["copies"] is None else f", at most {plural(which['copies'], 'copy').replace('copys', 'copies')}"
    )
    return rules + copies + of


def _counts(summary: Summary) -> Element:
    most = max((each.share for each in summary.rules.values()), default=0.0) or 1.0
    rows = [
        element(
            "tr",
            element("th", own(rule), scope="row"),
            element("td", f"{use.edits:,}"),
            element("td", f"{use.rows:,}"),
            element("td", f"{use.share:.1%}"),
            element("td", _bar(use.share / most, f"{use.share:.1%}"), class_="drawn"),
        )
        for rule, use in summary.rules.items()
    ]
    names = ("rule", "edits", "rows edited", "of the copies", "")
    heads = [element("th", name, scope="col") if name else element("td") for name in names]
    caption = (
        f"{plural(summary.originals, 'original')}, {summary.drawn:,} copies drawn, {summary.augmented:,} kept:"
        f" {summary.unchanged:,} were unchanged and {summary.duplicates:,} there already"
    )
    table = element(
        "table", element("caption", caption), element("thead", element("tr", heads)), element("tbody", rows)
    )
    return _scrolling(table, "What each rule did")


def _bar(share: float, says: str) -> Element:
    drawn = element("rect", x=0, y=3, width=max(1.0, share * _BAR), height=_HIGH - 6, class_="bar plain")
    return chart(_BAR, _HIGH, says, drawn, class_="inline")


def _comparison(settings: Sequence[Setting], quality: Quality) -> Element:
    kind = settings[0].entries[0].run
    values = [each.quality or 0.0 for setting in settings for each in setting.entries]
    scale = around(values, 6, _DOTS - 6)
    base = next((each.mean for each in settings if each.alone), None)
    rows = [_setting_row(each, scale, base) for each in settings]
    names = ["trained on", "rows", "students", said(quality.metric)]
    names += ["against originals alone"] if base is not None else []
    heads = [element("th", name, scope="col") for name in names]
    ends = element("td", _ends(scale), class_="drawn")
    head = element("thead", element("tr", heads, ends))
    loss = kind.settings.get("loss")
    caption = element(
        "caption", f"{kind.kind}, {loss}: {said(quality.metric)} of each student (dot) and their mean (line)"
    )
    return _scrolling(element("table", caption, head, element("tbody", rows)), "What students reached")


def _setting_row(setting: Setting, scale: Scale, base: float | None) -> Element:
    values = [each.quality or 0.0 for each in setting.entries]
    rows = sorted({each.run.rows for each in setting.entries if each.run.rows is not None})
    dots = [element("circle", cx=scale(value), cy=_HIGH / 2, r=3, class_="dot student") for value in values]
    at = scale(setting.mean)
    mean = element("line", x1=at, x2=at, y1=1, y2=_HIGH - 1, class_="mean")
    drawn = chart(_DOTS, _HIGH, f"from {figure(min(values))} to {figure(max(values))}", mean, dots, class_="inline")
    more = None
    if base is not None:
        more = element("td", "\u2013" if setting.alone else f"{setting.mean - base:+.3f}".replace("-", "\u2212"))
    numbers = ", ".join(str(each.number) for each in setting.entries)
    return element(
        "tr",
        element("th", own(setting.name), scope="row"),
        element("td", " to ".join(f"{each:,}" for each in rows[:: max(1, len(rows) - 1)])),
        element("td", numbers),
        element("td", figure(setting.mean)),
        more,
        element("td", drawn, class_="drawn"),
    )


def _ends(scale: Scale) -> Element:
    """The round values of the scale of the dots beneath."""
    ticks = [label(f"{tick:g}", scale(tick), 12, "middle") for tick in scale.ticks(3)]
    return chart(_DOTS, _HIGH, f"from {figure(scale.low)} to {figure(scale.high)}", ticks, class_="inline")


def _scrolling(table: Element, name: str) -> Element:
    return element("div", table, class_="scroll", role="region", tabindex="0", aria_label=name)
