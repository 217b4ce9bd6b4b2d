"""The committed notebooks are what content/ says, and exercises keep their secrets."""

import ast
from pathlib import Path

import jupytext
import nbformat
import pytest

from course_app.authoring.build import differences
from course_app.authoring.contents import EXERCISES, LESSONS, Lesson, find_course
from course_app.authoring.figures import save_figures
from course_app.authoring.markers import leaks, split
from course_app.authoring.notebook import read_notebook

COURSE = find_course(Path(__file__))


def with_exercise() -> list[Lesson]:
    """The lessons whose exercise is written."""
    return [x for x in COURSE.lessons if COURSE.source("exercises", x).is_file()]


def test_the_committed_notebooks_match_their_sources() -> None:
    assert differences(COURSE) == []


@pytest.mark.parametrize("lesson", with_exercise(), ids=lambda lesson: lesson.slug)
def test_no_answer_line_stands_in_the_committed_exercise(lesson: Lesson) -> None:
    source = COURSE.source("exercises", lesson)
    sides = split(source.read_text(encoding="utf-8"), source.name)
    notebook = nbformat.read(COURSE.notebook(EXERCISES, lesson), as_version=4)
    # Outputs and metadata could tell, too.
    everything = "\n".join([str(dict(cell)) + cell.source for cell in notebook.cells])
    assert sides.answers, "the answer has no line that the exercise has not"
    assert leaks(sides, everything) == []


@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.slug)
def test_no_sentence_shows_an_estimate_without_its_interval(lesson: Lesson) -> None:
    """An interval formats itself; who picks its estimate shows less than is known."""
    cells = jupytext.read(COURSE.source("lessons", lesson)).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    shown = [
        node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FormattedValue)
    ]
    picked = [
        ast.unparse(each)
        for value in shown
        for each in ast.walk(value)
        if isinstance(each, ast.Attribute) and each.attr in ("estimate", "factor")
    ]
    assert picked == []


@pytest.mark.parametrize("lesson", COURSE.lessons, ids=lambda lesson: lesson.slug)
def test_the_front_page_shows_the_figures_of_the_committed_run(
    lesson: Lesson, tmp_path: Path
) -> None:
    notebook = read_notebook(COURSE.notebook(LESSONS, lesson))
    made = {path.name: path.read_text() for path in save_figures(notebook, tmp_path, lesson.slug)}
    folder = COURSE.root / "docs/figures"
    assert {p.name: p.read_text() for p in folder.glob(f"{lesson.slug}*.svg")} == made
