"""Causes are read from charts: what counts as evidence, and what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel, TypeAdapter

from course_app.examine.causes.order import _saved, _steps
from course_app.examine.causes.queries import _is_small
from course_app.examine.causes.waiting import _hold, _holding_place, _lined_up
from course_app.examine.compared import changes
from course_app.examine.engine import merged, ranked
from course_app.examine.findings import (
    Bound,
    Cause,
    Evidence,
    Finding,
    Report,
    RouteReport,
    Where,
    lesson_of,
)
from course_app.examine.instruments.code import works_on
from course_app.examine.seen import Call, Look, Place, State, Visit, bound, without
from course_app.load import LoadResult

NOBODY = cast("LoadResult", None)
ONE = Bound(estimate=2.0, low=1.5, high=3.0)
ANSWERED = RouteReport(route="GET /a", p50_ms={1: 2.0, 64: 9.0})


@pytest.mark.parametrize(
    ("estimate", "high", "small"),
    [(0.15, 0.19, True), (0.15, 0.21, False), (0.05, 1.0, True), (0.3, 0.4, False)],
)
def test_a_share_is_small_if_its_interval_says_so(
    estimate: float, high: float, small: bool
) -> None:
    """On a busy machine the rest of a request takes longer, and what it asks a smaller share."""
    assert _is_small(Bound(estimate=estimate, low=0.0, high=high)) is small


def steps_of(tmp_path: Path, source: str) -> list[tuple[int, set[int], bool]]:
    file = tmp_path / "handler.py"
    file.write_text(source, encoding="utf-8")
    return [(step.line, set(step.needs), step.looped) for step in _steps(str(file), 1)]


def test_awaits_that_hand_nothing_on_need_nothing(tmp_path: Path) -> None:
    source = (
        "async def page(user):\n    a = await ask(user)\n    b = await ask(user)\n    return a, b\n"
    )
    assert steps_of(tmp_path, source) == [(2, set(), False), (3, set(), False)]


def test_an_await_needs_the_one_whose_value_it_uses(tmp_path: Path) -> None:
    source = (
        "async def page(user):\n    a = await ask(user)\n    c = a.id\n    b = await ask(c)\n"
        "    return b\n"
    )
    assert steps_of(tmp_path, source) == [(2, set(), False), (4, {2}, False)]


def test_a_check_that_may_leave_comes_before_all_that_follows(tmp_path: Path) -> None:
    source = (
        "async def page(user):\n    a = await find(user)\n    if a is None:\n"
        "        raise KeyError\n    b = await ask(user)\n    return b\n"
    )
    assert steps_of(tmp_path, source)[1] == (5, {2}, False)


def test_an_await_in_a_loop_is_known_as_one(tmp_path: Path) -> None:
    source = (
        "async def page(users):\n    found = []\n    for user in users:\n"
        "        found.append(await ask(user))\n    return found\n"
    )
    assert steps_of(tmp_path, source) == [(4, set(), True)]


def test_json_by_pydantic_in_one_go_is_no_work_by_hand() -> None:
    cured, by_hand = (TypeAdapter.dump_json, BaseModel.model_dump_json), BaseModel.model_dump
    assert {works_on([(call.__code__, 1)]) for call in cured} == {"typed"}
    assert works_on([(by_hand.__code__, 1)]) == "serialize"


def test_source_that_only_the_examined_process_has_is_read_too(tmp_path: Path) -> None:
    file = str(tmp_path / "made while it ran.py")
    source = "async def page(users):\n    return [await ask(user) for user in users]\n"
    assert _steps(file, 1) == []
    Look(1, NOBODY, {"sources": {file: source}})
    assert [(step.line, step.looped) for step in _steps(file, 1)] == [(2, True)]


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    assert steps_of(tmp_path, "async def page():\n    return await ask()\n")
    assert steps_of(tmp_path, "async def page():\n    return 1 + 1 + 1 + 1\n") == []


def test_what_depends_on_each_other_saves_nothing(tmp_path: Path) -> None:
    chain = tmp_path / "chain.py"
    chain.write_text("async def f():\n    a = await g()\n    return await h(a)\n", encoding="utf-8")
    apart = tmp_path / "apart.py"
    apart.write_text(
        "async def f():\n    a = await g()\n    return a, await h()\n", encoding="utf-8"
    )
    waited = {2: 0.02, 3: 0.02}
    assert _saved(waited, _steps(str(chain), 1), {}) == pytest.approx(0.0)
    assert _saved(waited, _steps(str(apart), 1), {}) == pytest.approx(0.02)


def test_amdahl_turns_a_share_into_a_bound() -> None:
    half = without(Bound(estimate=0.5, low=0.4, high=0.6))
    assert half.estimate == pytest.approx(2.0)
    assert half.low < half.estimate < half.high
    assert without(Bound(estimate=1.0, low=1.0, high=1.0), most=64).estimate == 64


def test_a_single_value_has_no_narrow_interval() -> None:
    assert bound([0.5]).low == 0.0
    assert bound([0.5]).high == 1.0


def found(cause: Cause, *, confirmed: bool = True) -> Finding:
    return Finding(
        cause=cause,
        route="GET /a",
        where=None,
        confirmed=confirmed,
        evidence=(Evidence(look="one", says="It is."),),
        at_most=ONE,
        lesson=lesson_of(cause),
    )


def test_a_report_is_json_with_the_promised_keys() -> None:
    report = Report(healthy=False, findings=(found(Cause.POOL_WAIT),))
    plain = json.loads(report.model_dump_json())
    assert plain["healthy"] is False
    assert set(plain["findings"][0]) == {
        *("cause", "route", "where", "confirmed", "evidence", "at_most", "lesson")
    }
    assert plain["findings"][0]["cause"] == "pool_wait"


def test_every_cause_has_a_lesson_that_exists() -> None:
    lessons = Path(__file__).parents[2] / "content" / "lessons"
    assert {lesson_of(cause) for cause in Cause} <= {file.stem for file in lessons.glob("*.py")}


def test_one_cause_at_one_place_is_one_finding_for_all_its_routes() -> None:
    here = Where(file="shop.py", line=3, function="session")
    first = found(Cause.CONNECTION_PER_REQUEST).model_copy(update={"where": here})
    others = [
        first.model_copy(update={"route": "GET /b"}),
        first.model_copy(update={"route": "GET /c", "confirmed": False}),
        found(Cause.POOL_WAIT),
        found(Cause.POOL_WAIT),
    ]
    kept = merged([first, *others])
    assert [each.route for each in kept] == ["GET /a, GET /b", "GET /c", "GET /a", "GET /a"]
    routes = tuple(ANSWERED.model_copy(update={"route": name}) for name in kept[0].routes)
    alone = Report(healthy=False, findings=(first,), routes=routes)
    both = Report(healthy=False, findings=(kept[0],), routes=routes)
    said = {(change.route, change.what) for change in changes(before=both, after=alone)}
    assert said == {("GET /a", "still"), ("GET /b", "gone")}


def compared(
    before: list[Finding],
    after: list[Finding],
    *,
    answered: dict[int, float | None] | None = None,
    **details: Any,
) -> dict[str, str]:
    """What is said of each cause on GET /a, which the first version answered."""
    said = changes(
        before=Report(healthy=False, findings=tuple(before), routes=(ANSWERED,)),
        after=Report(
            healthy=False,
            findings=tuple(after),
            routes=(ANSWERED.model_copy(update={"p50_ms": answered} if answered else {}),),
            **details,
        ),
    )
    return {change.cause.value: str(change) for change in said}


def test_changes_say_what_is_gone_and_what_is_new() -> None:
    said = compared(
        [found(Cause.POOL_WAIT), found(Cause.STAMPEDE)],
        [found(Cause.STAMPEDE), found(Cause.N_PLUS_ONE)],
    )
    assert said == {
        "pool_wait": "gone: waiting for a connection of the pool on GET /a",
        "stampede": "still: stampede on a cache on GET /a",
        "n_plus_one": "new: one more query for each row on GET /a",
    }


@pytest.mark.parametrize(
    ("after", "details", "why"),
    [
        ([], {}, ""),
        ([], {"partial": True}, "the second examination ended early"),
        ([], {"answered": {1: None}}, "the route gave no right answer there"),
        (
            [],
            {"answered": {1: 2.0, 64: None}},
            "the route gave no right answer there to as many clients",
        ),
        ([found(Cause.MISSING_INDEX, confirmed=False)], {}, "it is still suspected"),
        (
            [],
            {"not_looked_at": ("Plans were not looked at: no.",)},
            "not everything was looked at there",
        ),
        (
            [],
            {"not_looked_at": ("by_plan was not judged: KeyError: 1",)},
            "not everything was looked at there",
        ),
        ([], {"not_looked_at": ("Memory was not looked at to its end: no.",)}, ""),
    ],
)
def test_what_was_not_looked_for_is_not_gone(
    after: list[Finding], details: dict[str, Any], why: str
) -> None:
    said = compared([found(Cause.MISSING_INDEX)], after, **details)["missing_index"]
    what = "missing index on GET /a"
    assert said == (f"cannot tell: {what} ({why})" if why else f"gone: {what}")


def test_a_route_that_was_not_asked_there_tells_nothing() -> None:
    before = Report(healthy=False, findings=(found(Cause.POOL_WAIT),), routes=(ANSWERED,))
    (change,) = changes(before=before, after=Report(healthy=True, findings=()))
    assert change.what == "cannot tell"


def test_what_was_suspected_before_is_not_new() -> None:
    said = compared([found(Cause.POOL_WAIT, confirmed=False)], [found(Cause.POOL_WAIT)])
    assert said["pool_wait"].startswith("cannot tell: ")


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;", False),
        ("BEGIN;", False),
        ("ROLLBACK", False),
        ("SELECT name FROM users WHERE id = $1", True),
        ("SELECT pg_advisory_unlock_all(), id FROM users", True),
        ("BEGIN; SELECT 1", True),
        ("SETTLE", True),
        ("", True),
    ],
)
def test_what_drivers_send_of_their_own_accord_asks_for_nothing(text: str, asks: bool) -> None:
    call = Call(*(0.0, 1.0, 0.0, 0.5), 1, "sql", text, 0, -1, None, None)
    assert call.asks is asks


def waiting(rows: str) -> list[Visit]:
    """A visit for each word, a letter for each moment: l waits for a lock, w otherwise, - gone."""
    kinds = {"l": "lock", "w": "sleep"}
    return [
        Visit(
            *("GET /", "/", 0, 1, 200),
            samples=[(at, State(kinds[k], ())) for at, k in enumerate(row) if k in kinds],
            calls=[],
            connects=[],
            work={},
            error=None,
        )
        for row in rows.split()
    ]


def test_a_line_that_never_ends_is_told_from_one_that_all_leave_at_once() -> None:
    assert _lined_up(waiting("w---- lw--- llw-- lllw- llllw")) == 0.8
    assert _lined_up(waiting("wwwww l---- lw--- l-w-- l---w")) == 0.2


def test_who_only_looks_again_after_the_line_holds_no_lock() -> None:
    assert _hold(waiting("w---- lw--- llw-- lllw- llllw")) == 1
    assert _hold(waiting("wwwww lllll lllll lllll")) == 0


def place(function: str, line: int) -> Place:
    return Place("shop.py", line, function, 10 * (line // 10), "...")


@pytest.mark.parametrize(
    ("waited", "named"),
    [
        ((place("find", 11), place("collect", 21), place("pay", 31)), place("collect", 22)),
        ((place("pay", 31),), place("pay", 32)),
        ((place("session", 41),), place("pay", 32)),
        ((place("session", 41), place("layer", 61)), place("pay", 32)),
    ],
    ids=["in a helper", "in the handler", "in a dependency", "in a dependency, under a layer"],
)
def test_a_connection_is_held_where_both_ways_part(waited: tuple[Place, ...], named: Place) -> None:
    inner = (place("charge", 51), place("collect", 22), place("pay", 32))
    layers = (place("layer", 61),) if len(waited) == 2 else ()
    charging = State("sleep", inner + layers)
    assert _holding_place(charging, State("pool", waited)) == named


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("9 % of the requests failed: KeyError: 7.", Cause.FAILS_UNDER_LOAD),
        ("9 % failed: TooManyConnectionsError: sorry, too many clients already.", None),
    ],
)
def test_what_a_full_server_refuses_comes_of_another_cause(said: str, first: Cause | None) -> None:
    failing, opening = (
        Finding(
            cause=cause,
            route="GET /orders",
            where=None,
            confirmed=True,
            evidence=(Evidence(look="exceptions in the app", says=said),),
            at_most=at_most,
            lesson=lesson_of(cause),
        )
        for cause, at_most in (
            (Cause.FAILS_UNDER_LOAD, Bound(estimate=1.0, low=1.0, high=1.0)),
            (Cause.CONNECTION_PER_REQUEST, ONE),
        )
    )
    assert ranked([failing, opening])[0].cause is (first or Cause.CONNECTION_PER_REQUEST)
    quick = opening.model_copy(update={"cause": Cause.N_PLUS_ONE})
    assert ranked([quick, failing])[0].cause is Cause.FAILS_UNDER_LOAD


def test_a_limit_that_is_none_is_not_shown_as_a_number() -> None:
    open_end = Bound(estimate=6.2, low=4.0, high=1000.0)
    shown = found(Cause.POOL_WAIT).model_copy(update={"at_most": open_end}).gain
    assert shown == "at most 6.2 [4.0, no limit] times as fast without it"
    bounded = Bound(estimate=6.2, low=4.0, high=9.0)
    shown = found(Cause.POOL_WAIT).model_copy(update={"at_most": bounded}).gain
    assert shown == "at most 6.2 [4.0, 9.0] times as fast without it"
