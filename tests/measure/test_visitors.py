"""What visitors were served: counted by hand in made-up records, and seen with a real server."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from course_app.load import Visits
from course_app.load.visits import LOST, UNSENT
from course_app.measure.noise import NoiseReport
from course_app.measure.visitors import Door, Visitors


def crowd(rows: list[tuple[int, int, float, float, int]], limit_ms: float = 100.0) -> Visitors:
    """From (visitor, attempt, due, end, status) in seconds, two seconds long."""
    visitor, attempt, due, end, status = (np.array(column) for column in zip(*rows, strict=True))
    due_ns, end_ns = (due * 1e9).astype(np.int64), (end * 1e9).astype(np.int64)
    visits = Visits(
        visitor, attempt, due_ns, due_ns, end_ns, status, status == 200, 0, 2.0, (), 0.1
    )
    noise = NoiseReport(2.0, 2.0, 0.0, 0.0)
    return Visitors("app", "GET /", [(1.0, 2.0), (1.0, 1.0)], limit_ms, visits, noise)


EVENTS = crowd(
    [
        (0, 0, 0.0, 0.05, 200),  # in time
        (1, 0, 0.5, 0.6, 0),  # hung up, then served in time
        (1, 1, 0.65, 0.70, 200),
        (2, 0, 1.0, 1.3, 200),  # too late
        (3, 0, 1.5, 1.6, 503),
        (4, 0, 1.6, 1.7, 0),
    ]
)


def test_an_answer_is_good_if_it_comes_in_time_whichever_attempt_it_is() -> None:
    assert EVENTS.served_in_time.tolist() == [True, False, True, False, False, False]
    assert EVENTS.visits.visitors == 5
    assert EVENTS.good_between(0.0, 1.0) == 2
    assert EVENTS.arrived_between(1.0, 2.0) == 3


def test_each_visitor_has_one_fate() -> None:
    counts = {what: share for what, share, _ in EVENTS.rows()}
    assert counts == {
        "answered in time": "40%",
        "answered too late": "20%",
        "turned away with 503": "20%",
        "hung up": "20%",
        "attempts": "120%",
    }
    assert "of 5 visitors 2 had their answer within 100 ms" in EVENTS.message


def test_a_wrong_answer_is_not_a_late_one_nor_a_lost_connection_impatience() -> None:
    events = crowd(
        [
            (0, 0, 0.0, 0.01, 500),  # wrong at once
            (1, 0, 0.1, 0.11, 500),  # wrong, then right but late
            (1, 1, 0.2, 0.5, 200),
            (2, 0, 0.6, 0.61, 404),
            (3, 0, 0.7, 0.71, LOST),
            (4, 0, 0.8, 0.8, UNSENT),
        ]
    )
    assert events.fates == {
        "answered too late": 1,
        "connection lost or refused": 1,
        "not sent: no connection left": 1,
        "answered wrongly, with 404": 1,
        "answered wrongly, with 500": 1,
    }


def test_over_time_counts_per_second() -> None:
    series = EVENTS.over_time(0.5)
    assert series["visitors"][1].tolist() == [2, 2, 2, 4]
    assert series["good answers"][1].tolist() == [2, 2, 0, 0]
    assert series["attempts"][1].tolist() == [2, 4, 2, 4]


def test_a_steady_rate_has_a_narrow_interval() -> None:
    arrivals = np.arange(0, 2, 0.005) + 0.001
    steady = crowd([(i, 0, at, at + 0.01, 200) for i, at in enumerate(arrivals)])
    assert steady.goodput.estimate == pytest.approx(200, rel=0.03)
    assert steady.goodput.above(180)
    assert steady.goodput.below(220)


def test_counts_that_are_all_alike_know_no_better_than_by_one_visitor() -> None:
    arrivals = np.arange(0, 2, 0.01) + 0.001
    alike = crowd([(i, 0, at, at + 0.005, 200) for i, at in enumerate(arrivals)])
    assert alike.goodput.low < 100 < alike.goodput.high
    late = crowd([(i, 0, at, at + 0.5, 200) for i, at in enumerate(arrivals)])
    assert late.goodput.estimate == 0
    assert 0 == late.goodput.low < late.goodput.high < 5
    assert late.goodput.high > 3


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.2, 0.3])
def test_a_load_that_is_over_at_once_is_counted(seconds: float) -> None:
    arrivals = np.arange(0, seconds, 0.001)
    short = crowd([(i, 0, at, at, 200) for i, at in enumerate(arrivals)])
    goodput = replace(short, phases=[(seconds, 1000.0)]).goodput
    assert goodput.estimate == pytest.approx(1000, rel=0.1)
    assert goodput.low < 1000 < goodput.high


@pytest.mark.parametrize("moments", [{1.0: 4}, {0.65: 40, 0.75: 1}, {0.65: 44, 0.75: 44, 0.85: 1}])
def test_a_few_answers_in_some_moments_are_counted(moments: dict[float, int]) -> None:
    good = [(0, at, at + 0.01) for at, count in moments.items() for _ in range(count)]
    late = [(0, at, at + 0.5) for at in np.arange(0, 2, 0.01)]
    goodput = crowd([(i, *visit, 200) for i, visit in enumerate(good + late)]).goodput
    assert goodput.estimate == pytest.approx(sum(moments.values()) / 1.4)
    assert 0 < goodput.low < goodput.estimate < goodput.high


def test_behind_a_closed_door_nothing_reaches_the_app() -> None:
    seen: list[str] = []

    async def app(scope: dict[str, str], _receive: object, _send: object) -> None:
        seen.append(scope["type"])

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    sent: list[dict[str, object]] = []
    door = Door(app)
    asyncio.run(door({"type": "http"}, None, send))  # type: ignore[arg-type]
    door.closed = True
    asyncio.run(door({"type": "http"}, None, send))  # type: ignore[arg-type]
    asyncio.run(door({"type": "lifespan"}, None, send))  # type: ignore[arg-type]
    assert (seen, door.entered) == (["http", "lifespan"], 1)
    assert sent[0]["status"] == 503
