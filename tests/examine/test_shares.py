"""Shares and counts with their intervals, and whose they are where several routes are asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from windows import ROUTE, look, together

from course_app.examine.causes.bytes_made import _sampled
from course_app.examine.causes.connections import connection_per_request
from course_app.examine.causes.overload import after_answers, fails_under_load
from course_app.examine.chart import Asked, Chart
from course_app.examine.seen import Look, of_requests, of_ticks, ratio
from course_app.load import Request

RARE = "GET /rare"


def test_a_share_of_requests_has_wilsons_limits() -> None:
    part = of_requests(0.5, 100)
    assert (part.low, part.high) == pytest.approx((0.375, 0.625), abs=0.002)
    assert of_requests(1.0, 40).low == pytest.approx(0.858, abs=0.002)
    assert (of_requests(0.3, 0).low, of_requests(0.3, 0).high) == (0.0, 1.0)


def test_ticks_within_one_request_count_once() -> None:
    """Work of 20 ms of which each request does all or nothing, looked at every millisecond."""
    window, random = look(1, millis=20, requests=60, cpu=1.0), np.random.default_rng(3)
    levels = random.binomial(60, 0.4, size=400) / 60
    limits = [of_ticks(float(level), 1200, window) for level in levels]
    assert np.mean([each.low <= 0.4 <= each.high for each in limits]) > 0.97


def test_few_ticks_in_many_requests_stand_for_themselves() -> None:
    window = look(1, millis=1, requests=900, cpu=1.0)
    assert of_ticks(0.5, 100, window) == of_requests(0.5, 100)


def test_a_ratio_of_sums_has_the_ratio_of_all_for_its_middle() -> None:
    """Two bursts hold nearly all of the time, and only a few of the requests."""
    pairs = [(0.0, 0.01)] * 400
    pairs[100:110] = pairs[300:310] = [(1.0, 1.0)] * 10
    part = ratio(pairs)
    assert part.estimate == pytest.approx(20 / (20 + 380 * 0.01))
    assert 0 < part.low < part.estimate < part.high <= 1
    even = ratio([(0.3, 1.0)] * 80)
    assert (even.low, even.high) == pytest.approx((0.3, 0.3))
    assert (ratio(pairs[:3]).low, ratio(pairs[:3]).high) == (0.0, 1.0)


def test_the_jackknife_holds_the_truth() -> None:
    random = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        bottoms = random.exponential(1.0, 160)
        tops = bottoms * random.uniform(0.2, 0.6, 160)
        part = ratio(list(zip(tops, bottoms, strict=True)))
        held += part.low <= 0.4 <= part.high
    assert held / 300 > 0.96


def asked_of(route: str, alone: Look) -> Asked:
    return Asked(Request(*route.split()), route, route, alone)


def unevenly_asked() -> tuple[Chart, Asked, Asked]:
    """Of 200 requests 10 are for the route that opens a connection for each."""
    rare = look(1, millis=8, requests=60, cpu=0.3, connect=6, route=RARE)
    usual = look(1, millis=1, requests=60, cpu=0.1)
    crowd = together(
        look(8, millis=4, requests=190, cpu=0.4),
        look(8, millis=40, requests=10, cpu=0.1, connect=6, route=RARE),
    )
    first, second = asked_of(ROUTE, usual), asked_of(RARE, rare)
    return Chart(asked=[first, second], crowds=[crowd]), first, second


def test_a_servers_count_is_divided_by_how_often_a_route_was_asked() -> None:
    chart, usual, rare = unevenly_asked()
    assert chart.part_of(rare) == pytest.approx(0.05)
    assert chart.per_request(0.5, rare, lambda a: 10.0 * (a is rare)) == pytest.approx(10)
    both = [chart.per_request(1.45, each, lambda a: 10.0 if a is rare else 1.0) for each in
            (rare, usual)]  # fmt: skip
    assert both == pytest.approx([10, 1])
    assert Chart(asked=chart.asked).per_request(1.0, rare, lambda _: 1.0) is None


def test_connections_of_a_rare_route_are_its_own() -> None:
    chart, _, _ = unevenly_asked()
    chart.sessions = 0.05
    (found,) = connection_per_request(chart)
    (count,) = [each for each in found.evidence if each.look == "the server's own count"]
    assert count.says == "The server counted 1.0 new connections for each request."
    assert count.agrees


def test_the_same_route_twice_is_two_routes() -> None:
    alone = look(1, millis=8, requests=60, cpu=0.3, connect=6)
    both = [asked_of(ROUTE, alone), asked_of(ROUTE, alone)]
    crowd = look(8, millis=8, requests=60, cpu=0.3)
    chart = Chart(asked=both, crowds=[crowd])
    assert len(chart.latencies(crowd, both[0])) == 60
    assert len(chart.latencies(crowd, both[1])) == 0
    assert chart.per_request(1.0, both[1], lambda _: 1.0) == pytest.approx(1.0)


def failing(look: Look, route: str, times: int, *, late: bool = False) -> None:
    """That many visits to a route end with an exception, in place of an answer or after one."""
    for visit in [each for each in look.raw["visits"] if each[0] == route][:times]:
        visit[4] = 200 if late else 500
        visit[9] = ["ValueError: no", -1, late]


def crowd_of(look: Look, wrong: list[int]) -> Look:
    """A window whose clients count so many wrong answers to each of its requests."""
    index = np.repeat(np.arange(len(wrong)), wrong)
    return Look(8, replace(look.load, error_count=len(index), failed_index=index), look.raw)


def test_wrong_answers_are_told_apart_by_route() -> None:
    """Also where clients do not count as the app does: one has no time-outs, the other no tasks."""
    chart, usual, rare = unevenly_asked()
    crowd = chart.crowds[0]
    failing(crowd, RARE, 6)
    failing(crowd, ROUTE, 3)
    wrong = crowd_of(crowd, [2, 7])
    chart.crowds = [wrong]
    assert [chart.wrong_answers(wrong, each) for each in (rare, usual)] == [7, 2]
    first = {each.route: each.evidence for each in fails_under_load(chart)}[RARE]
    assert first[0].says == "With 8 clients 7 answers were wrong; with one client 0 % [0, 10]."
    assert first[1].value is not None
    assert first[1].value.low < 0.6 < first[1].value.high < 1


def failing_alone_and_in_a_crowd(
    alone: tuple[int, int], crowd: tuple[int, int], *, late: bool = False
) -> Chart:
    """A route that fails in so many of so many requests of one client, and of eight."""
    looks = [look(1, millis=8, requests=alone[1] + 2, cpu=0.3)]
    looks.append(look(8, millis=8, requests=crowd[1], cpu=0.3))
    looks[0].raw["visits"].reverse()  # the first two visits are left out
    for each, times in zip(looks, (alone[0], crowd[0]), strict=True):
        failing(each, ROUTE, times, late=late)
    looks[0].raw["visits"].reverse()
    return Chart(asked=[asked_of(ROUTE, looks[0])], crowds=[crowd_of(looks[1], [crowd[0]])])


@pytest.mark.parametrize(
    ("alone", "crowd", "confirmed"),
    [
        ((0, 200), (100, 400), [True]),
        ((10, 200), (20, 400), []),
        ((0, 30), (20, 400), [False]),
        ((1, 60), (22, 400), [False]),
        ((0, 4), (390, 400), [True]),
    ],
)
def test_a_crowds_failures_are_confirmed_where_one_client_has_surely_fewer(
    alone: tuple[int, int], crowd: tuple[int, int], confirmed: list[bool]
) -> None:
    found = fails_under_load(failing_alone_and_in_a_crowd(alone, crowd))
    assert [each.confirmed for each in found] == confirmed
    unsure = [each.evidence[0].says.endswith("], of too few to tell.") for each in found]
    assert unsure == [not each for each in confirmed]


def test_what_fails_after_its_answers_is_a_note_and_no_finding() -> None:
    chart = failing_alone_and_in_a_crowd((0, 30), (200, 400), late=True)
    assert fails_under_load(chart) == []
    assert after_answers(chart) == [
        "What GET /orders does after its answers was not looked at: in 200 of 432 requests it "
        "raised an exception (ValueError: no), which no client sees."
    ]
    assert after_answers(failing_alone_and_in_a_crowd((0, 30), (200, 400))) == []


def test_stacks_that_show_one_thing_only_have_an_interval_with_a_width() -> None:
    """What decides is as it was: the bars were set with ticks that stand for themselves."""
    window = look(1, millis=20, requests=50, cpu=1.0)
    window.raw.update(busy=[["", "compress", -1, -1, 1000]], threads=[])
    part, _, surely = _sampled(asked_of(ROUTE, window), "compress")
    assert part is not None
    assert 0.8 < part.low < part.estimate == surely == 1.0
