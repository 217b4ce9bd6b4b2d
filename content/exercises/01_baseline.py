# %% [markdown]
# # Exercise 01 - A stopwatch that tells the truth
#
# Your team times its services with the guide's middleware. It costs more than many a handler,
# says nothing about requests that fail, and cannot time a stream. Write one in pure ASGI that
# can be trusted.
#
# An instrument is checked before it is used. This test bench is an app whose endpoints are
# hard to time, each in its own way:
#
# | endpoint | what is hard about it |
# |---|---|
# | `/hello` | nothing: it answers at once |
# | `/naps/{ms}`, `/nap` | waits for so many milliseconds, or for a time that nobody knows before |
# | `/streams/{ms}` | sends five lines with a pause before each |
# | `/error` | raises an exception that nobody catches |
# | `/clock` | sets the wall clock back by a minute, as a time server does |
# | `/tasks` | answers how many asyncio tasks there are |
# | `/timings` | answers what the stopwatch wrote into `app.state.timings` |
#
# And this is what you start from:

# %%
import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response

from course_app.apps.hard_to_time import hard_to_time

from course_app.exercises.baseline.baseline import timed_by_the_guide

# %%
from course_app.lab import Lab

lab = Lab()
lab.compare_requests(
    {"no stopwatch": hard_to_time(), "the guide's": timed_by_the_guide()}, "/hello"
)

# %% [markdown]
# ## When is it done?
#
# - **Contract** (6 points). Each answer, also 404, 422, 500 and a stream, has a header
#   `Server-Timing: app;dur=12.3`: the milliseconds from when the app is called to when its answer
#   starts, within 20 % of the truth, also for requests that overlap. A stream still flows. When a
#   request is over, `{"path": ..., "status": ..., "ms": ...}` is appended to
#   `app.state.timings`, with the time of the *whole* request, last line included. All else
#   stays as it is.
# - **Mechanism** (2 points). No request needs another asyncio task, and a clock that is set back
#   does no harm.
# - **Speed** (1 point). At least half of the CPU time that our own solution saves.
# - **Hygiene** (1 point). What a handler raises still reaches the server's log.
#
# Write `create_app`, which returns an ASGI app around `hard_to_time()`: a FastAPI app, or a
# function of `scope`, `receive` and `send`.

# %%
# blank:
from starlette.types import ASGIApp


def create_app() -> ASGIApp:
    raise NotImplementedError("your answer")


# solution:
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from course_app.exercises.baseline.reference import create_app

# end solution
# %%
from course_app.learn import check

check("01_baseline", create_app)

# %% [markdown]
# Stuck? Write `hint("01_baseline")` into a cell (`from course_app.learn import hint`); each call
# says a little more. `solution("01_baseline")` shows our answer.
