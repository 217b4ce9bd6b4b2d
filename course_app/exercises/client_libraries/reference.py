"""A good answer; ``solution(...)`` shows its source."""

import time
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, Query

from course_app.apps.drivers import DRIVERS, Fetch
from course_app.measure.statistics import mean_interval

Name = Literal["asyncpg", "psycopg", "psycopg2", "orm"]
WARM_UP_CALLS, ROUNDS = 10, 12


def create_app(postgres_dsn: str) -> FastAPI:
    app = FastAPI()

    async def seconds_per_call(fetch: Fetch, calls: int) -> float:
        began = time.perf_counter()
        for _ in range(calls):
            await fetch()
        return (time.perf_counter() - began) / calls

    @app.get("/report")
    async def report(
        drivers: Annotated[list[Name], Query(min_length=1, max_length=8)],
        rows: Annotated[int, Query(ge=1, le=1000)] = 1,
    ) -> dict[str, Any]:
        async with AsyncExitStack() as stack:
            # All are open and warm before the rounds begin: psycopg prepares with its sixth call.
            clients = [DRIVERS[name](postgres_dsn, rows) for name in drivers]
            fetches = [await stack.enter_async_context(client) for client in clients]
            warm = [
                [await seconds_per_call(fetch, 1) for _ in range(WARM_UP_CALLS)]
                for fetch in fetches
            ]
            calls = [min(max(int(0.005 / min(seconds)), 1), 200) for seconds in warm]
            rounds = []
            for number in range(ROUNDS):
                order = list(range(len(fetches)))[:: -1 if number % 2 else 1]
                times = {i: await seconds_per_call(fetches[i], calls[i]) for i in order}
                rounds.append([times[i] for i in range(len(fetches))])
        logs = np.log(rounds)
        found = []
        for i, name in enumerate(drivers):
            ratio = mean_interval(logs[:, i] - logs[:, 0]).exp()
            times_as_long = [ratio.low, ratio.estimate, ratio.high]
            made = WARM_UP_CALLS + ROUNDS * calls[i]
            found.append({"driver": name, "calls": made, "times_as_long": times_as_long})
        return {"rows": rows, "drivers": found}

    return app
