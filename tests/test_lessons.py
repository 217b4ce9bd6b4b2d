"""Every lesson runs from top to bottom, and what it says of the guide's claims stands."""

import ast
from copy import deepcopy
from pathlib import Path

import pytest
from nbformat import NotebookNode
from queued import run_all

from course_app.authoring.build import plan
from course_app.authoring.contents import LESSONS, Lesson, find_course, read_claims
from course_app.authoring.findings import findings
from course_app.authoring.notebook import code_sources

COURSE = find_course(Path(__file__))
WRITTEN = [lesson for lesson in COURSE.lessons if COURSE.source("lessons", lesson).is_file()]
CLAIMS = read_claims(COURSE)

#: A lesson takes two minutes at most on two quiet cores; this is only a limit against hanging.
LIMIT_SECONDS = 300


def claims_of(lesson: Lesson) -> set[str]:
    """The claims that the lesson has to judge."""
    return {claim.id for claim in CLAIMS if claim.lesson == lesson.slug}


@pytest.mark.parametrize("lesson", WRITTEN, ids=lambda lesson: lesson.slug)
def test_a_figure_is_the_last_thing_in_its_cell(lesson: Lesson) -> None:
    """Jupyter shows the value of a cell's last line, and no other."""
    notebook = next(x.notebook for x in plan(COURSE, [lesson]) if x.tree == LESSONS)
    lost = [
        ast.unparse(statement)
        for source in code_sources(notebook)
        for statement in ast.parse(source).body[:-1]
        if isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and "plot" in ast.unparse(statement.value.func)
    ]
    assert lost == []


def with_cells_again(notebook: NotebookNode, number: int) -> NotebookNode:
    """Every second code cell twice running: somebody changes a number and runs it again.

    In even lessons these are the even cells, in odd ones the others.
    """
    again = deepcopy(notebook)
    again.cells, code = [], 0
    for cell in notebook.cells:
        again.cells.append(cell)
        code += cell.cell_type == "code"
        if cell.cell_type == "code" and code % 2 == number % 2:
            again.cells.append(deepcopy(cell))
            again.cells[-1].id = f"{cell.id}-again"
    return again


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("lesson", WRITTEN, ids=lambda lesson: lesson.slug)
def test_a_lesson_runs_all_at_once_with_cells_again_and_judges_its_claims(
    lesson: Lesson, tmp_path: Path
) -> None:
    notebook = next(x.notebook for x in plan(COURSE, [lesson]) if x.tree == LESSONS)
    cells = with_cells_again(notebook, int(lesson.number))
    # Shorter windows: a verdict is "cannot tell" somewhat more often, and never the contrary.
    place = COURSE.root / LESSONS
    ran = run_all(cells, place, tmp_path, LIMIT_SECONDS - 20, COURSE_PACE="quick")
    ran.assert_every_cell_answered()
    found = findings(ran.notebook)
    judged = {verdict.claim: verdict.verdict for verdict in found.verdicts}
    assert claims_of(lesson) <= set(judged)
    # On a noisy machine it may be "cannot tell"; the contrary of a verdict would be a mistake.
    assert [each for each in found.verdicts if each.verdict == "not confirmed here"] == []
    assert found.pictures
    assert found.machine
