"""The report in headless Chromium: it sorts, keeps to screen and paper, and runs nothing but its own."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_students import GOLD, HOSTILE, TEXTS, TWO, cache_of, csv, save, sweep
from tiny_students import make_student

from stillhouse.report import Yardstick, report
from transferset import Source

pytestmark = pytest.mark.usefixtures("one_thread")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
#: Pixels between the margins of A4 that lies.
PAPER = 1031
#: A machine may have other things to do.
PATIENCE = 120_000


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split(), timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of a sweep and two students, and one of a student whose every name and text is markup."""
    folder = tmp_path_factory.mktemp("report")
    student = make_student(classes=TWO)
    save(folder / "S", student)
    save(
        folder / "A student with a name that is a good deal longer than any name should be",
        make_student("cnn", classes=TWO),
        1,
    )
    places = [sweep(folder / "RUNS"), folder / "S", next(folder.glob("A student*"))]
    test = csv(folder / "test.csv", ("text", [f"{text} {'long ' * 90}" for text in TEXTS]), ("label", GOLD))
    texts = pa.table({"text": [f"{text} {'long ' * 90}" for text in TEXTS]})
    cache = cache_of(folder / "L", student.task, texts, TWO)
    report(places, folder / "plain.html", Yardstick(test, cache, resamples=50, speed=False))
    hostile = make_student(classes=(HOSTILE, "pos"))
    save(folder / "<b>S", hostile)
    rows = pa.table(
        {"text": [HOSTILE, "good film", "</style><script>window.hacked=1</script>"], "label": [HOSTILE, "pos", "pos"]}
    )
    pq.write_table(rows, folder / "hostile.parquet")
    cache = cache_of(folder / "L-hostile", hostile.task, rows, (HOSTILE, "pos"), logits=-hostile.outputs(rows))
    report(
        [folder / "<b>S"], folder / "hostile.html", Yardstick(Source(folder / "hostile.parquet"), cache, speed=False)
    )
    return folder


@pytest.fixture
def visit(browser, pages):
    """Opens a report at a width; what the console says and what is asked for is gathered in ``seen``."""
    contexts = []

    def call(name="plain.html", width=1280, scheme="light", media="screen"):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.seen = []
        page.on("console", lambda message: page.seen.append(message.text))
        page.on("pageerror", lambda error: page.seen.append(str(error)))
        page.on("request", lambda request: page.seen.append(request.url))
        page.emulate_media(media=media, color_scheme=scheme)
        page.goto((pages / name).as_uri())
        return page

    yield call
    for context in contexts:
        context.close()


def column(page, name):
    """What the cells of a column are sorted by, from above; and how the page says that it is sorted."""
    return page.evaluate(
        """name => {
            const heads = [...document.querySelectorAll("table.sortable th[aria-sort]")];
            const head = heads.find((each) => each.textContent === name);
            const bodies = document.querySelector("table.sortable").tBodies;
            const rows = [...bodies[bodies.length - 1].rows];
            return [rows.map((row) => row.cells[head.dataset.column].dataset.value ?? null), head.ariaSort];
        }""",
        name,
    )


def press(page, name):
    page.locator("table.sortable thead button", has_text=name).first.click()


def test_pressing_a_heading_sorts_and_pressing_it_again_turns_it_round(visit):
    page = visit()
    ranks, way = column(page, "student")
    assert (ranks, way) == ([str(place + 1) for place in range(6)], "ascending")
    for name, first in (("accuracy", "descending"), ("ECE", "ascending"), ("MB", "ascending")):
        press(page, name)
        values, way = column(page, name)
        known = [float(each) for each in values if each is not None]
        assert way == first
        assert known == sorted(known, reverse=first == "descending")
        assert values[len(known) :] == [None] * 2, "what has no figure is last"
        press(page, name)
        turned, way = column(page, name)
        assert way == {"ascending": "descending", "descending": "ascending"}[first]
        assert turned == [*(str(each) for each in turned[: len(known)]), None, None]
        assert [float(each) for each in turned[: len(known)]] == sorted(known, reverse=first == "ascending")
    press(page, "status")
    assert column(page, "status")[0] == ["done"] * 4 + ["failed", "stopped"]
    assert page.locator(".sorted").text_content() == "Sorted by status, ascending."
    assert page.locator("th[aria-sort=ascending], th[aria-sort=descending]").count() == 1
    assert page.locator("tbody.teacher").count() == 1, "the teacher stays above"
    assert page.seen == [page.url]


