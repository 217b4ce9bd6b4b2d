"""Tables put what answers the question first; the rest is folded, and nothing is made up."""

import math
from dataclasses import replace

import numpy as np
import pytest

from course_app.load.swarm import EndpointStats, SwarmReport
from course_app.measure.comparison import Comparison, Variant
from course_app.measure.load_test import LoadTest
from course_app.measure.noise import NoiseReport
from course_app.measure.probes import Counts, Reading
from course_app.measure.result import a_second, html_table, text_table
from course_app.measure.statistics import Interval, enough_for

NOISE = NoiseReport(wall_seconds=4.0, cores=2, others_cores=0.1, server_wait_share=0.03)


def variant(name: str, ms: float, *, requests: int = 2000, **readings: float) -> Variant:
    """A side whose counts are given by name; each is a level and not per request."""
    p50 = ms * np.array([1.0, 1.01, 0.99, 1.0, 1.0, 1.0])
    counts = tuple(Reading(n.replace("_", " "), v, False) for n, v in readings.items())
    rounds = {"p50": p50, "throughput": 1e3 / p50, "cpu": 30 * p50}
    return Variant(name, rounds, np.full(requests, ms), Counts(100, counts))


def comparison(*variants: Variant) -> Comparison:
    return Comparison("GET /", 16, "p50", "windows", variants, NOISE, 0.1)


def labels(rows: list[tuple[str, ...]]) -> list[str]:
    return [row[0] for row in rows]


def two(**options: int) -> Comparison:
    slow = variant("connects", 50, sessions=1, rows=1, threads=9, max_requests_in_flight=25)
    fast = variant("pool", 5, sessions=0, rows=1, threads=10, max_requests_in_flight=16, **options)
    return comparison(slow, fast)


def test_speed_comes_first_then_the_counts_that_differ() -> None:
    assert labels(two().rows()) == [
        "times as fast (median latency)",
        "p50, ms",
        "requests/s",
        "server CPU, µs / request",
        "sessions",
        "max requests in flight",
    ]


@pytest.mark.parametrize(
    ("throughput", "said"),
    [(0.04, "0.04"), (3.21, "3.2"), (12.4, "12"), (4321, "4,321"), (0.0, "0"), (math.nan, "-")],
)
def test_slow_apps_have_requests_per_second_too(throughput: float, said: str) -> None:
    assert a_second(throughput) == said
    usual = variant("slow", 50)
    slow = replace(usual, rounds={**usual.rounds, "throughput": np.full(6, throughput)})
    cells = {row[0]: row[1:] for row in comparison(slow, slow).rows()}
    assert cells["requests/s"] == (said, said)


def test_a_load_test_of_a_slow_endpoint_has_requests_per_second() -> None:
    reports = [
        SwarmReport(seconds, 2, (EndpointStats("GET /", requests, 0, 900.0, 950.0),), 0.1, 1)
        for requests, seconds in ((0, 0.0), (6, 20.0))
    ]
    (row,) = LoadTest("slow", 2, tuple(reports)).rows()
    assert row[:4] == ("GET /", "6", "0", "0.3")


def test_what_is_alike_is_folded_and_counted_in_a_terminal() -> None:
    result = two()
    assert labels(result.more_rows()) == ["p99, ms", "rows", "threads"]
    assert "and 3 more" in str(result)
    assert "threads" not in str(result)
    shown = result._repr_html_()
    assert shown.index("<details>") < shown.index("threads") < shown.index("</details>")


def test_a_verdict_is_said_in_one_way() -> None:
    assert two().message.startswith("pool is 10 [")
    assert "] times as fast as connects (median latency, 16 at a time)" in two().message
    assert Interval(9.12, 8.5, 9.8).times == "9.1 [8.5, 9.8] times"


def test_more_requests_in_flight_than_clients_are_explained() -> None:
    notes = " ".join(two().notes())
    assert "connects: up to 25 requests in flight from 16 clients" in notes
    assert "pool: up to" not in notes


@pytest.mark.parametrize(
    ("percent", "requests", "enough"),
    [(90, 99, False), (90, 100, True), (99, 999, False), (99, 1000, True)],
)
def test_a_percentile_needs_requests_above_it(percent: float, requests: int, enough: bool) -> None:
    assert enough_for(percent, requests) is enough


def test_a_percentile_of_few_requests_is_not_shown() -> None:
    few = comparison(variant("a", 5, requests=128), variant("b", 5, requests=128))
    assert "p99, ms" not in labels(few.more_rows())
    mixed = comparison(variant("a", 5, requests=128), variant("b", 5))
    assert ("p99, ms", "too few requests", "5.00") in mixed.more_rows()


def test_a_table_of_many_sides_has_a_line_for_each() -> None:
    columns = ("", *(f"driver {number}" for number in range(8)))
    rows = [("one call, ms", *"12345678"), ("statements", *"11111333")]
    lines = text_table(columns, rows).splitlines()
    assert lines[0].split() == ["one", "call,", "ms", "statements"]
    assert lines[8].split() == ["driver", "7", "8", "3"]
    assert html_table("", columns, rows, ()).count("<tr>") == 9
    assert len(text_table(columns[:4], [row[:4] for row in rows]).splitlines()) == 3
