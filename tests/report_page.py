"""A report as its readers see it: its tables and texts, and what is wrong with its HTML."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

#: Elements without an end tag.
VOID = ("meta", "link", "br")


class Page(HTMLParser):
    """The texts of the sections by title, the tables as rows of cells, all attributes, and what is not well formed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.open, self.wrong = html, [], []
        self.sections, self.tables, self.captions, self.attributes, self.texts = {}, [], [], [], []
        self.raw = {"style": "", "script": ""}
        self.feed(html)
        self.close()
        self.wrong += [f"{tag} is never closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.attributes.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "h2":
            self.sections[""] = ""
        elif tag == "table":
            self.tables.append([])
            self.captions.append("")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"{tag} is closed, and was not open")

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside in self.raw:
            self.raw[inside] += data
            return
        self.texts.append(data)
        if "h2" in self.open:
            self.sections = {**{k: v for k, v in self.sections.items() if k}, data: ""}
        elif self.sections:
            title = list(self.sections)[-1]
            self.sections[title] += data
        if "caption" in self.open:
            self.captions[-1] += data
        elif {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += f" {data}" if "small" in self.open else data

    def table(self, first: str) -> list[dict[str, str]]:
        """The rows of the table whose heading has such a cell, by the names of the columns; of two alike, the first."""
        for table in self.tables:
            heads = [row for row in table if first in row]
            if heads:
                body = table[table.index(heads[0]) + 1 :]
                pairs = ([*zip(heads[0], row, strict=True)] for row in body)
                return [{name: " ".join(cell.split()) for name, cell in reversed(each)} for each in pairs]
        raise AssertionError(f"no table has a column {first!r}")

    def all(self, name: str) -> list[str]:
        """The values of an attribute, of all elements that have it."""
        return [attributes[name] for _, attributes in self.attributes if name in attributes]


def problems(page: Page) -> list[str]:
    """What a page must not have: tags that do not fit, ids that are not there or twice, anything from elsewhere."""
    found = list(page.wrong)
    ids = page.all("id")
    found += [f"id {each} is there twice" for each in set(ids) if ids.count(each) > 1]
    wanted = [*page.all("aria-labelledby"), *(each[1:] for each in page.all("href") if each.startswith("#"))]
    found += [f"id {each} is not there" for each in wanted if each not in ids]
    found += [f"style {each} is not in the style sheet" for each in page.all("style")]
    elsewhere = [each for name in ("src", "href", "srcset", "action", "data") for each in page.all(name)]
    found += [f"{each} is elsewhere" for each in elsewhere if not each.startswith(("#", "data:"))]
    found += [
        f"{name} names another file" for name, text in page.raw.items() if re.search(r"url\(|@import|fetch|//\w", text)
    ]
    policy = next(each["content"] for _, each in page.attributes if each.get("http-equiv") == "Content-Security-Policy")
    for name, text in page.raw.items():
        checksum = b64encode(sha256(text.encode()).digest()).decode()
        if f"{name}-src 'sha256-{checksum}'" not in policy:
            found.append(f"the policy forbids the {name}")
    if "default-src 'none'" not in policy or "unsafe" in policy:
        found.append(f"the policy allows too much: {policy}")
    return found
