"""The pages do not drift: what they name exists, what exists is named, links lead somewhere, figures were measured."""

import ast
import inspect
import re

import pytest
from conftest import ROOT

import augment
import label
import stillhouse
import students
import transferset
from augment import load_recipe, published
from label import teachers
from stillhouse.cli import stillhouse as group
from students import architectures, objectives
from transferset.parameters import discover

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")), *DOCS]
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
COMMANDS = {name: group.get_command(None, name) for name in group.list_commands(None)}
OPTIONS = {
    name: {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    for name, command in COMMANDS.items()
}
KINDS = {"student": architectures, "loss": objectives, "recipe": published}
PACKAGES = (augment, label, students, transferset, stillhouse)
FOLDERS = "|".join([*(each.__name__ for each in PACKAGES), "data", "docs", "tests", "benchmarks", "examples"])
RESULTS = "../benchmarks/RESULTS.md#"
WITH_FIGURES = [page for page in DOCS if RESULTS in page.read_text()]


def text_of(name):
    return (ROOT / "docs" / f"{name}.md").read_text()


def code_in(page):
    """What a page prints as code: spans, and the lines of blocks that are shell or of no language."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    text = page.read_text()
    blocks = [block for language, block in fence.findall(text) if language in ("", "sh", "text", "console")]
    spans = re.findall(r"`([^`\n]+)`", fence.sub("", text))
    return [*(line for block in blocks for line in block.splitlines()), *spans]


def unknown_options(words, known):
    return [word for word in words if word.startswith("--") and word.partition("=")[0].rstrip(",.") not in known]


@EACH
def test_the_commands_it_names_exist_and_have_the_options(page):
    for code in code_in(page):
        for call in re.findall(r"\bstillhouse ([a-z]+\b[^|;&<>]*)", code.partition("  #")[0]):
            command, *words = call.split()
            assert command in COMMANDS, code
            assert unknown_options(words, OPTIONS[command]) == [], code


@EACH
def test_the_options_it_names_exist(page):
    for code in code_in(page):
        command, *words = code.split() or [""]
        if code.startswith("--"):
            assert unknown_options(code.split(), set().union(*OPTIONS.values())) == [], code
        elif command in COMMANDS:
            assert unknown_options(words, OPTIONS[command]) == [], code


@EACH
def test_the_students_losses_and_recipes_it_asks_for_exist(page):
    for code in code_in(page):
        for kind, name in re.findall(r"--(student|loss|recipe)[ =]([a-z][\w.]*)", code):
            assert name in KINDS[kind]() or name.endswith(".toml"), code


@EACH
def test_its_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            titles = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE) if anchor else ()
            assert not anchor or anchor in map(anchor_of, titles), link


@EACH
def test_the_files_of_the_project_it_names_are_there(page):
    for code in code_in(page):
        for path in re.findall(rf"(?<![\w./-])(?:{FOLDERS})/[\w./]*[\w/]", code):
            assert (ROOT / path).exists() or "NAME" in path, path
        if page.name == "ARCHITECTURE.md" and re.fullmatch(r"[a-z_]+\.py", code):
            assert any(file for folder in FOLDERS.split("|") for file in (ROOT / folder).rglob(code)), code


def anchor_of(title):
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")


def test_every_page_has_a_line_in_the_index():
    linked = re.findall(r"^\| \[([a-z-]+\.md)\]", text_of("README"), re.MULTILINE)
    assert sorted(linked) == [page.name for page in DOCS if page.name != "README.md"]


def test_every_command_has_a_page_that_shows_it():
    rows = re.findall(r"^\| (`[a-z`, ]+) \| \[[^\]]+\]\((\S+)\) \|$", text_of("README"), re.MULTILINE)
    pages = {name: ROOT / "docs" / page for names, page in rows for name in re.findall("[a-z]+", names)}
    assert sorted(pages) == sorted(COMMANDS)
    for name, page in pages.items():
        assert re.search(rf"(stillhouse|make) {name}\b", page.read_text()), name


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("augment", lambda: [*discover("augment", "fit"), *published()]),
        ("train", lambda: [*architectures(), *objectives()]),
    ],
)
def test_every_augmenter_recipe_student_and_loss_has_a_line(page, names):
    first_cells = re.findall(r"^\| ([^|]+) \|", text_of(page), re.MULTILINE)
    assert set(names()) <= {name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_line_of_a_recipe_says_its_copies_and_its_steps():
    for name in published():
        (line,) = re.findall(rf"^\| `{name}` \|(.*)$", text_of("augment").partition("## Recipes")[2], re.MULTILINE)
        recipe = load_recipe(name)
        assert {recipe.copies, recipe.copies_of("pair")} <= set(map(int, re.findall(r"\b\d+\b", line))), name
        assert all(f"`{type(step).__name__.lower()}`" in line for step in recipe.augmenters()), name


def test_every_teacher_has_a_line_with_its_signals():
    lines = re.findall(r"^\| `(?:(\w+):)?[^|]*\|[^|]*\| ([^|]*) \|$", text_of("label").replace("\\|", ""), re.MULTILINE)
    told = {kind or "huggingface": re.findall(r"`(\w+)`", gives) for kind, gives in lines}
    # A function may give whatever there is, and its line says so.
    assert told | {"python": list(teachers()["python"].gives)} == {n: list(cls.gives) for n, cls in teachers().items()}


def test_our_calls_in_the_tables_for_those_who_come_from_elsewhere_can_be_made():
    names = {name: getattr(package, name) for package in PACKAGES for name in getattr(package, "__all__", ())}
    checked = []
    for cell in re.findall(r"^\| [^|]* \| ([^|]*) \|", text_of("coming-from"), re.MULTILINE):
        for code in re.findall(r"`([A-Za-z]\w*\([^`]*\)|[A-Z]\w+)`", cell):
            call = ast.parse(code, mode="eval").body
            function, keywords = (call.func.id, call.keywords) if isinstance(call, ast.Call) else (code, ())
            if not function.isupper():
                assert {each.arg for each in keywords} <= set(inspect.signature(names[function]).parameters), code
                checked.append(function)
    assert {"Mlm", "Vectors", "Recipe", "augment"} <= set(checked)


@pytest.mark.parametrize("page", WITH_FIGURES, ids=lambda page: page.stem)
def test_the_figures_in_its_tables_stand_in_the_section_that_they_name(page):
    sections = re.split(r"^## ", (ROOT / "benchmarks" / "RESULTS.md").read_text(), flags=re.MULTILINE)[1:]
    measured = {anchor_of(section.partition("\n")[0]): numbers_in(section) for section in sections}
    for row, anchor in re.findall(rf"^(\|.*\]\({re.escape(RESULTS)}([^)]+)\) \|)$", page.read_text(), re.MULTILINE):
        figures = numbers_in(re.sub(r"\]\([^)]*\)|`[^`]*`", "", row))
        assert figures <= measured[anchor], (row, figures - measured[anchor])


def numbers_in(text):
    """Numbers of two digits or more, as they are written."""
    found = re.findall(r"(?<![\w.,-])\d[\d,]*(?:\.\d+)?", text)
    return {number.rstrip(",") for number in found if len(number.rstrip(",")) > 1}
