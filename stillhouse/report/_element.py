"""HTML and SVG as trees of elements: as nothing is pasted into text, nothing in the user's data can end a tag."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

Child: TypeAlias = "Element | str | Iterable[Child] | None"
#: What no browser shows, and what would not be UTF-8.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def element(name: str, /, *children: Child, **attributes: object) -> Element:
    """An element with its children; text is escaped as it is written.

    A last underscore of an attribute's name is left out and the others are dashes; one that is None is not there.

    >>> written(element("td", "a < b", class_="number", data_value=None))
    '<td class="number">a &lt; b</td>'
    """
    made = Element(name)
    for key, value in attributes.items():
        if value is not None:
            made.set(key.rstrip("_").replace("_", "-"), _number(value) if isinstance(value, float) else _seen(value))
    _append(made, children)
    return made


def written(root: Element) -> str:
    """An element as HTML."""
    return tostring(root, "unicode", method="html")


def own(text: object) -> Element:
    """The user's own text or name, whose direction of writing ends with it."""
    return element("bdi", str(text))


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters, which says that it was longer.

    >>> shortened("a fine film", 7)
    'a fine\u2026'
    """
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}\u2026"


def _append(parent: Element, child: Child) -> None:
    if child is None:
        return
    if isinstance(child, Element):
        parent.append(child)
    elif not isinstance(child, str):
        for each in child:
            _append(parent, each)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + _seen(child)
    else:
        parent.text = (parent.text or "") + _seen(child)


def _seen(value: object) -> str:
    return _UNSEEN.sub("\ufffd", str(value))


def _number(value: float) -> str:
    """A length of a drawing: two decimals are finer than any screen."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
