"""The course as its learners meet it: JupyterLab in a browser, by mouse and by keyboard."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from course_app.authoring.contents import find_course

Opened = Callable[[str], Page]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: A liveness limit: what takes longer hangs.
LIMIT_MS = 120_000
EXERCISE = "exercises/04_connection_pooling.ipynb"
DONE = re.compile(r"done in \d")


def notebook(page: Page) -> Locator:
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")


def run_all(page: Page) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('li[data-command="runmenu:run-all"]').click()


def clear_outputs(page: Page) -> None:
    """What is seen afterwards was made now, and does not come from the file."""
    page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.locator('li[data-command="editmenu:clear-all"]').click()
    expect(notebook(page).locator(".jp-OutputArea-output")).to_have_count(0)


def await_idle(page: Page) -> None:
    """Every cell that was asked for has run."""
    busy = notebook(page).locator(".jp-InputPrompt", has_text="[*]")
    expect(busy).to_have_count(0, timeout=LIMIT_MS)


def no_errors(page: Page) -> None:
    expect(
        notebook(page).locator('[data-mime-type="application/vnd.jupyter.error"]')
    ).to_have_count(0)
    expect(
        notebook(page).locator('[data-mime-type="application/vnd.jupyter.stderr"]')
    ).to_have_count(0)


def test_the_first_lesson_runs_and_shows_its_figures(opened: Opened) -> None:
    page = opened("notebooks/00_start_here.ipynb")
    clear_outputs(page)
    run_all(page)
    figure = notebook(page).locator("img.course-figure").first
    figure.wait_for(timeout=LIMIT_MS)
    assert figure.evaluate("image => image.complete && image.naturalWidth") > 300
    await_idle(page)
    no_errors(page)
    # One final line for each measurement, and nothing of the steps before it.
    progress = notebook(page).locator(".jp-OutputArea-output", has_text="Comparing one by one")
    expect(progress).to_have_count(1)
    expect(progress).to_have_text(DONE)


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_run_all_comes_to_the_last_verdict(opened: Opened, app: str) -> None:
    """Lesson 04 calls `asyncio.run` between measurements, and has sliders."""
    page = opened("notebooks/04_connection_pooling.ipynb", app)
    clear_outputs(page)
    run_all(page)
    await_idle(page)
    no_errors(page)
    last = notebook(page).locator(".jp-CodeCell", has_text="lab.verdict(").last
    expect(last.locator(".jp-OutputArea-output").last).to_be_visible()


def test_an_exercise_is_blank_then_solved(opened: Opened, course: Path) -> None:
    page = opened(EXERCISE)
    run_all(page)
    await_idle(page)
    scorecard = notebook(page).locator(".jp-Cell", has_text="check(").locator(".jp-RenderedHTML")
    expect(scorecard).to_contain_text("not attempted")

    editor = notebook(page).locator(".jp-CodeCell", has_text="raise NotImplementedError")
    editor.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(answer())
    run_all(page)
    await_idle(page)
    expect(scorecard).to_contain_text("of 10", timeout=LIMIT_MS)
    expect(scorecard).to_contain_text("passed")
    expect(scorecard).not_to_contain_text("✗")
    no_errors(page)
    page.keyboard.press("Control+S")
    saved = course / EXERCISE
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')", timeout=LIMIT_MS)
    assert "create_pool" in saved.read_text()


def answer() -> str:
    """The solution's cell."""
    path = find_course().root / EXERCISE.replace("exercises", "solutions")
    cells = json.loads(path.read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return next(source for source in sources if "def create_app" in source)


def test_reading_a_lesson_changes_no_file(opened: Opened, course: Path) -> None:
    path = course / "notebooks/12_workers.ipynb"
    before = path.read_bytes()
    page = opened("notebooks/12_workers.ipynb")
    notebook(page).locator(".jp-Notebook").focus()
    with page.expect_response(lambda answer: answer.request.method == "PUT"):
        page.keyboard.press("Control+S")
    assert path.read_bytes() == before


def test_figures_fit_into_a_narrow_column_and_have_a_text_alternative(opened: Opened) -> None:
    page = opened("notebooks/04_connection_pooling.ipynb")
    page.set_viewport_size({"width": 800, "height": 1000})
    figure = notebook(page).locator("img.course-figure").first
    column = (
        notebook(page)
        .locator(".jp-OutputArea-output")
        .filter(has=page.locator("img.course-figure"))
        .first
    )
    expect(figure).to_have_attribute("alt", re.compile("as fast as"))
    width, room = (each.evaluate("e => e.clientWidth") for each in (figure, column))
    assert 0 < width <= room < 672


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened("notebooks/00_start_here.ipynb")
    clear_outputs(page)
    page.keyboard.press("Control+Home")
    notebook(page).locator(".jp-Notebook").focus()
    for _ in range(4):
        page.keyboard.press("Shift+Enter")
    await_idle(page)
    expect(notebook(page).locator(".jp-OutputArea-output", has_text="Lab ready")).to_have_count(1)
    no_errors(page)
