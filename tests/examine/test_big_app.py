"""An app of 10,000 lines and 80 routes: all of them are found, and examined in time."""

import threading
import time
from pathlib import Path

import pytest
from big_app import AREAS, LEAST_LINES, ROUTES_EACH, SLOW, write_big_app

from course_app.examine.findings import Cause
from course_app.examine.session import Wishes, learn, run
from course_app.examine.target import Target, parse_target

MOST_SECONDS = 600


@pytest.fixture
def target(tmp_path: Path) -> Target:
    assert write_big_app(tmp_path) >= LEAST_LINES
    return parse_target("big/main.py:app", tmp_path)


def test_every_route_is_found_with_values_that_it_answers(target: Target) -> None:
    told: list[float] = []
    traffic = learn(target, {}, Wishes(), lambda _, done: told.append(done)).traffic
    assert len(traffic.requests) == ROUTES_EACH * len(AREAS) == 80
    assert told == sorted(told)
    (note,) = traffic.notes
    assert "Not sent: POST /orders" in note


@pytest.mark.slow
@pytest.mark.timeout(1.2 * MOST_SECONDS)
def test_it_is_examined_in_ten_minutes_with_its_one_slow_handler(target: Target) -> None:
    left: list[float] = []
    began = time.monotonic()
    report, _ = run(target, {}, progress=lambda _what, _done, seconds: left.append(seconds))
    assert time.monotonic() - began < MOST_SECONDS
    assert len(report.routes) == 80
    assert left[-1] == 0
    assert (Cause.BLOCKED_LOOP, SLOW) in {(f.cause, f.route) for f in report.confirmed}


@pytest.mark.slow
@pytest.mark.timeout(MOST_SECONDS)
def test_it_can_be_stopped_with_what_is_known_by_then(target: Target) -> None:
    stop = threading.Event()

    def tell(what: str, _done: float, _left: float) -> None:
        if what.startswith("one client") and "/users" in what:
            stop.set()

    report, _ = run(target, {}, progress=tell, stop=stop)
    assert report.partial
    assert any("stopped" in note for note in report.not_looked_at)