def test_it_sorts_from_the_keyboard(visit):
    page = visit()
    page.locator("table.sortable thead button", has_text="MB").focus()
    page.keyboard.press("Enter")
    assert column(page, "MB")[1] == "ascending"
    page.keyboard.press("Space")
    assert column(page, "MB")[1] == "descending"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "one sees where one is"


@pytest.mark.parametrize("width", [1280, 768, 390, 320])
def test_it_keeps_to_the_width_of_the_screen(visit, width):
    page = visit(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is wider scrolls in a box of its own, which the keyboard reaches.
    for box in page.locator(".scroll").all():
        inner, outer = box.evaluate("each => [each.scrollWidth, each.clientWidth]")
        assert inner <= outer or box.get_attribute("tabindex") == "0"
    # Nothing that is drawn is too small to be read.
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("svg text")].map((text) => {
            const svg = text.ownerSVGElement;
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
            return parseFloat(getComputedStyle(text).fontSize) * scale;
        })"""
    )
    assert min(sizes) >= 7.9


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(visit, scheme):
    page = visit(scheme=scheme)
    ratios = page.evaluate(
        """() => {
            const light = (colour) => {
                const parts = colour.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255);
                const linear = parts.map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
            };
            const paper = light(getComputedStyle(document.body).backgroundColor);
            const texts = [...document.querySelectorAll("p, small, th, td, figcaption, summary, dt, a")];
            const inks = texts.map((each) => light(getComputedStyle(each).color));
            const drawn = [...document.querySelectorAll("svg text")].map((each) => light(getComputedStyle(each).fill));
            return [...inks, ...drawn].map((ink) => (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05));
        }"""
    )
    assert min(ratios) >= 4.5


def test_on_paper_nothing_scrolls_and_nothing_waits_to_be_pressed(visit, tmp_path):
    page = visit(width=PAPER, media="print", scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    overflow = page.evaluate("[...document.querySelectorAll('.scroll')].map((each) => getComputedStyle(each).overflow)")
    assert set(overflow) == {"visible"}
    assert page.locator("nav").is_hidden()
    for table in page.locator(".scroll table").all():
        assert table.bounding_box()["width"] <= PAPER
    assert page.locator("details dl").is_visible()
    printed = page.pdf(format="A4", path=tmp_path / "r.pdf")
    assert printed.startswith(b"%PDF")


def test_nothing_of_the_users_runs(visit):
    page = visit("hostile.html")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, b").count() == 0
    assert page.locator(f"text={HOSTILE}").count() >= 3
    assert page.seen == [page.url]


def test_the_policy_stops_what_escaping_might_miss(visit, pages):
    text = (pages / "plain.html").read_text()
    smuggled = "<img src='https://example.org/x.png' onerror='window.hacked=1'><script>window.hacked=1</script>"
    (pages / "smuggled.html").write_text(text.replace("<main>", f"<main>{smuggled}"))
    page = visit("smuggled.html")
    assert page.evaluate("window.hacked") is None
    assert len([each for each in page.seen if "Content Security Policy" in each]) >= 2
    press(page, "MB")
    assert column(page, "MB")[1] == "ascending", "the page's own script runs all the same"


def test_charts_say_what_they_show_to_who_does_not_see_them(visit):
    page = visit()
    for drawing in page.locator("svg[role=img]").all():
        assert len(drawing.get_attribute("aria-label")) > 10
    assert page.locator("svg:not([role=img]):not([aria-hidden=true])").count() == 0
    marks = page.evaluate("[...document.querySelectorAll('.pair path.student')].map((each) => each.getAttribute('d'))")
    assert len(set(marks)) == 2, "kinds differ in shape"
    dashes = page.evaluate(
        "['.watched', '.loss', '.teacher-line', '.front'].map((each) =>"
        " getComputedStyle(document.querySelector(each)).strokeDasharray)"
    )
    assert dashes[0] == dashes[3] == "none"
    assert len(set(dashes)) == 3, "lines differ in their dashes"
