"""`course verify`: an exercise that judges wrongly, or is incomplete, is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import toy as squares

from course_app.grading import (
    Checker,
    Evidence,
    Exam,
    Exercise,
    Failure,
    Outcome,
    RightAnswer,
    WrongAnswer,
    contract,
)
from course_app.grading.failures import DifferentAnswer, TooLittleGain
from course_app.grading.proofs import defects, verify

#: Without the measurement of speed, which the engine's tests are about.
QUICK = replace(
    squares.exercise,
    rubric=(squares.same_squares, squares.refuses),
    wrong_answers=(
        WrongAnswer("no square", squares.create_wrong, DifferentAnswer),
        WrongAnswer("takes anything", squares.create_loose, squares.NoRefusal),
    ),
)


class WithoutHint(Failure):
    """Something is wrong."""


@contract(points=1)
def untitled(exam: Exam) -> Evidence:
    return exam.same_answers("/")


def test_a_sound_exercise_is_proved(processes: Checker) -> None:
    proofs = list(verify(processes, QUICK))
    assert [proof.problem for proof in proofs] == [""] * 4
    assert [proof.what.split()[0] for proof in proofs] == ["blank", "solution", "wrong", "wrong"]


def test_a_wrong_answer_must_fail_its_own_way(processes: Checker) -> None:
    mixed_up = (
        WrongAnswer("no square", squares.create_wrong, TooLittleGain),
        WrongAnswer("a right one", squares.create_reference, DifferentAnswer),
    )
    exercise = replace(QUICK, wrong_answers=mixed_up)
    problems = [proof.problem for proof in verify(processes, exercise)][2:]
    assert "DifferentAnswer" in problems[0]
    assert "passed" in problems[1]


def test_other_right_answers_must_get_full_points(processes: Checker) -> None:
    others = (
        RightAnswer("the same", squares.create_reference),
        RightAnswer("no square", squares.create_wrong),
    )
    exercise = replace(QUICK, right_answers=others)
    same, wrong = verify(processes, exercise, only="right answer")
    assert same.held
    assert "DifferentAnswer" in wrong.problem


def test_only_the_named_proofs_are_tried(processes: Checker) -> None:
    (proof,) = verify(processes, QUICK, only="takes anything")
    assert proof.held
    assert "takes anything" in proof.what


def test_of_a_wrong_answer_nothing_is_measured_after_its_first_failure(
    processes: Checker,
) -> None:
    exercise = replace(QUICK, rubric=(squares.same_squares, squares.refuses, squares.refuses))
    (proof,) = verify(processes, exercise, only="takes anything")
    assert proof.card
    outcomes = [result.outcome for result in proof.card.results]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED, Outcome.NOT_RUN]


def test_a_blank_with_an_answer_in_it_is_found(processes: Checker, tmp_path: Path) -> None:
    leak = tmp_path / "blank.py"
    leak.write_text("from fastapi import FastAPI\ndef create_app():\n    return FastAPI()\n")
    proof = next(iter(verify(processes, QUICK, blank=leak)))
    assert "failed" in proof.problem


@pytest.mark.parametrize(
    ("exercise", "problem"),
    [
        (replace(QUICK, rubric=(untitled,)), "untitled has no docstring"),
        (replace(QUICK, rubric=(squares.refuses,)), "no contract criterion"),
        (replace(QUICK, rubric=(squares.same_squares, squares.refuses, squares.faster)), "order"),
        (replace(QUICK, wrong_answers=()), "no known wrong answers"),
        (replace(QUICK, hints=()), "no hints"),
        (
            replace(QUICK, wrong_answers=(WrongAnswer("x", squares.create_wrong, WithoutHint),)),
            "WithoutHint has no hint",
        ),
    ],
)
def test_incomplete_declarations_are_refused(exercise: Exercise, problem: str) -> None:
    assert any(problem in defect for defect in defects(exercise))


def test_a_complete_declaration_has_no_defects() -> None:
    assert defects(squares.exercise) == []
