"""What becomes of failures: whose they are, and when they came. Nothing is measured here."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from windows import look, together

from course_app.examine import engine
from course_app.examine.chart import Asked
from course_app.examine.engine import Examination
from course_app.examine.findings import Cause, Report
from course_app.examine.target import CannotExamine, Target
from course_app.examine.ward import Held, WardGone
from course_app.load import LoadResult, get
from course_app.load.limits import BadWorkload, GeneratorEnded, NobodyListens, OutOfBounds
from course_app.load.result import ErrorExample

TARGET = Target("shop.py:app", "shop", "shop.py", "app", ".", ())


class StandIn:
    """An app's process that lives on, until it is told otherwise."""

    running = True
    said = ""
    url = "http://127.0.0.1:1"

    def __init__(self, *_: Any, **__: Any) -> None:
        self.gone = False

    def ask(self, do: str, **_: Any) -> dict[str, Any]:
        if self.gone:
            raise WardGone("It is gone.")
        return {"memory": {"cpu": 0.0, "rss": 1}}[do]

    def held(self) -> Held:
        return Held(turns=not self.gone, place=None)

    def ends_within(self, _seconds: float) -> bool:
        return False

    def stop(self) -> None:
        """Nothing to end."""


@pytest.fixture
def examination(monkeypatch: pytest.MonkeyPatch) -> Examination:
    monkeypatch.setattr(engine, "Ward", StandIn)
    made = Examination(TARGET, [get("/me")], {}, lambda *_: None, threading.Event(), 60.0)
    made._ward = StandIn()  # type: ignore[assignment]
    return made


def answers(kind: str, got: str) -> LoadResult:
    """Three wrong answers, or none in time, and not one right one."""
    nothing = look(1, millis=1, requests=0, cpu=0.0).load
    example = ErrorExample(kind, "GET /me", "status 200", None, got, 3)
    return replace(nothing, error_count=3, errors=(example,), errors_by_kind={kind: 3})


@pytest.mark.parametrize(
    ("kind", "got", "found"),
    [
        ("status", "status 401", []),
        ("body", "another body", []),
        ("timeout", "no answer within 6 s", []),
        ("lost", "the connection was closed", [Cause.FAILS_UNDER_LOAD]),
    ],
)
def test_a_route_that_answers_otherwise_or_late_to_everybody_does_not_fail_under_load(
    examination: Examination,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    got: str,
    found: list[Cause],
) -> None:
    monkeypatch.setattr(examination, "_send", lambda _sent: answers(kind, got))
    assert not examination._answers_once(examination.chart.asked[0])
    report = examination._report()
    assert [each.cause for each in report.findings] == found
    assert [each.gain for each in report.findings] == [""] * len(found)
    assert got in report.not_looked_at[0]


def test_a_routes_errors_are_its_own_though_anothers_path_begins_like_it() -> None:
    window = look(8, millis=8, requests=60, cpu=0.3)
    window.load = replace(
        window.load,
        error_count=3,
        failed_index=np.array([1, 1, 1]),
        errors=(ErrorExample("status", "GET /me", "status 200", 500, "status 500", 3, 1),),
    )
    alone = look(1, millis=8, requests=60, cpu=0.3)
    routes = [get("/"), get("/me")]
    made = Examination(TARGET, routes, {}, lambda *_: None, None, 60.0)
    for asked in made.chart.asked:
        asked.alone = alone
    made.chart.crowds = [window]
    root, me = (made._route(asked) for asked in made.chart.asked)
    assert (root.errors, root.example) == ({1: 0, 8: 0}, "")
    assert (me.errors, me.example[:7]) == ({1: 0, 8: 3}, "GET /me")


def test_a_slow_routes_answers_count_by_their_share_of_time_in_the_window() -> None:
    """Eight clients whose second answer comes after the window's end, and a quicker route."""
    quick = look(8, millis=100, requests=80, cpu=0.3)
    window = together(quick, look(8, millis=8, requests=16, cpu=0.3))
    start, end = window.load.start_ns.copy(), window.load.end_ns.copy()
    start[80:], end[80:] = np.repeat([0, 700_000_000], 8), np.repeat([700_000_000, 1.4e9], 8)
    window.load = replace(window.load, start_ns=start, end_ns=end)
    made = Examination(TARGET, [get("/quick"), get("/slow")], {}, lambda *_: None, None, 60.0)
    for asked in made.chart.asked:
        asked.alone = quick
    made.chart.crowds = [window]
    rates = [made._route(asked).throughput[8] for asked in made.chart.asked]
    assert rates == pytest.approx([80, 8 / 0.7], rel=0.1)


def test_an_app_that_is_held_for_good_costs_what_no_factor_can_say(
    examination: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "held", lambda _: Held(turns=False, place=None))
    examination._revive(examination.chart.asked[0])
    (found,) = examination._report().findings
    assert (found.cause, found.gain) == (Cause.BLOCKED_LOOP, "")


