"""What mending can gain at most: with one client, and among many who are in each other's way."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from windows import ROUTE, look, together

from course_app.examine.causes.connections import _taken as connecting
from course_app.examine.causes.connections import _taken_at_most as connecting_at_most
from course_app.examine.chart import Asked, Chart, freed, relieved
from course_app.examine.findings import Bound
from course_app.examine.seen import (
    Call,
    Connect,
    Look,
    Span,
    Visit,
    covered,
    cpu_of,
    larger,
    seconds_of,
)
from course_app.load import Request


def chart_of(alone: Look, *crowds: Look) -> tuple[Chart, Asked]:
    asked = Asked(Request("GET", "/orders"), ROUTE, ROUTE, alone)
    return Chart(asked=[asked], crowds=list(crowds)), asked


def without_compression(alone: Look, crowd: Look) -> Bound:
    """What a route gains at most that spends half of its time on it when it is alone."""
    chart, asked = chart_of(alone, crowd)
    half = Bound(estimate=0.5, low=0.49, high=0.51)
    return freed(chart, asked, half, lambda visit: visit.work["compress"])


def test_one_client_gains_by_amdahls_law() -> None:
    alone = look(1, millis=8, requests=120, cpu=0.36, connect=6, connect_cpu=2)
    chart, asked = chart_of(alone)
    assert relieved(chart, asked, partial(connecting, "sql")).estimate == pytest.approx(4, rel=0.01)


def test_a_crowd_that_waits_for_the_server_gains_until_the_loop_is_full() -> None:
    """The server makes 160 connections a second; the loop has time for 1000 requests without."""
    alone = look(1, millis=8, requests=120, cpu=0.36, connect=6, connect_cpu=2)
    crowd = look(64, millis=400, requests=160, cpu=0.48, connect=395)
    chart, asked = chart_of(alone, crowd)
    bound = relieved(chart, asked, partial(connecting, "sql"))
    assert bound.estimate == pytest.approx(1000 / 160, rel=0.02)


def test_a_crowd_gains_no_more_than_what_stays_of_a_request_takes_alone() -> None:
    alone = look(1, millis=100, requests=10, cpu=0.001, connect=50)
    crowd = look(8, millis=200, requests=40, cpu=0.004, connect=150)
    chart, asked = chart_of(alone, crowd)
    bound = relieved(chart, asked, partial(connecting, "sql"))
    assert bound.estimate == pytest.approx(200 / 50, rel=0.01)


def test_a_slow_route_beside_quick_ones_gains_more_than_the_loop_has_room_for_on_average() -> None:
    """Its own time is no measure of what the process works: most of its answers are others'."""
    alone = look(1, millis=50, requests=20, cpu=0.02, connect=45, connect_cpu=0.5)
    quick = look(1, millis=1, requests=900, cpu=0.9)
    crowd = together(
        look(16, millis=500, requests=30, cpu=0.03, connect=490),
        look(16, millis=20, requests=600, cpu=0.6),
    )
    slow = Asked(Request("GET", "/orders"), ROUTE, ROUTE, alone)
    others = Asked(Request("GET", "/ping"), "GET /ping", ROUTE, quick)
    chart = Chart(asked=[slow, others], crowds=[crowd])
    assert relieved(chart, slow, partial(connecting, "sql")).estimate > 15


def test_what_a_request_does_after_its_answer_may_be_the_next_ones() -> None:
    """The thread's clock goes on for both: its CPU is there once."""
    alone = look(1, millis=60, requests=120, cpu=0.84, connect=6, connect_cpu=6)
    for n, visit in enumerate(alone.raw["visits"]):
        stamps = visit[7][0][0]
        stamps[2:4] = [n * 3e-3, n * 3e-3 + 6e-3]
    crowd = look(64, millis=450, requests=142, cpu=1.0, connect=445)
    chart, asked = chart_of(alone, crowd)
    bound = relieved(chart, asked, partial(connecting, "sql"))
    assert bound.estimate == pytest.approx(1 / (1 - 3 / 7), rel=0.1)


