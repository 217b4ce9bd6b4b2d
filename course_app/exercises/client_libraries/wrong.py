"""Known wrong answers: reports that look right."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query

from course_app.apps.drivers import DRIVERS, Fetch
from course_app.exercises.client_libraries.reference import Name
from course_app.measure.statistics import mean_interval

_ROUNDS, _CALLS = 14, 4
Measure = Callable[[str, list[str], int], Awaitable[list[list[float]]]]
Say = Callable[[list[float]], list[float]]


async def _timed(fetch: Fetch) -> float:
    began = time.perf_counter()
    for _ in range(_CALLS):
        await fetch()
    return (time.perf_counter() - began) / _CALLS


async def _in_turns(dsn: str, drivers: list[str], rows: int) -> list[list[float]]:
    async with AsyncExitStack() as stack:
        clients = [DRIVERS[name](dsn, rows) for name in drivers]
        fetches = [await stack.enter_async_context(client) for client in clients]
        return [[await _timed(fetch) for fetch in fetches] for _ in range(_ROUNDS)]


async def _one_after_another(dsn: str, drivers: list[str], rows: int) -> list[list[float]]:
    columns = []
    for name in drivers:
        async with DRIVERS[name](dsn, rows) as fetch:
            columns.append([await _timed(fetch) for _ in range(_ROUNDS)])
    return [list(row) for row in zip(*columns, strict=True)]


async def _warm_then_one_after_another(
    dsn: str, drivers: list[str], rows: int
) -> list[list[float]]:
    async with AsyncExitStack() as stack:
        clients = [DRIVERS[name](dsn, rows) for name in drivers]
        fetches = [await stack.enter_async_context(client) for client in clients]
        for fetch in fetches:
            await _timed(fetch)
        columns = [[await _timed(fetch) for _ in range(_ROUNDS)] for fetch in fetches]
        return [list(row) for row in zip(*columns, strict=True)]


async def _connecting(dsn: str, drivers: list[str], rows: int) -> list[list[float]]:
    async def timed(name: str) -> float:
        began = time.perf_counter()
        async with DRIVERS[name](dsn, rows) as fetch:
            await _timed(fetch)
        return (time.perf_counter() - began) / _CALLS

    return [[await timed(name) for name in drivers] for _ in range(_ROUNDS)]


async def _one_row(dsn: str, drivers: list[str], _rows: int) -> list[list[float]]:
    return await _in_turns(dsn, drivers, 1)


async def _by_heart(_dsn: str, drivers: list[str], rows: int) -> list[list[float]]:
    times = {"asyncpg": 1, "psycopg": 1.3, "psycopg2": 2.1 if rows < 100 else 4, "orm": 9}
    return [
        [times[name] * (1 + 0.02 * (n % (2 + i))) for i, name in enumerate(drivers)]
        for n in range(_ROUNDS)
    ]


async def _unhurried(dsn: str, drivers: list[str], rows: int) -> list[list[float]]:
    end = time.perf_counter() + 4
    rounds: list[list[float]] = []
    while time.perf_counter() < end:
        rounds += await _in_turns(dsn, drivers, rows)
    return rounds


async def _kept_by_name(dsn: str, drivers: list[str], rows: int) -> list[list[float]]:
    rounds = await _in_turns(dsn, drivers, rows)
    kept = [dict(zip(drivers, times, strict=True)) for times in rounds]
    return [[times[name] for name in drivers] for times in kept]


async def _left_open(dsn: str, drivers: list[str], rows: int) -> list[list[float]]:
    kept = [DRIVERS[name](dsn, rows) for name in drivers]
    _KEPT.extend(kept)
    fetches = [await client.__aenter__() for client in kept]
    return [[await _timed(fetch) for fetch in fetches] for _ in range(_ROUNDS)]


#: So that nobody collects, and so closes, what was left open.
_KEPT: list[Any] = []


def _interval(logs: list[float]) -> list[float]:
    ratio = mean_interval(logs).exp()
    return [ratio.low, ratio.estimate, ratio.high]


def _upside_down(logs: list[float]) -> list[float]:
    return _interval([-log for log in logs])


def _very_careful(logs: list[float]) -> list[float]:
    low, estimate, high = _interval(logs)
    return [low / 20, estimate, 20 * high]


def _ten_per_cent(logs: list[float]) -> list[float]:
    _, estimate, _ = _interval(logs)
    return [0.9 * estimate, estimate, 1.1 * estimate]


def _app(dsn: str, measure: Measure, say: Say = _interval, *, by_name: bool = False) -> FastAPI:
    app = FastAPI()

    async def reported(drivers: list[str], rows: int) -> dict[str, Any]:
        names = sorted(drivers) if by_name else drivers
        logs = np.log(await measure(dsn, names, rows))
        found = [
            {
                "driver": name,
                "calls": _ROUNDS * _CALLS,
                "times_as_long": say(list(logs[:, i] - logs[:, 0])),
            }
            for i, name in enumerate(names)
        ]
        return {"rows": rows, "drivers": found}

    @app.get("/report")
    async def report(
        drivers: Annotated[list[Name], Query(min_length=1)],
        rows: Annotated[int, Query(ge=1, le=1000)] = 1,
    ) -> dict[str, Any]:
        return await reported(list(drivers), rows)

    return app


def create_alphabetical(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _in_turns, by_name=True)


def create_one_row(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _one_row)


def create_connecting(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _connecting)


def create_one_after_another(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _one_after_another)


def create_warm_then_one_after_another(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _warm_then_one_after_another)


def create_by_heart(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _by_heart)


def create_upside_down(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _in_turns, _upside_down)


def create_very_careful(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _in_turns, _very_careful)


def create_leaving(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _left_open)


def create_unhurried(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _unhurried)


def create_round_intervals(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _in_turns, _ten_per_cent)


def create_kept_by_name(postgres_dsn: str) -> FastAPI:
    return _app(postgres_dsn, _kept_by_name)


def create_trusting(postgres_dsn: str) -> FastAPI:
    app = FastAPI()

    @app.get("/report")
    async def report(drivers: Annotated[list[str], Query()], rows: int = 1) -> dict[str, Any]:
        logs = np.log(await _in_turns(postgres_dsn, drivers, rows))
        ratios = [_interval(list(logs[:, i] - logs[:, 0])) for i in range(len(drivers))]
        calls = _ROUNDS * _CALLS
        found = [
            {"driver": name, "calls": calls, "times_as_long": ratio}
            for name, ratio in zip(drivers, ratios, strict=True)
        ]
        return {"rows": rows, "drivers": found}

    return app