@pytest.mark.parametrize("ours", [GeneratorEnded("exit status -9"), BadWorkload("a bad path")])
@pytest.mark.parametrize("phase", ["_answers_once", "_phases"])
def test_our_own_failure_is_no_finding_about_the_app(
    examination: Examination, monkeypatch: pytest.MonkeyPatch, ours: Exception, phase: str
) -> None:
    def fails(_: object) -> None:
        raise ours

    monkeypatch.setattr(examination, phase, fails)
    with pytest.raises(CannotExamine, match=str(ours)):
        examination.run()
    assert not examination._failed


def crowds_of(
    examination: Examination, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> Examination:
    """Where one client was answered, and whoever sends more requests fails."""

    def fails(*_: object, **__: object) -> None:
        raise error

    examination.chart.asked[0].alone = look(1, millis=8, requests=60, cpu=0.3)
    monkeypatch.setattr(examination, "_window", fails)
    monkeypatch.setattr(examination, "_read", lambda _servers: {})
    examination._crowds(_Unwatched())  # type: ignore[arg-type]
    return examination


def test_without_any_crowd_nothing_is_healthy(
    examination: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowds_of(examination, monkeypatch, OutOfBounds("No connection can be opened any more."))
    examination._memory()
    report = examination._report()
    assert (report.partial, report.healthy) == (True, False)
    assert "Memory was not looked at: no crowd was answered before." in report.not_looked_at


@pytest.mark.parametrize(("a_second", "sent"), [(5, 0), (60, 1)])
def test_memory_of_an_app_that_answers_too_slowly_is_not_looked_at(
    examination: Examination, monkeypatch: pytest.MonkeyPatch, a_second: int, sent: int
) -> None:
    """Known from the crowd before, or from a window that its limit in seconds has cut."""
    windows: list[Any] = []

    def cut(workload: Any) -> LoadResult:
        windows.append(workload)
        return look(8, millis=8, requests=10, cpu=0.0).load

    examination.chart.asked[0].alone = look(1, millis=8, requests=60, cpu=0.3)
    examination.chart.crowds = [look(8, millis=8, requests=a_second, cpu=0.3)]
    monkeypatch.setattr(examination, "_send", cut)
    examination._memory()
    assert examination.chart.notes == ["Memory was not looked at: answers are too slow."]
    assert [each.requests for each in windows] == [54] * sent
    assert all(each.seconds < 10 for each in windows)


def test_that_our_sender_ended_before_a_crowd_is_not_told_as_the_apps_fault(
    examination: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GeneratorEnded):
        crowds_of(examination, monkeypatch, GeneratorEnded("exit status -9"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("_crowds", "With 8 clients: "),
        ("_layers", "While layers and answers of GET /me were measured: "),
        ("_plans", "While plans of the statements were read: "),
        ("_memory", "While memory was measured with 8 clients: "),
    ],
)
def test_an_app_that_ends_is_told_with_what_was_under_way(
    examination: Examination, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    window = look(1, millis=8, requests=60, cpu=0.3)
    call = [[0, 1, 0, 0, 1], "sql", 0, 0, 1, -1, None]
    for visit in window.raw["visits"]:
        visit[6] = [call]
    window.raw["texts"] = ["SELECT 1"]
    examination.chart.asked[0].alone = window
    examination.chart.asked[0].template = "GET /orders"
    examination.chart.crowds = [] if name == "_crowds" else [window]
    examination._services = {"postgres_dsn": "postgresql://127.0.0.1/lab"}
    examination._ward.gone = True  # type: ignore[union-attr]
    monkeypatch.setattr(examination, "_window", _gone)
    monkeypatch.setattr(examination, "_read", lambda _servers: {})
    monkeypatch.setattr(examination, "_phases", lambda servers: _one(examination, name, servers))
    monkeypatch.setattr(engine, "Ward", lambda *_: examination._ward)
    examination._served(_Unwatched())  # type: ignore[arg-type]
    (failed,) = examination._failed
    assert failed.evidence[0].says.startswith(says)


class _Unwatched:
    def watch(self, _states: object) -> threading.Event:
        return threading.Event()


def _gone(*_: object, **__: object) -> None:
    raise WardGone("It is gone.")


def _one(examination: Examination, name: str, servers: object) -> None:
    getattr(examination, name)(*[servers] * (name == "_crowds"))


def test_the_apps_own_failure_is_a_finding(
    examination: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Asked) -> None:
        raise NobodyListens("Nobody listens.")

    monkeypatch.setattr(examination, "_answers_once", fails)
    examination._each_alone()
    assert examination.chart.notes == ["GET /me was not looked at: Nobody listens."]
    assert [each.cause for each in examination._failed] == [Cause.FAILS_UNDER_LOAD]


def test_whoever_stops_it_before_it_begins_gets_a_report_that_is_not_healthy() -> None:
    stop = threading.Event()
    stop.set()
    report: Report = engine.examine_now(TARGET, [get("/me")], stop=stop)
    assert report.partial
    assert report.healthy is False
    assert report.findings == ()
