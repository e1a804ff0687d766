"""The page around the sections: one file that asks the network for nothing."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from xml.etree.ElementTree import Element

from ._element import Child, element, written


def page(
    title: Sequence[Child], subtitle: Sequence[Child], head: Child, sections: Mapping[str, Sequence[Child]]
) -> bytes:
    """The HTML of a page with a heading and sections, each under its title.

    Style and script are in it, and it lets nothing else run or be loaded: the policy names them by their checksums.
    """
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "sort.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_checksum(style)}; script-src {_checksum(script)};"
        " base-uri 'none'; form-action 'none'"
    )
    header = element(
        "header",
        element("p", "Stillhouse report", class_="kicker"),
        element("h1", title),
        element("p", subtitle, class_="subtitle"),
    )
    named = {_identifier(name): (name, blocks) for name, blocks in sections.items()}
    links = [element("li", element("a", name, href=f"#{key}")) for key, (name, _) in named.items()]
    root = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("meta", name="referrer", content="no-referrer"),
            # Without it a browser asks the server of the page for one.
            element("link", rel="icon", href="data:,"),
            element("title", "Stillhouse report"),
            _raw("style", style),
        ),
        element(
            "body",
            header,
            element(
                "main",
                head,
                element("nav", element("ul", links), aria_label="Sections"),
                [_section(key, *each) for key, each in named.items()],
            ),
            _raw("script", script),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{written(root)}\n".encode()


def _raw(name: str, text: str) -> Element:
    made = Element(name)
    made.text = text  # of these two HTML escapes nothing
    return made


def _checksum(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _identifier(name: str) -> str:
    return "-".join(name.lower().split())


def _section(key: str, name: str, blocks: Sequence[Child]) -> Element:
    return element("section", element("h2", name, id=f"{key}-title"), blocks, id=key, aria_labelledby=f"{key}-title")
