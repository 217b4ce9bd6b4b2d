"""Exercise 05: the solution's cursors survive a URL, and right answers show posts of nobody."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from course_app.exercises.queries import exercise
from course_app.exercises.queries.pages import page
from course_app.exercises.queries.reference import cursor_of, place_of
from course_app.grading import Evidence, Exam, hygiene
from course_app.grading.engine import Checker
from course_app.services import Services

ANSWERS: dict[str, Any] = {"solution": exercise.reference} | {
    right.name: right.answer for right in exercise.right_answers if isinstance(right.answer, Path)
}
AUTHORS_GO = """
DELETE FROM users WHERE id IN
    (SELECT author_id FROM posts ORDER BY created_at DESC, id DESC LIMIT 3)
"""


@pytest.mark.parametrize("microsecond", [0, 137])
def test_a_cursor_stands_in_a_url_as_it_is(microsecond: int) -> None:
    post: Any = {"created_at": datetime(2031, 1, 2, 3, 4, 5, microsecond, UTC), "id": 7}
    (cursor,) = parse_qs(f"cursor={cursor_of(post)}")["cursor"]
    assert place_of(cursor) == (post["created_at"], post["id"])


@hygiene(points=1)
def shows_posts_of_nobody(exam: Exam) -> Evidence:
    """A page is as long as ever when authors of its posts are gone."""
    exam.write(AUTHORS_GO)
    posts, after = page(exam, exam.learner, 5)
    assert [post["author"] for post in posts[:3]] == [None] * 3
    assert len(posts) == 5
    assert after
    return Evidence("5 posts", "5 posts")


@pytest.mark.slow
def test_a_post_whose_author_is_gone_stays_on_its_page(services: Services) -> None:
    one = replace(exercise, rubric=(shows_posts_of_nobody,))
    with Checker(lambda: services, isolated=True) as checker:
        cards = {name: checker.check(one, answer) for name, answer in ANSWERS.items()}
    assert {name for name, card in cards.items() if not card.passed} == set()
