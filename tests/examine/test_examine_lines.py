"""Who stands in line for what: the threads of a pool, in windows that nobody measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from windows import ROUTE, look

from course_app.examine.causes import loop
from course_app.examine.causes.loop import blocked_loop, threads_exhausted
from course_app.examine.causes.waiting import lock_contention
from course_app.examine.chart import Asked, Chart
from course_app.examine.findings import Finding
from course_app.examine.seen import Look
from course_app.load import Request

PLACES = [
    {"file": "shop.py", "line": n, "function": "read", "first": 1, "code": ""} for n in (2, 3)
]
ANYIO = {"full": 150, "waiting": 3000, "total": 40}
ASYNCIO = {**ANYIO, "full": 0, "executor full": 160, "executor waiting": 6400, "executor total": 8}


def window(clients: int, shares: dict[str, float], **raw: Any) -> Look:
    """120 requests, each looked at 20 times, in states that come as often as is said."""
    seen, random = look(clients, millis=100, requests=120, cpu=0.1), np.random.default_rng(2)
    seen.raw.update(ticks=200, began=0.0, tokens={}, threads=[], busy=[], held=[], lags=[])
    seen.raw.update(in_flight=1, looked_at=1, places=PLACES, states=[[k, [0]] for k in shares])
    for visit in seen.raw["visits"]:
        states = random.choice(len(shares), 20, p=list(shares.values()))
        visit[5] = [[visit[2] + 0.005 * n, int(state)] for n, state in enumerate(states)]
    seen.raw.update(raw)
    return seen


def found(find: Any, crowd: Look, alone: Look | None = None) -> list[Finding]:
    one = alone or window(1, {"sleep": 1.0})
    asked = Asked(Request("GET", "/orders"), ROUTE, ROUTE, one)
    given: list[Finding] = find(Chart(asked=[asked], crowds=[crowd]))
    return given


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "usable_cores", lambda: 2)


@pytest.mark.parametrize(
    ("tokens", "shares", "threads", "part"),
    [
        (ANYIO, {"token": 0.8, "thread": 0.2}, 40, 0.8),
        (ASYNCIO, {"thread": 1.0}, 8, 32 / (32 + 8)),
    ],
    ids=["anyio", "asyncio"],
)
def test_a_line_for_a_thread_is_found_with_a_measured_interval(
    tokens: dict[str, int], shares: dict[str, float], threads: int, part: float
) -> None:
    crowd = window(64, shares, tokens=tokens, threads=[["user", 0, 1, 500]])
    (finding,) = found(threads_exhausted, crowd)
    wait, own, _ = finding.evidence
    assert finding.confirmed
    assert own.says.startswith(f"All {threads} threads were taken ")
    assert wait.value is not None
    assert wait.value.low < part < wait.value.high
    assert wait.value.high - wait.value.low < 0.3
    assert wait.value.estimate == pytest.approx(part, abs=0.03)


def test_threads_that_are_free_are_no_finding() -> None:
    free = window(64, {"thread": 0.2, "sleep": 0.8}, tokens={"total": 40}, threads=[])
    assert found(threads_exhausted, free) == []


def test_threads_that_always_wait_for_a_lock_have_an_interval_with_a_width() -> None:
    crowd = window(64, {"thread": 1.0}, threads=[["lock", 0, 1, 900]])
    (finding,) = found(lock_contention, crowd)
    value = finding.evidence[0].value
    assert value is not None
    assert (value.estimate, value.high) == (1.0, 1.0)
    assert 0.9 < value.low < 1.0


def test_a_loop_that_a_crowd_holds_all_the_time_has_an_interval_with_a_width() -> None:
    alone = window(1, {"sleep": 1.0}, held=[["", "user", 0, 1, 3.0]])
    crowd = window(64, {"sleep": 1.0}, held=[["", "user", 0, 1, 1.0]])
    (finding,) = found(blocked_loop, crowd, alone)
    value = finding.evidence[-1].value
    assert value is not None
    assert 0.9 < value.low < value.estimate == 1.0
