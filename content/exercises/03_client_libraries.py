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

from course_app.exercises.client_libraries.baseline import unfair_report

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
#   with the first driver's, with an interval. `calls` counts them: at least 10. Warm-up calls need
#   not be among them, if they are at most half as many.
# - **Mechanism** (3 points). Each entry has one connection and fetches `rows` rows with each call:
#   PostgreSQL is asked. The drivers take turns: ten rounds or more, some milliseconds of calls of
#   each in a round.
# - **Order** (3 points). The check measures the drivers again. Where it can tell two apart, the
#   report has the same order, and its factors are not far off.
# - **Hygiene** (2 points). An unknown driver, no driver, and rows outside of 1 to 1000 are refused
#   with 422. When the report has been given, no connection is left open.
#
# For the interval you may use the course's own tool: `mean_interval(np.log(ratios))` is the mean
# of the ratios' logarithms with its limits, and `.exp()` makes ratios of them again.

# %%
import numpy as np

from course_app.measure.statistics import mean_interval

mean_interval(np.log([0.9, 1.0, 1.1, 1.0, 0.8, 1.2])).exp()

# %% [markdown]
# ## Your answer


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your report")


# solution:
# What was unfair: connecting is on the clock, and so are the first calls, which prepare; one row is
# fetched, whatever `rows` says; the drivers run one after another instead of in turns; there is one
# number and no interval; nothing is closed.
#
# (psycopg, psycopg2 and the arithmetic hold this app's loop for up to two seconds: right for a
# report that somebody asks for now and then, not for a service.)
from contextlib import AsyncExitStack
from typing import Literal

from course_app.apps.drivers import Fetch

from course_app.exercises.client_libraries.reference import ROUNDS, WARM_UP_CALLS, Name, create_app

# end solution


# %% [markdown]
# The check takes some ten seconds, because it measures all four drivers itself.

# %%
from course_app.learn import check

check("03_client_libraries", create_app)

# %% [markdown]
# Stuck? Write `hint("03_client_libraries")` into a cell (`from course_app.learn import hint`); each
# call says a little more. `solution("03_client_libraries")` shows our answer.
