"""What the exercise on a shared cache writes before its race must not decide the race."""

from dataclasses import replace

import pytest

from course_app.exercises.redis_cache import exercise
from course_app.exercises.redis_cache.asking import TAGS
from course_app.exercises.redis_cache.rubric import fresh, shared
from course_app.grading import Evidence, Exam, hygiene
from course_app.grading.engine import Checker
from course_app.load import get, sequence
from course_app.services import Services


@hygiene(points=1)
def all_race_tags(exam: Exam) -> Evidence:
    """The summaries of all tags that the race may ask for are the reference's."""
    return exam.same_answers(get("/tags/{id}/summary", id=sequence(TAGS[0])), len(TAGS))


@pytest.mark.slow
def test_what_is_written_before_the_race_shows_in_no_answer_of_the_race(services: Services) -> None:
    rubric = (fresh, shared, all_race_tags)
    with Checker(lambda: services) as checker:
        card = checker.check(replace(exercise, rubric=rubric), exercise.reference)
    assert card.passed, card
