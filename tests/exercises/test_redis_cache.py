"""What the exercise on a shared cache writes before its race, and our answer's stamps."""

import asyncio
import math
from dataclasses import replace

import pytest
from fastapi import FastAPI

from course_app.exercises.redis_cache import exercise
from course_app.exercises.redis_cache.asking import TAGS
from course_app.exercises.redis_cache.failures import NotMeasured
from course_app.exercises.redis_cache.reference import Cache
from course_app.exercises.redis_cache.rubric import _require_measured, fresh, shared
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


class SlowValkey:
    """Keeps what is set; that takes long enough for others to come meanwhile."""

    def __init__(self) -> None:
        self.stamps: list[str] = []

    def pipeline(self, *, transaction: bool) -> "SlowValkey":
        assert not transaction
        return self

    def set(self, _key: str, value: str, *, ex: int) -> None:
        assert ex
        self.stamps.append(value)

    async def execute(self) -> list[bool]:
        await asyncio.sleep(0.01)
        return [True]

    async def mget(self, _keys: tuple[str, ...]) -> list[None]:
        return [None, None]


def test_a_stamp_is_never_sent_twice_so_a_late_one_makes_no_old_entry_count() -> None:
    app = FastAPI()
    app.state.valkey = valkey = SlowValkey()
    cache = Cache(app)

    async def a_write_and_two_reads() -> None:
        await asyncio.gather(cache.changed(tag_id=1), cache.find(1), cache.find(1))

    asyncio.run(a_write_and_two_reads())
    assert len(set(valkey.stamps)) == len(valkey.stamps) == 3
    assert not cache.unsettled_here


@pytest.mark.parametrize("hits", [math.nan, math.inf, 0.9])
def test_hits_that_nobody_counted_are_not_measured(hits: float) -> None:
    measured = {"hits_per_request": hits, "times_as_fast_without": [1.3, 1.5, 1.7]}
    with pytest.raises(NotMeasured):
        _require_measured(measured, 0.05)
    _require_measured({**measured, "hits_per_request": 0.1}, 0.05)
