"""The README says what the committed notebooks measured."""

from pathlib import Path

from course_app.authoring.contents import find_course
from course_app.authoring.readme import (
    BEGIN,
    END,
    END_EVENING,
    EVENING,
    README,
    evening_path,
    results_table,
    write_results,
)

COURSE = find_course(Path(__file__))


def test_the_table_in_the_readme_is_that_of_the_notebooks() -> None:
    text = (COURSE.root / README).read_text(encoding="utf-8")
    table = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert table == results_table(COURSE).strip(), "run `course build`"
    assert len(table.splitlines()) > 2


def test_a_readme_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    course = COURSE.model_copy(update={"root": tmp_path})
    (tmp_path / README).write_text("mine")
    assert not write_results(course)
    assert (tmp_path / README).read_text() == "mine"


def test_the_evening_s_path_in_the_readme_is_that_of_the_contents() -> None:
    text = (COURSE.root / README).read_text(encoding="utf-8")
    told = text.partition(EVENING)[2].partition(END_EVENING)[0].strip()
    assert told == evening_path(COURSE).strip(), "run `course build`"
    assert all(f"{lesson.minutes} min" in told for lesson in COURSE.evening)
