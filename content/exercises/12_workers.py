# %% [markdown]
# # Exercise 12 - Three services, one machine
#
# Three services of the same code are to run on a machine with two cores, each in processes of
# its own, beside PostgreSQL:
#
# | service | a request | clients at a time |
# |---|---|---|
# | `computes` | `/computes`: a millisecond or two of Python | 16 |
# | `waits` | `/waits`: 50 ms for another service | 64 |
# | `reports` | `/reports/{id}`: holds a connection for 25 ms; 503 after a second without one | 48 |
#
# A colleague has planned it by the guide. The app below tells the plan to whoever deploys it.

# %%
from typing import Any

from fastapi import FastAPI

from course_app.exercises.workers.baseline import as_the_guide_says

# %% [markdown]
# It never ran: that would take 15 workers and 300 connections. Make a better plan. The budget:
# **12 connections**, **300 MB** of memory (PSS) and **8 workers**, for all three together.
#
# Measure before you decide. The next cell starts one service with different numbers of workers and
# gives the requests per second of some windows, in the form that the plan wants.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()

REQUESTS = {
    "computes": "/computes",
    "waits": "/waits",
    "reports": get("/reports/{id}", id=uniform(1, lab.users)),
}
CLIENTS = {"computes": 16, "waits": 64, "reports": 48}


def start(workers: int, server: str = "uvicorn", pool: int = 0):
    settings = {"POSTGRES_DSN": lab.postgres_dsn, "POOL_SIZE": str(pool)}
    return lab.serve_processes(
        "course_app.apps.workers:app", program=server, workers=workers, env=settings
    )


def measured(service: str, servers: dict[int, Any]) -> dict[str, list[int]]:
    """Requests per second, window by window, by number of workers."""
    found = lab.sweep(
        {service: lambda workers: servers[int(workers)]},
        REQUESTS[service],
        parameter="workers",
        values=list(servers),
        concurrency=CLIENTS[service],
        windows=4,
    )
    points = found.series[service]
    return {f"{p.value:g}": [round(rate) for rate in p.windows["throughput"]] for p in points}


# %% [markdown]
# For example, one worker for the reports with a pool of 2, and how much memory that takes.

# %%
servers = {1: start(1, pool=2)}
print(measured("reports", servers))
print(f"{servers[1].pss_bytes() / 1e6:.0f} MB")
for server in servers.values():
    server.stop()

# %% [markdown]
# ## When is it done?
#
# - **Contract** (2 points). `GET /plan` gives for each service its `server` (`uvicorn`, `gunicorn`,
#   `hypercorn` or `granian`), its `workers`, the `pool` of each worker (0 for none) and what you
#   have `measured`. The check starts all of it; every request of every client is answered.
# - **Mechanism** (4 points). Counted while it runs: connections and memory stay within the budget.
#   As many workers as bring more requests per second, and no more (here nobody asks for a spare
#   one). **Not to add one is an answer**, where it would not help.
# - **Speed** (2 points). 300 reports per second. No server takes more than 1.5 times the CPU that
#   uvicorn takes for a request.
# - **Hygiene** (2 points). Your choice rests on figures: at least three windows with one worker
#   and with more, for each service. For the reports give both the same number of connections in
#   all: one worker with 12, two with 6 each. Copy the figures into the plan as numbers, because
#   nothing is measured when others grade your notebook. The check measures `computes` and `waits`
#   again and compares.
#
# ## Your answer


# %%
# blank:
def create_app() -> FastAPI:
    raise NotImplementedError("your plan")


# solution:
from course_app.exercises.workers.reference import create_app

# end solution


# %% [markdown]
# The check takes some ten seconds, because it starts your plan.

# %%
from course_app.learn import check

check("12_workers", create_app)

# %% [markdown]
# Stuck? Write `hint("12_workers")` into a cell (`from course_app.learn import hint`); each
# call says a little more. `solution("12_workers")` shows our answer.
