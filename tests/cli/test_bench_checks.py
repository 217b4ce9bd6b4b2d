"""The bench of checks counts what it must, on an exercise whose outcome is certain."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import course_app.exercises
from benchmarks import checks
from course_app.errors import CourseError

EXERCISE = '''\
from fastapi import FastAPI

from course_app.grading import Evidence, Exercise, WrongAnswer, contract, speed
from course_app.grading.failures import DifferentAnswer, TooLittleGain


@contract(points=5)
def says_hello(exam):
    """The answer is as before."""
    return exam.same_answers("/hello", 1)


@speed(points=5)
def is_fast(exam):
    """The app says that it is fast."""
    (answer,) = exam.ask(exam.learner, "/speed")
    if "{slow}" in answer.text:
        raise TooLittleGain(answer.text, "fast")
    return Evidence(answer.text, "fast")


def create_reference():
    return app("fast")


def create_slow():
    return app("slow")


def app(speed):
    made = FastAPI()
    made.get("/hello")(lambda: "hello")
    made.get("/speed")(lambda: speed)
    return made


exercise = Exercise(
    slug="97_hello",
    title="Say that you are fast",
    baseline=create_slow,
    reference=create_reference,
    rubric=(says_hello, is_fast),
    hints=("Say it.",),
    wrong_answers=(
        WrongAnswer("right but slow", create_slow, TooLittleGain),
        WrongAnswer("not judged by its speed", create_slow, DifferentAnswer),
    ),
)
'''


@pytest.fixture
def exercises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the only exercise there is; it fails apps that say the given word."""
    monkeypatch.setattr(course_app.exercises, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "course_app.exercises.hello", raising=False)

    def declare(slow: str) -> None:
        (tmp_path / "hello.py").write_text(EXERCISE.replace("{slow}", slow))
        importlib.invalidate_caches()

    return declare


@pytest.mark.slow
def test_just_checks_hold(exercises: Callable[[str], None]) -> None:
    exercises("slow")
    result = checks.run(2)
    assert list(result.requirements.values()) == [True, True]
    assert [row[:5] for row in result.rows] == [
        ("97: solution", "2", "0", "0", "0"),
        ("97: right but slow", "0", "0", "2", "0"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("fails", "unjust"), [("fast", "solution"), ("nobody", "right but slow")])
def test_an_unjust_outcome_fails_the_bench_and_says_why(
    exercises: Callable[[str], None], fails: str, unjust: str
) -> None:
    exercises(fails)
    result = checks.run(1)
    assert result.failed
    assert any(unjust in note and "seed" in note for note in result.notes)


@pytest.mark.usefixtures("exercises")
def test_without_exercises_the_bench_says_so() -> None:
    with pytest.raises(CourseError, match="no exercise to check yet"):
        checks.run(1)


def test_an_exercise_that_is_not_there_is_named(exercises: Callable[[str], None]) -> None:
    exercises("slow")
    with pytest.raises(CourseError, match=r"no exercise 42 to check. Choose from: 97"):
        checks.run(1, exercises=["97", "42"])


def test_the_checks_are_announced(exercises: Callable[[str], None]) -> None:
    exercises("slow")
    said: list[str] = []
    checks.run(1, exercises=["97"], progress=said.append)
    assert said == [
        "97_hello, solution: check 1 of 1",
        "97_hello, right but slow: check 1 of 1",
    ]