def test_clocks_of_two_threads_have_nothing_to_do_with_each_other() -> None:
    spans = [Span(0, 2, 0, 1, thread) for thread in (1, 2)]
    assert cpu_of(spans) == pytest.approx(2)
    assert cpu_of([spans[0], spans[0]]) == pytest.approx(1)


def test_a_cause_of_two_routes_goes_from_both() -> None:
    """Half of the process's work is the other route's, and as much of it goes there."""
    alone = look(1, millis=8, requests=120, cpu=0.8, connect=6, connect_cpu=6)
    crowd = look(64, millis=450, requests=71, cpu=0.5, connect=445)
    both = [Asked(Request("GET", path), path, ROUTE, alone) for path in ("/orders", "/users")]
    chart = Chart(asked=both, crowds=[together(crowd, crowd)])
    bound = relieved(chart, both[0], partial(connecting, "sql"))
    assert bound.estimate == pytest.approx(10, rel=0.05)


def test_computing_that_one_client_hardly_feels_can_be_all_that_a_crowd_waits_for() -> None:
    alone = look(1, millis=10, requests=100, cpu=0.55, work=5)
    crowd = look(32, millis=178, requests=180, cpu=1.0, work=5)
    bound = without_compression(alone, crowd)
    assert bound.estimate == pytest.approx(10, rel=0.1)
    assert bound.low < 10 < bound.high


def test_what_all_routes_compute_in_one_middleware_goes_from_all() -> None:
    alone = look(1, millis=10, requests=100, cpu=0.55, work=5)
    crowd = look(32, millis=356, requests=90, cpu=0.5, work=5)
    others = look(32, millis=356, requests=90, cpu=0.5, work=5)
    for visit in others.raw["visits"]:
        visit[0] = "GET /another"
    bound = without_compression(alone, together(crowd, others))
    assert bound.estimate == pytest.approx(10, rel=0.1)


def test_computing_that_a_crowd_does_not_wait_for_gains_what_it_gains_alone() -> None:
    alone = look(1, millis=10, requests=100, cpu=0.55, work=5)
    crowd = look(32, millis=640, requests=50, cpu=0.3, work=5)
    bound = without_compression(alone, crowd)
    assert bound.estimate == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(("client", "expected"), [(True, 7 + 4 + 1), (False, 6 + 1)])
def test_a_first_statement_is_dearer_and_a_new_client_computes_before(
    client: bool, expected: int
) -> None:
    """A client that stays has nothing to compile again; what the user waits for never counts."""
    made = Connect(0, 1e-3, 0, 1e-3, 1, "sql", False, False, None)
    opened = Connect(1e-3, 7e-3, 1e-3, 2e-3, 1, "sql", True, True, None)
    statement = Call(20e-3, 21e-3, 6e-3, 6e-3, 1, "sql", "SELECT name FROM users", 0, 1, None, None)
    connects = [made, opened] if client else [opened]
    visit = Visit(ROUTE, "/orders", 0, 22e-3, 200, [], [statement], connects, {}, None)
    slow = replace(statement, end=60e-3)
    late = replace(visit, end=61e-3, calls=[slow])
    assert seconds_of(connecting_at_most("sql", late)) == pytest.approx((expected + 5) / 1e3)
    assert seconds_of(connecting_at_most("sql", visit)) == pytest.approx(expected / 1e3)
    assert seconds_of(connecting("sql", visit)) == pytest.approx((7 if client else 6) / 1e3)


def test_what_goes_on_at_the_same_time_counts_once() -> None:
    assert covered([(0, 2), (1, 3), (5, 6)]) == pytest.approx(4)
    assert covered([]) == 0


def test_of_several_gains_each_limit_is_the_largest() -> None:
    sure, vague = Bound(estimate=1.8, low=1.7, high=1.9), Bound(estimate=1.9, low=1.05, high=4)
    assert larger(sure, vague) == Bound(estimate=1.9, low=1.7, high=4)
