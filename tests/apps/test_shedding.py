"""Shedding by the loop's lag: who is refused, who never is, and what an idle loop pays."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from course_app.apps import shedding
from course_app.apps.shedding import Shedding

Message = dict[str, Any]


async def ask(app: Any, path: str = "/", kind: str = "http") -> Message:
    """The start of the answer, once the app has returned."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": kind, "path": path}, None, send)
    return sent[0] if sent else {}


def working(seconds: float) -> Any:
    """An app that keeps the loop for so long."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        time.sleep(seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    return app


def crowd(app: Shedding, requests: int, path: str = "/") -> list[Message]:
    """Requests that the loop reads in one go."""

    async def all_at_once() -> list[Message]:
        return await asyncio.gather(*(ask(app, path) for _ in range(requests)))

    return asyncio.run(all_at_once())


def statuses(answers: list[Message]) -> list[int]:
    return [answer["status"] for answer in answers]


def test_those_behind_the_lag_are_refused_and_those_before_it_are_served() -> None:
    app = Shedding(working(0.03), max_lag_seconds=0.05)
    answers = statuses(crowd(app, 20))
    served = answers.count(200)
    assert 1 <= served <= 3
    assert answers == [200] * served + [503] * (20 - served)
    assert app.shed == 20 - served


def test_who_is_refused_is_told_when_to_come_back_and_gets_no_body() -> None:
    refused = crowd(Shedding(working(0.03), max_lag_seconds=0.01), 40)[-1]
    headers = dict(refused["headers"])
    assert refused["status"] == 503
    assert headers[b"content-length"] == b"0"
    assert 1 <= int(headers[b"retry-after"]) <= 4


def test_clients_are_not_told_to_come_back_all_together() -> None:
    refused = crowd(Shedding(working(0.03), max_lag_seconds=0.01), 200)[10:]
    assert len({dict(answer["headers"])[b"retry-after"] for answer in refused}) > 1


def test_health_checks_are_served_however_late_it_is() -> None:
    assert (
        statuses(crowd(Shedding(working(0.01), max_lag_seconds=0.01), 10, "/health")) == [200] * 10
    )


def test_after_the_rush_everybody_is_served_again() -> None:
    app = Shedding(working(0.03), max_lag_seconds=0.01)

    async def rush_then_calm() -> int:
        await asyncio.gather(*(ask(app) for _ in range(20)))
        await asyncio.sleep(0.05)
        return (await ask(app))["status"]

    assert asyncio.run(rush_then_calm()) == 200


def test_a_request_that_comes_after_a_long_turn_of_others_is_refused() -> None:
    """Handlers that compute after they waited: their turn is over when the next one asks."""

    async def later(_scope: Any, _receive: Any, send: Any) -> None:
        await asyncio.sleep(0.01)
        time.sleep(0.2)
        await asyncio.sleep(0.2)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    app = Shedding(later, max_lag_seconds=0.05)

    async def one_then_another() -> int:
        first = asyncio.create_task(ask(app))
        await asyncio.sleep(0.011)  # its turn ends after the other one's computing
        second = (await ask(app))["status"]
        await first
        return int(second)

    assert asyncio.run(one_then_another()) == 503


def test_a_bound_on_those_under_way_is_for_handlers_that_wait() -> None:
    async def waiting(_scope: Any, _receive: Any, send: Any) -> None:
        await asyncio.sleep(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    app = Shedding(waiting, max_lag_seconds=5, max_in_flight=3)
    assert sorted(statuses(crowd(app, 10))) == [200] * 3 + [503] * 7
    assert app.in_flight == 0


def test_a_handler_that_fails_is_not_under_way_any_more() -> None:
    async def failing(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError

    app = Shedding(failing)
    with pytest.raises(RuntimeError):
        asyncio.run(ask(app))
    assert app.in_flight == 0


def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    shedding = Shedding(app, max_lag_seconds=-1.0)
    for kind in ("lifespan", "websocket"):
        asyncio.run(ask(shedding, kind=kind))
    assert seen == ["lifespan", "websocket"]


def test_an_idle_loop_has_no_timer() -> None:
    app = Shedding(working(0))

    async def one_then_nothing() -> int:
        loop = asyncio.get_running_loop()
        await ask(app)
        await asyncio.sleep(5 * shedding.BEAT_SECONDS)
        return len([timer for timer in loop._scheduled if not timer.cancelled()])  # type: ignore[attr-defined]

    assert asyncio.run(one_then_nothing()) == 0


def test_it_is_short_enough_to_be_copied() -> None:
    assert len(Path(shedding.__file__).read_text(encoding="utf-8").splitlines()) <= 60


def test_a_lifespan_is_no_request_under_way() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(shedding_app.in_flight)

    seen: list[int] = []
    shedding_app = Shedding(app)
    asyncio.run(shedding_app({"type": "lifespan"}, None, None))
    assert seen == [0]
