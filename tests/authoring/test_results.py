"""results.json: one run's verdicts for programs, without names or paths."""

import getpass
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from test_report import display, lesson_run, verdict

from course_app.authoring.contents import Course
from course_app.authoring.report import make_report
from course_app.authoring.results import Results, read_results, results_of
from course_app.errors import CourseError
from course_app.measure.machine import MACHINE_MIME

CARD = {
    "cores": 2,
    "memory_gib": 23.49,
    "system": "Linux x86_64",
    "python": "3.12.1",
    "fastapi": "1",
    "uvicorn": "1",
    "postgres": "18",
    "valkey": "9",
    "noise": "calm",
    "others_cores": 0.0,
}


def results(course: Course, claim: str = "1", number: int = 0, **card: Any) -> Results:
    shown = {MACHINE_MIME: {**CARD, **card}}
    run = lesson_run(course, display(shown), display(verdict(claim)), number=number)
    found = results_of(make_report(course, [run]))
    assert found is not None
    return found


def test_a_file_reads_back_what_was_written(course: Course, tmp_path: Path) -> None:
    written = results(course)
    assert read_results(written.save(tmp_path / "results.json")) == written
    (claim,) = written.claims
    assert (claim.estimate, claim.low, claim.high) == (9.12, 8.5, 9.8)
    assert [(c.text, c.held) for c in claim.conditions] == [("it is so", True)]


def test_a_file_may_begin_with_a_byte_order_mark(course: Course, tmp_path: Path) -> None:
    written = results(course)
    path = written.save(tmp_path / "results.json")
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert read_results(path) == written


def test_it_names_no_person_host_or_folder(course: Course, tmp_path: Path) -> None:
    text = results(course).save(tmp_path / "results.json").read_text()
    machine = json.loads(text)["machine"]
    assert not {"host", "node", "user", "name"} & set(machine)
    for name in (str(tmp_path), str(Path.home()), socket.gethostname(), getpass.getuser()):
        assert f'"{name}' not in text


def test_a_run_without_a_machine_card_has_no_results(course: Course) -> None:
    assert results_of(make_report(course, [lesson_run(course)])) is None


def test_an_unbounded_interval_is_left_out(course: Course) -> None:
    endless = verdict("1")
    (data,) = [value for value in endless.values() if isinstance(value, dict)]
    data["interval"] = [0.0, 1e200]
    run = lesson_run(course, display({MACHINE_MIME: CARD}), display(endless))
    found = results_of(make_report(course, [run]))
    assert found is not None
    assert found.claims[0].estimate is None


def test_kept_results_are_those_of_other_lessons(course: Course) -> None:
    earlier = results(course, "1", number=0)
    later = results(course, "T1", number=1)
    both = later.with_lessons_of(earlier)
    assert [lesson.slug for lesson in both.lessons] == ["00_start_here", "01_pool"]
    assert [claim.id for claim in both.claims] == ["1", "T1"]
    again = results(course, "T1", number=0).with_lessons_of(both)
    assert sorted(claim.id for claim in again.claims) == ["T1", "T1"]


def test_results_of_another_machine_are_not_mixed_in(course: Course) -> None:
    with pytest.raises(CourseError, match="another machine"):
        results(course).with_lessons_of(results(course, python="3.13.0"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no json", "holds no results"),
        ("{}", "holds no results"),
        ('{"version": 2}', "holds no results"),
        ("x" * 2_000_001, "too large"),
    ],
)
def test_foreign_files_are_refused_in_a_sentence(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "ada.json"
    path.write_text(text)
    with pytest.raises(CourseError, match=reason):
        read_results(path)
