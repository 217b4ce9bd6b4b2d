"""The solution on a cache in memory: a fetch that hangs holds nobody for ever."""

from dataclasses import replace

import pytest

from course_app.exercises.in_memory_cache import exercise
from course_app.exercises.in_memory_cache.traffic import path_of
from course_app.grading import Checker, Evidence, Exam, hygiene
from course_app.services import Services


@hygiene(points=1)
def hanging_fetch_ends(exam: Exam) -> Evidence:
    """While the table is locked the answer is 503, and then the report."""
    path = path_of(101, 5)
    with exam.learner.workspace.locked("post_tags", 6):
        (refused,) = exam.ask(exam.learner, path)
    (well,) = exam.ask(exam.learner, path)
    assert (refused.status, well.status) == (503, 200)
    return Evidence("503, then 200", "the same")


@pytest.mark.slow
def test_a_fetch_that_hangs_ends(services: Services) -> None:
    with Checker(lambda: services) as checker:
        card = checker.check(replace(exercise, rubric=(hanging_fetch_ends,)), exercise.reference)
    assert card.passed, card
