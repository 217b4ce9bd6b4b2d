# %% [markdown]
# # Exercise 16 - Two causes and a rumour
#
# A bookshop has seven routes, and it has become slow. The seed draws what it suffers from: **two**
# causes, each on a route of its own, and something that only looks like one. Take a number that
# nobody else takes, such as your student number: your patient is then your own. You hand in what
# you found, and a mended app.

# %%
seed = 5

# %%
from course_app.apps.patients import made_of, patient_of
from course_app.apps.suspects import sow, sown
from course_app.lab import Lab, get, uniform

lab = Lab()
sow(lab.postgres_dsn, seed)

# %% [markdown]
# The complaint, and the app as you find it. Lines that look slow are not always those that are:
# measure before you believe, also what you read.

# %%
patient = patient_of(seed)
print(patient.complaint)

# %%
print(patient.source)

# %% [markdown]
# The seed is written into the database, so that the check can make the same app in a database of
# its own.

# %%
from fastapi import FastAPI

from course_app.exercises.clinic.baseline import as_found

# %% [markdown]
# ## When is it done?
#
# - **Contract** (2 points). Every answer is as before, errors too, and shows what is true now. The
#   partner (prices, customers) is asked for each request.
# - **Mechanism** (6 points). Your findings name both causes, each with the function that it is in
#   (3 points). Both causes are gone (3): what each makes too much of is counted at its route.
# - **Speed** (2 points). At both routes at least a quarter of what our own repair gains.
#
# Causes have the names that `lab.examine` gives them: `blocked_loop`, `threads_exhausted`,
# `connection_per_request`, `pool_wait`, `n_plus_one`, `missing_index`, `deep_offset`,
# `sequential_awaits`, `slow_serialization`, `middleware_overhead`, `compression_cost`,
# `lock_contention`, `stampede`, `growing_memory`, `fails_under_load`. Six of them can be planted
# here.
#
# ## The examination
#
# `lab.measure` counts, `lab.trace(...).plot()` draws a waterfall, `lab.profile(...).plot()` a flame
# graph, and `lab.bystanders` shows who waits for whom. One route and one client are a beginning:
# ask the other six (an order needs `?token=...`), and then with twelve clients.
#
# An index that your mended app has made stays in the database: before you measure the patient
# again, drop it, or run the notebook from its first cell. `lab.examine(as_found)` is a colleague
# with an opinion. Ask it after your own findings, and check what it says.

# %%
one_post = get("/posts/{n}", n=uniform(1, lab.posts))
lab.measure(as_found(lab.postgres_dsn), one_post, concurrency=1, name="/posts/[n]")

# %% [markdown]
# ## The findings
#
# Two entries: a cause, and the name of the function in which requests lose their time (the handler,
# or what it calls or depends on).

# %%
# blank:
findings = {}
# solution:
findings = {"n_plus_one": "newest", "connection_per_request": "read_user"}
# end solution

# %% [markdown]
# ## The repair
#
# Copy the source from above into the next cell, and change what has to be changed there. It may
# create an index when it starts (elsewhere, a migration would). What costs nothing may stay.


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, HTTPException, Query
from pydantic import BaseModel

from course_app.apps.partner import list_price_async, load_session

from course_app.exercises.clinic.reference import (
    INDICES,
    NEWEST,
    POST,
    COMMENTS,
    USER,
    MEMBERS,
    Member,
    customer,
    found,
    create_app,
)

# end solution
# %%
from course_app.learn import check

check("16_clinic", create_app, seed=seed, findings=findings)

# %% [markdown]
# Stuck? Write `hint("16")` into a cell (`from course_app.learn import hint`); each call says a
# little more. `solution("16")` shows our app for the seed 5.
