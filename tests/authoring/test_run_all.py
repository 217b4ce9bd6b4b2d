"""However a notebook is run: all cells at once, by nbconvert, by papermill."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from queued import run_all

from course_app.authoring.contents import EXERCISES, LESSONS, SOLUTIONS, find_course
from course_app.authoring.findings import findings

ROOT = find_course(Path(__file__)).root
#: A lesson takes a minute on two quiet cores; this is only a limit against hanging.
LIMIT_SECONDS = 280

#: Lessons are run all at once where they are judged, in test_lessons.py. What solutions answer is
#: judged in test_exercises.py: some of them are enough here.
WHAT_LEARNERS_FILL_IN = [
    path.relative_to(ROOT)
    for tree, step in ((EXERCISES, 1), (SOLUTIONS, 4))
    for path in sorted((ROOT / tree).glob("*.ipynb"))[::step]
]
#: A blank exercise whose cells call `asyncio.run` between measurements.
REPRESENTATIVES = [Path(EXERCISES, "03_client_libraries.ipynb")]


def every_cell_answers(path: Path, private: Path) -> None:
    notebook = nbformat.read(ROOT / path, as_version=4)
    place = ROOT / path.parent
    ran = run_all(notebook, place, private, LIMIT_SECONDS - 20, COURSE_PACE="quick")
    ran.assert_every_cell_answered()
    assert ran.surprises == ""


@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("path", REPRESENTATIVES, ids=str)
def test_cells_that_are_queued_at_once_all_answer(path: Path, tmp_path: Path) -> None:
    every_cell_answers(path, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize(
    "path", [path for path in WHAT_LEARNERS_FILL_IN if path not in REPRESENTATIVES], ids=str
)
def test_every_exercise_runs_all_at_once(path: Path, tmp_path: Path) -> None:
    every_cell_answers(path, tmp_path)


PROGRAMS = {
    "nbconvert": ["-m", "nbconvert", "--to", "notebook", "--execute"],
    "papermill": ["-m", "papermill"],
}


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_that_run_notebooks_run_a_lesson_with_sliders(
    program: str, tmp_path: Path
) -> None:
    lesson, executed = ROOT / LESSONS / "04_connection_pooling.ipynb", tmp_path / "executed.ipynb"
    output = [str(executed)] if program == "papermill" else ["--output", str(executed)]
    done = subprocess.run(
        [sys.executable, *PROGRAMS[program], str(lesson), *output],
        cwd=ROOT / LESSONS,
        env={**os.environ, "COURSE_PACE": "quick"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS - 20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert findings(nbformat.read(executed, as_version=4)).verdicts
