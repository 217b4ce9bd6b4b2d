"""JupyterLab on a copy of the course, in a real Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab_server import TOKEN, course_lab
from playwright.sync_api import Browser, Page, sync_playwright

from course_app.authoring.contents import TREES, find_course

#: Where pictures of the pages go, to be looked at.
PICTURES = find_course().root / "build" / "screenshots"

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
#: Nothing of the browser's own may look for other machines.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)

Opened = Callable[[str], Page]


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that a learner may change."""
    folder = tmp_path_factory.mktemp("course in a browser")
    root = find_course().root
    for name in ("content", *TREES):
        shutil.copytree(root / name, folder / name)
    shutil.copy(root / "course.toml", folder)
    return folder


@pytest.fixture(scope="session")
def address(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running ``course lab``, with a home of its own."""
    home = tmp_path_factory.mktemp("home")
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("JUPYTER")]:
        del os.environ[name]
    # The data set of the user's own cache is used, so that it need not be made again.
    os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    os.environ["HOME"] = str(home)
    try:
        with course_lab(course) as url:
            yield url
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed (Debian's package: chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Opens a notebook and waits for its kernel; keeps a picture of how the page ended."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page = context.new_page()

    def open_notebook(path: str, app: str = "lab") -> Page:
        workspace = path.replace("/", "-").removesuffix(".ipynb")
        if app == "notebook":
            page.goto(f"{address}/notebooks/{path}?token={TOKEN}")
            page.wait_for_selector(
                ".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=90_000
            )
        else:
            page.goto(f"{address}/lab/workspaces/{workspace}/tree/{path}?reset&token={TOKEN}")
            page.wait_for_selector("#jp-main-statusbar >> text=| Idle", timeout=90_000)
        return page

    yield open_notebook
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{request.node.name}.png")
    context.close()
