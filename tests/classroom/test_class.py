"""Each answer is graded once, a stopped grading goes on, and our failure is nobody's zero."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from course_app.classroom import cluster
from course_app.classroom import grade as grading
from course_app.classroom.collect import Submission
from course_app.classroom.grade import Judging, grade_class, seed_of
from course_app.classroom.ledger import Grade, Ledger, Status
from course_app.classroom.report import ClassReport, write_class
from course_app.classroom.tables import harmless
from course_app.grading import CriterionResult, Kind, Outcome, Scorecard

NAMES = ["Ada", "=SUM(A1)", 'Bob "Bobby", the 2nd', "Zoë <b>"]


class Judge:
    """Stands for the engine: says what it is told to say, and counts how often it was asked."""

    def __init__(self, outcomes: dict[str, Outcome] | None = None) -> None:
        self.outcomes = outcomes or {}
        self.asked: list[tuple[str, int]] = []

    def __call__(self, path: Path, exercise: str, seed: int) -> Scorecard:
        self.asked.append((path.stem, seed))
        outcome = self.outcomes.get(path.stem, Outcome.PASSED)
        result = CriterionResult(
            "right",
            "Is it <right>?",
            Kind.CONTRACT,
            10,
            outcome,
            10.0 * (outcome is Outcome.PASSED),
        )
        if outcome is Outcome.FAILED:
            result = replace(result, failure="Slow", summary="It is slow.", hint="Make it fast.")
        return Scorecard(
            exercise, "A title", (result,), seed, "2026-01-01T00:00:00+00:00", log="out"
        )


@pytest.fixture
def submissions(tmp_path: Path) -> list[Submission]:
    found = []
    for number, name in enumerate(NAMES):
        path = tmp_path / f"s{number}.py"
        path.write_text(f"x = {number}")
        found.append(Submission(name, "04_x", path))
    return [*found, Submission("Nobody", "04_x", None, "It is a link.")]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def graded(
    submissions: list[Submission], out: Path, judge: Judge, **options: object
) -> list[Grade]:
    return list(grade_class(submissions, Ledger(out), judge, seed=1, **options))  # type: ignore[arg-type]


def test_a_stopped_grading_goes_on_without_losing_or_repeating_a_grade(
    submissions: list[Submission], out: Path
) -> None:
    judge = Judge()
    stopped: Iterator[Grade] = grade_class(submissions, Ledger(out), judge, seed=1)
    first = [next(stopped), next(stopped)]
    assert graded(submissions, out, judge)[:2] == first
    assert [name for name, _ in judge.asked] == ["s0", "s1", "s2", "s3"]


def test_a_changed_answer_is_graded_again_and_so_is_a_named_learner(
    submissions: list[Submission], out: Path
) -> None:
    judge = Judge()
    graded(submissions, out, judge)
    assert submissions[0].path
    submissions[0].path.write_text("x = 99")
    graded(submissions, out, judge, again=[NAMES[1]])
    assert [name for name, _ in judge.asked[4:]] == ["s0", "s1"]


def test_what_could_not_be_decided_is_tried_again(submissions: list[Submission], out: Path) -> None:
    judge = Judge({"s0": Outcome.COULD_NOT_CHECK, "s1": Outcome.CANNOT_TELL})
    grades = graded(submissions, out, judge)
    assert [grade.status for grade in grades[:3]] == [
        Status.COULD_NOT_CHECK,
        Status.CANNOT_TELL,
        Status.GRADED,
    ]
    assert grades[0].points is grades[1].points is grades[4].points is None
    judge.outcomes.clear()
    assert [grade.points for grade in graded(submissions, out, judge)[:2]] == [10, 10]


def test_a_damaged_result_is_graded_anew(submissions: list[Submission], out: Path) -> None:
    judge = Judge()
    graded(submissions, out, judge)
    for path in (out / "results").glob("*.json"):
        path.write_text("{")
    graded(submissions, out, judge)
    assert len(judge.asked) == 2 * len(NAMES)


def test_a_kept_grade_has_the_note_of_today(submissions: list[Submission], out: Path) -> None:
    judge = Judge()
    graded(submissions, out, judge)
    late = [replace(each, note="Handed in late.") for each in submissions]
    assert {grade.note for grade in graded(late, out, judge)} == {"Handed in late."}
    assert {grade.note for grade in graded(submissions, out, judge)} == {""}
    assert len(judge.asked) == len(NAMES)


def test_a_file_that_cannot_be_read_is_its_own_remark(
    submissions: list[Submission], out: Path
) -> None:
    def judge(path: Path, exercise: str, seed: int) -> Scorecard:
        path.read_bytes()
        return Judge()(path, exercise, seed)

    assert submissions[1].path
    submissions[1].path.unlink()
    grades = list(grade_class(submissions, Ledger(out), judge, seed=1))
    assert [grade.points for grade in grades] == [10, None, 10, 10, None]
    assert "FileNotFoundError" in grades[1].problem


class FakeCluster:
    """Stands for ``distributed``: each order is carried out at once, in this process."""

    status = "finished"
    as_completed = list

    def __init__(self, *order: Any, **_options: object) -> None:
        self.order = order

    Client = submit = classmethod(lambda cls, *order, **_options: cls(*order))

    def result(self) -> dict[str, Any]:
        _, name, _content, exercise, seed = self.order
        return Judge()(Path(name), exercise, seed).to_dict()

    def __enter__(self) -> "FakeCluster":
        return self

    def __exit__(self, *_details: object) -> None:
        pass


def test_nor_does_it_end_the_grading_on_a_cluster(
    submissions: list[Submission], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_distributed", FakeCluster)
    assert submissions[1].path
    submissions[1].path.unlink()
    grades = cluster.grade_on_cluster("tcp://x:1", submissions, Ledger(out), seed=1)
    points = {grade.learner: grade.points for grade in grades}
    assert points == {**dict.fromkeys(NAMES, 10), NAMES[1]: None, "Nobody": None}


class Mortal:
    """Stands for the engine: raises as a driver does where the services are dead."""

    def __init__(self, services: Callable[[], "FakeServices"], **_options: object) -> None:
        self.services = services

    def check(self, exercise: str, path: Path, seed: int) -> Scorecard:
        services = self.services()
        if path.stem in services.killers:
            services.alive = False
        if not services.alive:
            raise ConnectionRefusedError("the server is gone")
        return Judge()(path, exercise, seed)

    def close(self) -> None:
        pass


class FakeServices:
    """Servers that an answer can kill."""

    started: int = 0
    killers: tuple[str, ...] = ()

    def __init__(self, **_options: object) -> None:
        self.alive = True
        FakeServices.started += 1

    def stop(self) -> None:
        self.alive = False


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Judging]:
    monkeypatch.setattr(FakeServices, "started", 0)
    monkeypatch.setattr(FakeServices, "killers", ())
    monkeypatch.setattr(grading, "Checker", Mortal)
    monkeypatch.setattr(grading, "start_services", FakeServices)
    monkeypatch.setattr(grading, "load_exercise", str)
    with Judging() as made:
        yield made


def test_services_that_died_between_two_answers_cost_nobody_a_grade(
    judging: Judging, submissions: list[Submission], out: Path
) -> None:
    grades = grade_class(submissions, Ledger(out), judging, seed=1)
    assert next(grades).status is Status.GRADED
    judging._running().stop()
    assert [grade.status for grade in grades][:3] == [Status.GRADED] * 3
    assert FakeServices.started == 2


def test_an_answer_that_kills_the_services_is_its_own_remark(
    judging: Judging,
    submissions: list[Submission],
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeServices, "killers", ("s1",))
    grades = list(grade_class(submissions, Ledger(out), judging, seed=1))
    assert [grade.points for grade in grades] == [10, None, 10, 10, None]
    assert "the server is gone" in grades[1].problem
    assert FakeServices.started == 3


def test_a_second_try_that_breaks_costs_no_scorecard_of_the_first(
    judging: Judging,
    submissions: list[Submission],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = iter([Judge({"s0": Outcome.CANNOT_TELL}), None])

    def check(_self: Mortal, exercise: str, path: Path, seed: int) -> Scorecard:
        if (judge := next(tries)) is None:
            raise ConnectionRefusedError("the server is gone")
        return judge(path, exercise, seed)

    monkeypatch.setattr(Mortal, "check", check)
    assert submissions[0].path
    assert judging(submissions[0].path, "04_x", 1).outcome is Outcome.CANNOT_TELL


def test_each_learner_gets_requests_of_their_own_and_the_same_ones_again(
    submissions: list[Submission],
) -> None:
    seeds = [seed_of(each, 1) for each in submissions]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [seed_of(each, 1) for each in submissions]
    assert seeds != [seed_of(each, 2) for each in submissions]


def test_the_table_has_a_row_each_no_formula_and_no_zero_that_is_ours(
    submissions: list[Submission], out: Path
) -> None:
    judge = Judge({"s3": Outcome.FAILED})
    write_class(ClassReport(tuple(graded(submissions, out, judge))), out)
    with (out / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["learner"] for row in rows] == ["Ada", "'=SUM(A1)", NAMES[2], "Zoë <b>", "Nobody"]
    assert [row["points"] for row in rows] == ["10", "10", "10", "0", ""]
    assert rows[3]["remark"] == "It is slow."
    assert rows[4]["status"] == "could not check"
    grades = json.loads((out / "grades.json").read_text(encoding="utf-8"))["grades"]
    assert [grade["learner"] for grade in grades] == [*NAMES, "Nobody"]


def test_pages_name_everybody_and_escape_what_learners_wrote(
    submissions: list[Submission], out: Path
) -> None:
    grades = graded(submissions, out, Judge({"s3": Outcome.FAILED}))
    index = write_class(ClassReport(tuple(grades)), out).read_text(encoding="utf-8")
    assert "Zoë &lt;b&gt;" in index
    assert "<b>1</b> It is slow." in index
    assert "Is it &lt;right&gt;?" in index
    for grade in grades:
        page = (out / "learners" / f"{grade.key}.html").read_text(encoding="utf-8")
        assert f"learners/{grade.key}.html" in index
        assert str(grade.status) in page


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", "a\n=1"])
def test_no_cell_is_a_formula_or_a_second_row(cell: str) -> None:
    assert harmless(cell)[0] not in "=+-@\t"
    assert "\n" not in harmless(cell)
