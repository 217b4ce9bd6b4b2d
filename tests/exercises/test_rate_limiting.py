"""Exercise 11 judges by what is certain, and its three workers are three."""

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from course_app.exercises.rate_limiting import exercise, rubric
from course_app.exercises.rate_limiting.baseline import LIMIT, WINDOW_SECONDS
from course_app.exercises.rate_limiting.ledger import (
    Decision,
    most_passed,
    most_sent,
    wait_bounds,
    wrongly_refused,
)
from course_app.exercises.rate_limiting.reference import create_app
from course_app.exercises.rate_limiting.wrong_answers import right_in_memory
from course_app.grading import Checker
from course_app.services import Services

WORKERS_ONLY = replace(exercise, rubric=(rubric.three_workers,))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(False, id="thread"),
        pytest.param(True, id="process", marks=pytest.mark.slow),
    ],
)
def door(request: pytest.FixtureRequest, services: Services) -> Iterator[Checker]:
    with Checker(lambda: services, isolated=request.param) as checker:
        yield checker


def passed(*times: float, took: float = 0.0) -> list[Decision]:
    return [Decision(time, time + took, True) for time in times]


def refused(time: float, took: float = 0.0) -> Decision:
    return Decision(time, time + took, False)


def test_requests_within_a_window_are_counted_wherever_it_begins() -> None:
    made = passed(1.9, 2.0, 3.8)
    assert most_passed(made, window_seconds=2.0) == 3
    assert most_passed(made, window_seconds=1.5) == 2
    assert most_passed([], window_seconds=2.0) == 0


def test_a_request_that_may_have_passed_later_does_not_count() -> None:
    assert most_passed(passed(0.0, 1.5, took=1.0), window_seconds=2.0) == 1


def test_refused_requests_are_evidence_too() -> None:
    assert most_sent([*passed(0.0, 1.0), refused(1.5), refused(4.0)], window_seconds=2.0) == 3


def test_a_refusal_is_wrong_if_too_few_had_passed_before() -> None:
    made = [*passed(0.0, 1.0), refused(1.5), refused(2.5)]
    assert wrongly_refused(made, limit=2, window_seconds=2.0) == [refused(2.5)]


def test_a_refusal_is_not_wrong_if_others_were_under_way() -> None:
    made = [*passed(0.0, took=0.6), refused(2.5), *passed(2.4, took=0.2)]
    assert wrongly_refused(made, limit=2, window_seconds=2.0) == []


def test_the_wait_is_that_of_the_request_which_is_as_far_back_as_the_limit() -> None:
    made = passed(0.0, 1.0, 1.2)
    least, most = wait_bounds(made, refused(1.5), limit=2, window_seconds=2.0) or (0.0, 0.0)
    assert least < 1.5 < most
    assert most - least < 0.1
    assert wait_bounds(made, refused(1.5), limit=4, window_seconds=2.0) is None


def test_slow_answers_make_the_bounds_of_a_wait_wider() -> None:
    made = passed(0.0, took=0.5)
    least, most = wait_bounds(made, refused(1.0, took=0.5), limit=1, window_seconds=2.0) or (0, 0)
    assert least < 0.5
    assert most > 1.5


async def passed_of_a_crowd(app: FastAPI, requests: int) -> int:
    """How many requests of one client pass that come at the same moment."""
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://prices", headers={"X-API-Key": "me"}
    )
    async with app.router.lifespan_context(app), client:
        answers = await asyncio.gather(*(client.get("/prices") for _ in range(requests)))
    return [answer.status_code for answer in answers].count(200)


def test_a_crowd_that_needs_more_connections_than_there_are_does_not_pass(
    services: Services,
) -> None:
    began = time.monotonic()
    passed = asyncio.run(passed_of_a_crowd(create_app(services.new_valkey_database()), 300))
    windows = 1 + (time.monotonic() - began) // WINDOW_SECONDS
    assert LIMIT <= passed <= LIMIT * windows


def test_without_an_answer_of_valkey_everybody_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        assert asyncio.run(passed_of_a_crowd(create_app(url), 2)) == 2
    assert asyncio.run(passed_of_a_crowd(create_app(url), 2)) == 2


def test_workers_share_services_and_no_memory(door: Checker) -> None:
    assert door.check(WORKERS_ONLY, create_app).passed
    card = door.check(WORKERS_ONLY, right_in_memory)
    assert not card.open_points, card
    assert [result.failure for result in card.failures()] == ["CountsPerWorker"]
