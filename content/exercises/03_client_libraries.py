# %% [markdown]
# # Exercise 03 - A comparison of drivers that can be believed
#
# A colleague wrote a report that compares database drivers, and the team is about to choose one
# by it. It answers quickly, with one number for each driver. Nobody has noticed yet that it is
# unfair in at least five ways.
#
# Your task: keep the endpoint, and make it a report that is right.

# %%
from course_app.lab import Lab

lab = Lab()

# %% [markdown]
# ## What is given
#
# `DRIVERS` holds four clients with the same door: `asyncpg`, `psycopg`, `psycopg2` and `orm`.
# `DRIVERS[name](postgres_dsn, count)` is an asynchronous context manager. It opens **one**
# connection and hands out a function; `await fetch()` returns the first `count` users. Two of the
# four block while they wait, which harms nobody in a report that does one thing after another.

# %%
import asyncio

from course_app.apps.drivers import DRIVERS


async def first_users():
    async with DRIVERS["orm"](lab.postgres_dsn, 3) as fetch:
        return await fetch()


asyncio.run(first_users())

# %% [markdown]
# And this is the report. Read it slowly and count what is wrong.

# %%
import time
from typing import Annotated, Any

from fastapi import FastAPI, Query


def unfair_report(postgres_dsn: str) -> FastAPI:
    app = FastAPI()

    @app.get("/report")
    async def report(drivers: Annotated[list[str], Query()], rows: int = 1) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        for name in drivers:
            began = time.perf_counter()
            client = DRIVERS[name](postgres_dsn, 1)
            fetch = await client.__aenter__()
            for _ in range(20):
                await fetch()
            seconds = time.perf_counter() - began
            first = found[0]["seconds"] if found else seconds
            found.append(
                {"driver": name, "calls": 20, "seconds": seconds, "times_as_long": seconds / first}
            )
        return {"rows": rows, "drivers": found}

    return app


# %% [markdown]
# ## Done means
#
# `GET /report?drivers=asyncpg&drivers=psycopg2&rows=1000` answers within two seconds, such as
#
#     {"rows": 1000, "drivers": [
#         {"driver": "asyncpg",  "calls": 73, "times_as_long": [1, 1, 1]},
#         {"driver": "psycopg2", "calls": 45, "times_as_long": [low, estimate, high]}]}
#
# - **Contract** (2 points). One entry for each driver as asked for, in that order; a driver may be
#   named twice, and is then measured against itself. `times_as_long` compares the time of a call
#   with the first driver's, with an interval. `calls` counts them: at least 10, all of them if you
#   like, or all but some warm-up calls.
# - **Mechanism** (3 points). Each entry has one connection and fetches `rows` rows with each call:
#   PostgreSQL is asked. The drivers take turns.
# - **Order** (3 points). The check measures the drivers again. Where it can tell two apart, the
#   report has the same order, and its factors are not far off.
# - **Hygiene** (2 points). An unknown driver, no driver, and rows outside of 1 to 1000 are refused
#   with 422. When the report has been given, no connection is left open.
#
# For the interval you may use the course's own tool: `mean_interval(values)` gives the mean of
# logarithms of ratios with its limits, and `.exp()` turns them into ratios again.

# %%
from course_app.measure.statistics import mean_interval

mean_interval([0.9, 1.0, 1.1, 1.0, 0.8, 1.2]).exp()

# %% [markdown]
# ## Your answer


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your report")


# solution:
from contextlib import AsyncExitStack
from typing import Literal

import numpy as np

from course_app.apps.drivers import Fetch

Name = Literal["asyncpg", "psycopg", "psycopg2", "orm"]


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
            # Everything is open, and has been used once, before any clock runs.
            clients = [DRIVERS[name](postgres_dsn, rows) for name in drivers]
            fetches = [await stack.enter_async_context(client) for client in clients]
            warm = [await seconds_per_call(fetch, 3) for fetch in fetches]
            calls = [min(max(int(0.005 / seconds), 2), 200) for seconds in warm]
            rounds = []
            for number in range(14):
                order = list(range(len(fetches)))[:: -1 if number % 2 else 1]
                times = {i: await seconds_per_call(fetches[i], calls[i]) for i in order}
                rounds.append([times[i] for i in range(len(fetches))])
        logs = np.log(rounds)
        found = []
        for i, name in enumerate(drivers):
            ratio = mean_interval(logs[:, i] - logs[:, 0]).exp()
            times_as_long = [ratio.low, ratio.estimate, ratio.high]
            made = 3 + 14 * calls[i]
            found.append({"driver": name, "calls": made, "times_as_long": times_as_long})
        return {"rows": rows, "drivers": found}

    return app


# end solution


# %% [markdown]
# The check takes some ten seconds, because it measures all four drivers itself.

# %%
from course_app.learn import check

check("03_client_libraries", create_app)

# %% [markdown]
# Stuck? Write `hint("03_client_libraries")` into a cell (`from course_app.learn import hint`); each
# call says a little more. `solution("03_client_libraries")` shows our answer.
