"""The course's site: whole, light, and readable on a phone and without a mouse."""

import http.server
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from conftest import PICTURES
from playwright.sync_api import Browser, Page, expect

from course_app.authoring.contents import EXERCISES, LESSONS, find_course
from course_app.authoring.findings import findings
from course_app.authoring.notebook import read_notebook
from course_app.site import build_site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COURSE = find_course(Path(__file__))
LESSON = "notebooks/04_connection_pooling.html"
PAGES = ["index.html", LESSON, "verdicts.html"]

MEGABYTE = 2**20
MOST_SITE_BYTES, MOST_PAGE_BYTES = 20 * MEGABYTE, 1.5 * MEGABYTE
#: The processor's time: the clock on the wall would ask how busy the machine is.
MOST_BUILD_CPU_SECONDS = 60
PHONE = {"width": 390, "height": 844}


class Links(HTMLParser):
    """What a page points to, what can be pointed to, and its pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.targets += [v for k, v in attrs if k in ("href", "src") and v]
        self.ids |= {value for value in (found.get("id"), found.get("name")) if value}
        if tag == "img":
            self.images.append(found)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The folder of the site, and what building it took of the processor, in seconds."""
    before = os.times()
    index = build_site(COURSE, tmp_path_factory.mktemp("a build"))
    after = os.times()
    spent = sum(after[:4]) - sum(before[:4])
    return index.parent, spent


@pytest.fixture(scope="session")
def site(built: tuple[Path, float]) -> Path:
    return built[0]


@pytest.fixture(scope="session")
def parsed(site: Path) -> dict[Path, Links]:
    return {path: Links(path) for path in site.rglob("*.html")}


@pytest.fixture(scope="session")
def served(site: Path) -> Iterator[str]:
    """The address of a server that shows the site as GitHub's would: as files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(site))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


Visit = Callable[..., Page]


@pytest.fixture
def visit(
    browser: Browser, served: str, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Page]]:
    """Opens a page of the site; afterwards there was no complaint and no request to elsewhere."""
    complaints: list[str] = []
    contexts = []

    def open_page(path: str, scheme: str = "light", **viewport: int) -> Page:
        size = {"width": 1400, "height": 950} | viewport
        context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda sent: (
                None if sent.url.startswith((served, "data:")) else complaints.append(sent.url)
            ),
        )
        page.goto(f"{served}/{path}")
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    PICTURES.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    contexts[-1].pages[0].screenshot(path=PICTURES / f"{name}.png")
    for context in contexts:
        context.close()
    assert complaints == []


def test_every_lesson_and_exercise_has_its_page(site: Path) -> None:
    for tree in (LESSONS, EXERCISES):
        for lesson in COURSE.lessons:
            if COURSE.notebook(tree, lesson).is_file():
                assert (site / tree / f"{lesson.slug}.html").is_file()


def test_every_link_inside_of_the_site_leads_somewhere(
    site: Path, parsed: dict[Path, Links]
) -> None:
    wrong = [
        f"{path.relative_to(site)}: {target}"
        for path, links in parsed.items()
        for target in links.targets
        if not leads_somewhere(site, path, target, parsed)
    ]
    assert wrong == []


def leads_somewhere(site: Path, page: Path, target: str, parsed: dict[Path, Links]) -> bool:
    url = urlsplit(target)
    if url.scheme or url.netloc:
        return url.scheme in ("http", "https", "data", "mailto")
    path = (page.parent / unquote(url.path)).resolve() if url.path else page
    path = path / "index.html" if path.is_dir() else path
    if not path.is_file() or site not in path.parents:
        return False
    return not url.fragment or path.suffix != ".html" or url.fragment in parsed[path].ids


def test_every_figure_of_a_lesson_is_there_and_says_its_message(
    site: Path, parsed: dict[Path, Links]
) -> None:
    for lesson in COURSE.lessons:
        source = COURSE.notebook(LESSONS, lesson)
        if not source.is_file():
            continue
        shown = parsed[site / LESSONS / f"{lesson.slug}.html"].images
        figures = [image for image in shown if image.get("class") == "course-figure"]
        titles = [picture.title for picture in findings(read_notebook(source)).pictures]
        assert [image["alt"] for image in figures] == titles
    assert all(image.get("alt") for links in parsed.values() for image in links.images)


def test_solutions_wait_behind_a_click(visit: Visit) -> None:
    page = visit("exercises/04_connection_pooling.html")
    answer = page.locator("details", has_text="Show our solution").locator("pre").first
    expect(answer).to_be_hidden()
    page.get_by_text("Show our solution").click()
    expect(answer).to_be_visible()


def test_it_is_light(built: tuple[Path, float], parsed: dict[Path, Links]) -> None:
    site, cpu_seconds = built
    assert cpu_seconds < MOST_BUILD_CPU_SECONDS
    assert sum(path.stat().st_size for path in site.rglob("*")) < MOST_SITE_BYTES
    for page, links in parsed.items():
        own = {(page.parent / str(image["src"])).resolve() for image in links.images}
        weight = page.stat().st_size + sum(path.stat().st_size for path in own if path.is_file())
        assert weight < MOST_PAGE_BYTES, page.relative_to(site)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 800, 1400])
@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_their_window(path: str, width: int, scheme: str, visit: Visit) -> None:
    page = visit(path, scheme, width=width)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in background.strip("rgb()").split(",")[:3]) / 3
    assert (brightness > 128) is (scheme == "light")
    figures = page.locator("img.course-figure")
    for number in range(figures.count()):
        filtered = figures.nth(number).evaluate("e => getComputedStyle(e).filter")
        assert ("invert" in filtered) is (scheme == "dark")


def test_a_phone_is_two_taps_away_from_a_figure_of_lesson_04(visit: Visit) -> None:
    page = visit("index.html", **PHONE)
    page.locator("img.course-figure").first.click()
    page.wait_for_url(f"**/{LESSON}#figure-*")
    figure = page.locator(page.url[page.url.index("#") :])
    expect(figure).to_be_in_viewport()
    assert figure.evaluate("e => e.decode().then(() => e.naturalWidth)") > 300


def test_the_keyboard_is_enough(visit: Visit) -> None:
    page = visit(LESSON)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_contain_text("Skip to main content")
    code = page.locator("details", has_text="Show the code").first
    code.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(code.locator("pre").first).to_be_visible()
    theme = page.locator("html")
    expect(theme).to_have_attribute("data-theme", "light")
    page.locator("button.theme-switch-button:visible").first.focus()
    page.keyboard.press("Enter")
    page.locator(".theme-change-button[data-mode=dark]:visible").focus()
    page.keyboard.press("Enter")
    expect(theme).to_have_attribute("data-theme", "dark")
    unreachable = page.evaluate(
        "[...document.querySelectorAll('article *')].filter(e => "
        "e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === 'auto' && "
        "e.clientWidth && e.tabIndex < 0 && !e.querySelector('a, button, summary')).length"
    )
    assert unreachable == 0


def test_a_word_is_found_and_a_term_is_linked(visit: Visit) -> None:
    page = visit("search.html?q=stampede")
    expect(page.locator("#search-results a").first).to_be_visible(timeout=20_000)
    page = visit(LESSON)
    page.locator("article a[href*='glossary.html#round-trip']").first.click()
    expect(page.locator("#round-trip").first).to_be_in_viewport()
