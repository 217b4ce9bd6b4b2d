# %% [markdown]
# # 00 - Start here
#
# This course makes FastAPI applications fast by measuring them. Every lesson starts a real
# server inside the notebook, with a real PostgreSQL and a real Valkey beside it, changes **one**
# thing, and shows what that did: how much, how sure that is, and why.
#
# This first lesson is about the tools. Run the cells from top to bottom (Shift+Enter); ten
# minutes are plenty.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab("00")

# %% [markdown]
# Those lines are the card of your machine. PostgreSQL holds a blog with 100,000 users and as many
# posts. Both servers belong to this notebook and vanish with it. Nothing was installed on your
# system.
#
# ## A first measurement
#
# Here is an ordinary FastAPI app. `asyncio.sleep` stands for three other services that each take
# 20 ms to answer.

# %%
import asyncio

from fastapi import FastAPI

one_by_one = FastAPI()


async def ask(service: str) -> str:
    await asyncio.sleep(0.020)
    return f"{service} is fine"


@one_by_one.get("/status")
async def status():
    return [await ask("billing"), await ask("search"), await ask("mail")]


# %% [markdown]
# An answer will take a little over 60 ms. For how many of these does the server itself compute?
# Write your guess in place of the dots before you go on: being wrong now is how a result stays in
# mind. (If you leave the dots, nothing is predicted, and all the rest runs as well.)

# %%
guess_cpu = lab.predict(..., "ms of the server's CPU for one answer")

# %% [markdown]
# `lab.measure` serves the app and sends requests for a second, from a process of its own: eight
# clients at once, each sending its next request as soon as it has an answer.

# %%
first = lab.measure(one_by_one, "/status", concurrency=8, name="one by one")
first.plot()

# %%
print(guess_cpu.against(round(first.cpu_us_per_request / 1e3, 2)))
first

# %% [markdown]
# That is one run, and the next one will give other figures: how sure a figure is, an interval
# tells, and that comes below. Read the table like this:
#
# - **p50** is the median: half of the requests were faster. **p90** is what one in ten exceeds.
#   An average would hide both. p99 is shown from 1,000 requests on: below that, a handful decides.
# - **server CPU** is what a request costs the server. A client waits for that and for all the rest:
#   here for three other services, and for its turn.
# - Counts say what *happened* during a request. Clocks are noisy, counts are not. Those that
#   seldom matter are folded.
# - The last lines tell how noisy the machine was. Other programs slow down what you measure, and
#   you should know when they did.
#
# ## Predict, then compare
#
# `asyncio.gather` asks all three services at the same time. How many times as fast will the
# handler answer?

# %%
guess = lab.predict(..., "times as fast when asked together")

# %%
together = FastAPI()


@together.get("/status")
async def status_together():
    return await asyncio.gather(ask("billing"), ask("search"), ask("mail"))


comparison = lab.compare({"one by one": one_by_one, "together": together}, "/status", concurrency=8)
print(guess.against(comparison.speedup()))
comparison.plot(predicted=guess, counters=[])

# %% [markdown]
# The two apps took turns, a fifth of a second each, back and forth. Every pair of turns gives
# one ratio, so a slow moment of your machine mostly hits both sides.
#
# The bracket is the **interval**. The way in which it is made catches the truth 99 times in a
# hundred (where it is another share, the bracket says so). Read the interval before the number in
# front of it. "2.9x [2.8, 3.0]" is a result; "2.9x [0.8, 9.0]" would be a rumour.

# %%
comparison

# %% [markdown]
# ## Why it is faster
#
# A timeline shows a few requests one by one, as the client and the server saw them. A bar has three
# parts: **queueing**, from sending until the app is called; **service**, until the app is done; and
# **write-back**, until the answer has arrived.

# %%
import numpy as np

from course_app.plots import plot_timelines

lines = {
    name: lab.timeline(app, "/status", requests=24, concurrency=8)
    for name, app in {"one by one": one_by_one, "together": together}.items()
}
took = ", ".join(f"{line.total_ms:.0f} ms {name}" for name, line in lines.items())
plot_timelines(lines, title=f"24 requests of 8 clients: {took}")

# %%
for name, line in lines.items():
    low, middle, high = np.quantile(line.service_ms, (0, 0.5, 1))
    print(f"{name}: service takes {low:.0f} to {high:.0f} ms, the median is {middle:.0f} ms")

# %% [markdown]
# Service holds the waiting for the three services, 20 ms each: one after another, or at the same
# time. The handler asks for the same and gets the same.

# %% [markdown]
# ## When there is nothing to find
#
# What does the lab say when both sides are the same app? Many a blog post reports a difference
# here.

# %%
nothing = lab.compare({"an app": together, "the same app": together}, "/status", concurrency=8)
nothing

# %% [markdown]
# There are three verdicts, and every lesson uses them:
#
# - **faster**: the whole interval lies above 1.1. Less is hardly worth a line of code.
# - **not faster**: the whole interval lies below 1.1. "Hardly faster", if it lies above 1;
#   "slower", if it lies below 1 / 1.1, which is 0.91.
# - **cannot tell**: 1.1 lies inside. More time or a quieter machine would decide it. A point
#   estimate never does. ("Somewhat faster", if it lies above 1 all the same.)
#
# ## The database is real
#
# The same three steps work for anything. Here PostgreSQL reads one user by primary key.

# %%
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with asyncpg.create_pool(lab.postgres_dsn, min_size=4, max_size=4) as app.pool:
        yield


users = FastAPI(lifespan=lifespan)


@users.get("/users/{user_id}")
async def read_user(user_id: int):
    row = await users.pool.fetchrow("SELECT id, name FROM users WHERE id = $1", user_id)
    return dict(row)


lab.measure(users, get("/users/{user_id}", user_id=uniform(1, lab.users)), name="one user")

# %% [markdown]
# How many SQL statements a request made and how many buffers (pages of 8 KiB) they read,
# PostgreSQL itself counted. Unfold the table for what the pool asks besides, to reset a connection
# that comes back. In the coming lessons such counts are the evidence; the clock only says what
# they are worth.
#
# ## How the course works
#
# - Lessons follow a well-known tuning guide. Each of its claims gets a **verdict** from your
#   machine: holds, holds when ..., outdated, wrong. If a condition behind it fails on your machine,
#   it says *not confirmed here*; if an interval holds the bar, *cannot tell*.
# - Most lessons come with an **exercise** in `exercises/`, which checks itself: answers first,
#   then the cause, then speed. `solutions/` has a way to do it.
# - Change anything and run it again. The lab survives an interrupted cell, and the first cell
#   starts it anew.
#
# Next: [01 - A baseline you can trust](01_baseline.ipynb), where the guide's own stopwatch is
# measured itself.
