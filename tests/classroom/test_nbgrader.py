"""nbgrader itself takes the course: it releases, grades a class of three, and hands back."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course_app.authoring.contents import find_course
from course_app.classroom.nbgrader_course import BEGIN_REGION, source_notebook, write_course
from course_app.errors import CourseError

COURSE = find_course(Path(__file__))
SLUG = "04_connection_pooling"
WITH_EXERCISE = [x for x in COURSE.lessons if COURSE.source("exercises", x).is_file()]


@pytest.mark.parametrize("lesson", WITH_EXERCISE, ids=lambda lesson: lesson.slug)
def test_each_exercise_has_one_graded_cell_and_its_answer_in_a_region(lesson: object) -> None:
    notebook = source_notebook(COURSE, lesson)  # type: ignore[arg-type]
    marked = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    graded = [cell for cell in marked if cell.metadata.nbgrader.grade]
    assert len(graded) == 1
    assert graded[0].metadata.nbgrader.points == lesson.points  # type: ignore[attr-defined]
    assert "import points" in graded[0].source
    assert f'points("{lesson.slug}"' in graded[0].source  # type: ignore[attr-defined]
    answers = [cell for cell in notebook.cells if BEGIN_REGION in cell.source]
    assert answers
    assert all(cell.metadata.nbgrader.solution for cell in answers)


def test_another_courses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "nbgrader_config.py").write_text("c = 1")
    with pytest.raises(CourseError, match="somebody else's"):
        write_course(COURSE, COURSE.select(["04"]), tmp_path)


@pytest.mark.parametrize("edit", ["source", "points"])
def test_a_source_that_an_instructor_edited_is_kept(edit: str, tmp_path: Path) -> None:
    lessons = COURSE.select(["04"])
    (path,) = write_course(COURSE, lessons, tmp_path)
    assert list(write_course(COURSE, lessons, tmp_path).values()) == ["written"]
    notebook = json.loads(path.read_text())
    if edit == "source":
        notebook["cells"][0]["source"] = "Mine."
    else:
        (graded,) = (x for x in notebook["cells"] if "points" in x["metadata"].get("nbgrader", {}))
        graded["metadata"]["nbgrader"]["points"] = 77
    path.write_text(json.dumps(notebook))
    (outcome,) = write_course(COURSE, lessons, tmp_path).values()
    assert outcome.startswith("kept: it was edited")
    assert json.loads(path.read_text()) == notebook


def nbgrader(folder: Path, *arguments: str) -> str:
    programs = Path(sys.executable).parent
    # nbgrader calls a program of its own by name, as in an environment that is activated
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [programs / "nbgrader", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def hand_in(folder: Path, learner: str, answer: str) -> None:
    """The released notebook with an answer in the place of the blank."""
    released = folder / "release" / SLUG / f"{SLUG}.ipynb"
    notebook = json.loads(released.read_text())
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if answer and cell["cell_type"] == "code" and "NotImplementedError" in source:
            cell["source"] = answer
    place = folder / "submitted" / learner / SLUG / released.name
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(notebook))


def right_answer() -> str:
    path = COURSE.root / "solutions" / f"{SLUG}.ipynb"
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]]
    return next(cell for cell in cells if "def create_app" in cell)


def with_a_large_pool(answer: str) -> str:
    """Right but for the connections: it earns what does not depend on them."""
    larger = answer.replace("min_size=10, max_size=10", "min_size=20, max_size=20")
    assert larger != answer
    return larger


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nbgrader_grades_a_right_a_blank_and_a_wrong_submission(tmp_path: Path) -> None:
    write_course(COURSE, COURSE.select(["04"]), tmp_path)
    nbgrader(tmp_path, "generate_assignment", SLUG)
    released = (tmp_path / "release" / SLUG / f"{SLUG}.ipynb").read_text()
    assert "create_pool" not in released
    right = right_answer()
    for learner, answer in {"right": right, "blank": "", "wrong": with_a_large_pool(right)}.items():
        hand_in(tmp_path, learner, answer)
    nbgrader(tmp_path, "autograde", SLUG)
    nbgrader(tmp_path, "generate_feedback", SLUG)
    nbgrader(tmp_path, "export")
    with (tmp_path / "grades.csv").open() as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores["right"] == 10
    assert scores["blank"] == 0
    assert 0 < scores["wrong"] < 10
    feedback = tmp_path / "feedback" / "wrong" / SLUG / f"{SLUG}.html"
    assert "More connections are open than the app may have" in feedback.read_text()
