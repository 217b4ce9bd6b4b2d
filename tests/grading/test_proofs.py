"""`course verify`: an exercise that judges wrongly, or is incomplete, is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import toy as squares

from course_app.grading import (
    Changed,
    Checker,
    Evidence,
    Exam,
    Exercise,
    Failure,
    Outcome,
    RightAnswer,
    WrongAnswer,
    contract,
    mechanism,
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


@pytest.mark.slow
def test_a_sound_exercise_is_proved(processes: Checker) -> None:
    proofs = list(verify(processes, QUICK))
    assert [proof.problem for proof in proofs] == [""] * 4
    assert [proof.what.split()[0] for proof in proofs] == ["blank", "solution", "wrong", "wrong"]


@pytest.mark.slow
def test_a_wrong_answer_must_fail_its_own_way(processes: Checker) -> None:
    mixed_up = (
        WrongAnswer("no square", squares.create_wrong, TooLittleGain),
        WrongAnswer("a right one", squares.create_reference, DifferentAnswer),
    )
    exercise = replace(QUICK, wrong_answers=mixed_up)
    problems = [proof.problem for proof in verify(processes, exercise)][2:]
    assert "DifferentAnswer" in problems[0]
    assert "passed" in problems[1]


def test_only_the_named_proofs_are_tried(processes: Checker) -> None:
    (proof,) = verify(processes, QUICK, only="takes anything")
    assert proof.held
    assert "takes anything" in proof.what


def test_what_was_given_gets_no_points(processes: Checker) -> None:
    @mechanism(points=1)
    def never(_exam: Exam) -> Evidence:
        """It does more."""
        raise squares.NoRefusal("no", "yes")

    loose = replace(QUICK.wrong_answers[1], points=0)
    rubric, given = (squares.same_squares, never), (squares.same_squares,)
    exercise = replace(QUICK, rubric=rubric, given=given, wrong_answers=(loose,))
    *_, proof = verify(processes, exercise, only=loose.name)
    assert proof.held
    assert proof.card
    assert "as the given app does" in proof.card.results[0].observed
    *_, other = verify(processes, replace(exercise, given=()), only=loose.name)
    assert other.card
    assert other.problem == f"it gets {other.card.points:g} points, not 0"


@pytest.mark.slow
def test_a_wrong_answer_is_judged_to_the_end(processes: Checker) -> None:
    exercise = replace(QUICK, rubric=(squares.same_squares, squares.refuses, squares.refuses))
    (proof,) = verify(processes, exercise, only="takes anything")
    assert proof.card
    outcomes = [result.outcome for result in proof.card.results]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED, Outcome.FAILED]


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
        (replace(QUICK, given=(squares.faster,)), "faster is given, but not in the rubric"),
        (replace(QUICK, given=(squares.same_squares,)), "shows that what was given gets no points"),
        (replace(QUICK, wrong_answers=QUICK.wrong_answers[:1] * 2), "called the same"),
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


@pytest.mark.slow
def test_other_right_answers_must_get_full_points(processes: Checker) -> None:
    right = (
        RightAnswer("the same", squares.create_reference),
        RightAnswer("loose", squares.create_loose),
    )
    exercise = replace(QUICK, right_answers=right)
    same, loose = verify(processes, exercise, only="right answer")
    assert same.held
    assert "NoRefusal" in loose.problem


@pytest.mark.slow
def test_an_answer_that_could_not_be_checked_is_refused(processes: Checker) -> None:
    @contract(points=1)
    def broken(_exam: Exam) -> Evidence:
        """It breaks, whatever is handed in."""
        raise LookupError("of the author")

    exercise = replace(QUICK, rubric=(*QUICK.rubric, broken))
    *_, proof = verify(processes, exercise, only="no square")
    assert "broken could not be checked" in proof.problem


def test_a_changed_file_is_handed_in_with_each_old_text_found_once(tmp_path: Path) -> None:
    path = tmp_path / "answer.py"
    path.write_text("a = 1\nb = 1\n")
    assert Changed(path, [("a = 1", "a = 2")]).text() == "a = 2\nb = 1\n"
    for old, times in (("= 1", 2), ("c = 1", 0)):
        with pytest.raises(ValueError, match=f"this {times} times"):
            Changed(path, [(old, "")]).text()
