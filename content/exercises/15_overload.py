# %% [markdown]
# # Exercise 15 - Serve what you can
#
# A shop has its vouchers sealed by a service of its own. A seal takes some 3 ms of hashing, on
# purpose: nobody shall find one by trying. The service runs in one process, and its clients wait
# for 100 ms; then they hang up, and most of them try again. On the day of the sale it goes down
# at a third more requests than it can serve, and stays down when the rush is over.
#
# Let it serve what it can. [The lesson](../notebooks/15_overload.ipynb) says what to refuse by: how
# long the queue is. Its `Shedding` tells that from how late the loop is, which is too rough here.
# Let requests wait where the app sees them, in a line of its own.

# %%
from hashlib import sha256
from typing import Any

from fastapi import FastAPI, HTTPException

from course_app.exercises.overload.baseline import ROUNDS, seal_of, takes_everything

# %% [markdown]
# See it fall over. Its capacity is what it serves while two clients wait for each answer. Then
# strangers come: fewer than that for a second, half as many again for another, then few again.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()
voucher = get("/vouchers/{number}", number=uniform(1, 10**9))


def see(app: FastAPI):
    calm = lab.measure(takes_everything(), voucher, concurrency=2).throughput
    rush = [(1.0, 0.7 * calm), (1.0, 1.5 * calm), (1.0, 0.7 * calm)]
    return lab.visitors(app, voucher, phases=rush)


see(takes_everything())

# %% [markdown]
# ## When is it done?
#
# Everything is judged against the capacity of the app above, measured in the same check.
#
# - **Contract** (1 point). Alone every request is answered as before, errors too.
# - **Mechanism** (8 points). At 1.5 times the capacity, **80 % of it or more is answered rightly
#   within 100 ms** (3 points), and `/health` within 50 ms (1). Two seconds after a burst of 2.5
#   times the capacity, by clients who try again, all is well (2). At 3 times, whoever gets no
#   answer gets **503 with `Retry-After`**, one second or more, at once (1). At 0.7 of the capacity
#   nobody is turned away (1).
# - **Hygiene** (1 point). Left alone, the app uses no CPU.
#
# What the given app does already counts once your answer does something that it does not.
#
# Seals cost what they cost, and one process has to do: `create_app` decides who gets one. It may
# begin with `takes_everything()`. The check runs on slower machines than yours, too.
#
# ## Your answer


# %%
# blank:
def create_app() -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
import asyncio
import random
import time
from collections import deque

from starlette.responses import PlainTextResponse

from course_app.exercises.overload.reference import Line, create_app

# end solution


# %% [markdown]
# The check takes some fifteen seconds: it sends a rush or two.

# %%
from course_app.learn import check

check("15_overload", create_app)

# %% [markdown]
# Stuck? Write `hint("15_overload")` into a cell (`from course_app.learn import hint`); each
# call says a little more. `solution("15_overload")` shows our answer.
