"""Weights, late days and points by hand change what counts, and say so; other programs read it."""

import csv
from pathlib import Path

import pytest

from course_app.classroom.gradebook import Gradebook, Override, read_overrides
from course_app.classroom.ledger import Grade
from course_app.classroom.report import ClassReport, write_class
from course_app.classroom.tables import harmless
from course_app.errors import CourseError
from course_app.grading import CriterionResult, Kind, Outcome, Scorecard

POOLING, QUERIES = "04_connection_pooling", "05_queries"
EXERCISES = {"04": POOLING, "05": QUERIES, POOLING: POOLING}


def grade(learner: str, points: float, exercise: str = POOLING, number: str = "") -> Grade:
    failed = points < 10
    result = CriterionResult(
        "right", "Right", Kind.CONTRACT, 10, Outcome.FAILED if failed else Outcome.PASSED, points
    )
    card = Scorecard(exercise, "A title", (result,), 1, "2026-01-01T00:00:00+00:00")
    return Grade(learner, exercise, f"{learner}-{number}", "", card, id=number)


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def overrides(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "overrides.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_points_of_the_course_weigh_an_exercise() -> None:
    book = Gradebook({POOLING: 20})
    assert book.points(grade("Ada", 7)) == 14
    assert book.possible(grade("Ada", 7)) == 20
    assert book.points(Grade("Bob", POOLING, "b", "", None, "It is a link.")) is None


def test_late_days_take_a_share_and_never_more_than_there_is() -> None:
    book = Gradebook(
        {POOLING: 20},
        10,
        (Override("Ada", POOLING, late_days=2), Override("Bob", POOLING, late_days=30)),
    )
    assert book.points(grade("Ada", 10)) == 16
    assert book.points(grade("Bob", 10)) == 0
    assert "2 days late: 20 % less" in book.remark(grade("Ada", 10))


def test_points_by_hand_count_and_the_last_line_is_right(tmp_path: Path) -> None:
    path = overrides(
        tmp_path,
        "learner,exercise,points,late_days,comment\nAda,4,3,,\n"
        '12345,04_connection_pooling,8.5,,"Shown in the office hour, and right"\n',
    )
    book = Gradebook({}, 10, read_overrides(path, EXERCISES))
    assert book.points(grade("Ada", 0)) == 3
    assert book.points(grade("Ada", 0, number="12345")) == 8.5
    assert book.remark(grade("Ada", 0, number="12345")).endswith(
        "Shown in the office hour, and right"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,exercise\nAda,04\n", "no column learner"),
        ("learner,exercise,points\nAda,99,1\n", "line 2: there is no exercise '99'"),
        ("learner,exercise,points\nAda,04,many\n", "line 2: points and late_days are numbers"),
        ("learner,exercise,late_days\nAda,04,-1\n", "line 2: points and late_days cannot be"),
        ("learner,exercise,points\nAda,04,nan\n", "line 2: points and late_days are numbers"),
        ("learner,exercise,points\nAda,04,1e999\n", "line 2: points and late_days are numbers"),
        ("learner,exercise,late_days\nAda,04,inf\n", "line 2: points and late_days are numbers"),
        ("learner,exercise,late_days\nAda,04,nan\n", "line 2: points and late_days are numbers"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(CourseError, match=told):
        read_overrides(overrides(tmp_path, text), EXERCISES)


def test_totals_and_the_tables_of_moodle_and_canvas(tmp_path: Path) -> None:
    grades = (
        grade("Ada", 10, number="1"),
        grade("Ada", 5, QUERIES, number="1"),
        grade("Bob", 0, number="2"),
        grade("=Eve", 10),
    )
    write_class(ClassReport(grades, Gradebook({POOLING: 20})), tmp_path)
    assert table(tmp_path / "totals.csv") == [
        ["learner", "id", POOLING, QUERIES, "total", "possible"],
        ["Ada", "1", "20", "5", "25", "30"],
        ["Bob", "2", "0", "", "0", "20"],
        ["'=Eve", "", "20", "", "20", "20"],
    ]
    canvas = table(tmp_path / "canvas.csv")
    assert canvas[0][:2] == ["Student", "ID"]
    assert [row[1:2] + row[5:] for row in canvas[1:]] == [
        ["", "20", "10"],
        ["1", "20", "5"],
        ["2", "0", ""],
    ]
    moodle = table(tmp_path / f"moodle_{POOLING}.csv")
    assert moodle[1][:4] == ["Participant 1", "Ada", "20", "20"]
    assert len(moodle) == 3


def test_what_names_no_exercise_is_a_remark_and_no_column(tmp_path: Path) -> None:
    lost = Grade("Bob", "unknown", "b", "", None, "No answer to an exercise was found.", id="2")
    index = write_class(ClassReport((grade("Ada", 10, number="1"), lost)), tmp_path)
    assert [row[2:] for row in table(tmp_path / "totals.csv")] == [
        [POOLING, "total", "possible"],
        ["10", "10", "10"],
        ["", "0", "0"],
    ]
    assert table(tmp_path / "canvas.csv")[0][5:] == [POOLING]
    assert [path.name for path in tmp_path.glob("moodle_*")] == [f"moodle_{POOLING}.csv"]
    assert table(tmp_path / "grades.csv")[2][5] == lost.problem
    assert lost.problem in index.read_text(encoding="utf-8")


def test_points_by_hand_for_what_could_not_be_checked_are_a_column(tmp_path: Path) -> None:
    unchecked = Grade("Ada", POOLING, "a", "", None, "It is a link.", id="1")
    given = Override("Ada", POOLING, points=7)
    write_class(ClassReport((unchecked,), Gradebook({POOLING: 10}, 10, (given,))), tmp_path)
    assert table(tmp_path / "totals.csv")[1] == ["Ada", "1", "7", "7", "10"]
    assert table(tmp_path / "grades.csv")[1][3:5] == ["7", "10"]
    assert [row[5:] for row in table(tmp_path / "canvas.csv")[1:]] == [["10"], ["7"]]
    moodle = table(tmp_path / f"moodle_{POOLING}.csv")
    assert moodle[1][:4] == ["Participant 1", "Ada", "7", "10"]


def test_the_page_shows_mean_distribution_and_the_reason_for_each_zero(tmp_path: Path) -> None:
    given = Override("Eve", POOLING, points=0, comment="The same text as Bob's.")
    grades = (grade("Ada", 10), grade("Bob", 0), grade("Eve", 10))
    book = Gradebook({}, 10, (given,))
    report = ClassReport(grades, book)
    assert report.average(POOLING) == "Of 3: mean 3.3, median 0.0 of 10 points."
    assert [count for _, count in report.distribution(POOLING)] == [2, *[0] * 9, 1]
    assert "The same text" in report.reason(grades[2])
    index = write_class(report, tmp_path).read_text(encoding="utf-8")
    assert "mean 3.3" in index
    assert "The same text as Bob" in index
    page = (tmp_path / "learners" / "Eve-.html").read_text(encoding="utf-8")
    assert "0 of 10 points" in page
    assert "given by the instructor" in page


@pytest.mark.parametrize("cell", ["＝1+1", "\ufeff=1", "\u200b=1", "\u200b =1", " \x1b \t=1"])
def test_no_formula_hides_behind_what_nobody_sees(cell: str) -> None:
    assert harmless(cell).startswith(("'=", "'＝"))
    assert "\x1b" not in harmless(cell)
