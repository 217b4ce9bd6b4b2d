# %% [markdown]
# # Exercise 04 - Connect once, not for each request
#
# A colleague wrote a small service that reads users and posts. Every answer is right, and the
# code is tidy. But it opens a connection to PostgreSQL for each request, so it is slow, and
# at 200 clients at once PostgreSQL turns most of them away.
#
# Give it a pool. You find everything that you need in
# [the lesson](../notebooks/04_connection_pooling.ipynb).

# %%
from collections.abc import AsyncIterator
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, HTTPException

from course_app.exercises.connection_pooling.baseline import connect_per_request

# %% [markdown]
# See it connect before you change it: look at the sessions per request.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()
one_user = get("/users/{user_id}", user_id=uniform(1, lab.users))
lab.measure(connect_per_request(lab.postgres_dsn), one_user, concurrency=16, name="as it is")

# %% [markdown]
# ## When is it done?
#
# - **Contract** (2 points). Every answer is as before, also 404 and 422, and shows what is in
#   the database now.
# - **Mechanism** (4 points). No request opens a connection. At most **10** connections are ever
#   open, because four services share this PostgreSQL; but statements that wait do so side by
#   side. When 100 clients come at once, right after the start, all of them are served.
# - **Speed** (2 points). At least half of what our own solution gains.
# - **Hygiene** (2 points). Who gets no connection within one second is told so with status 503.
#   When the app ends, its connections are closed.
#
# What the given app does already counts once your answer does something that it does not.
#
# Write `create_app`. Begin with a copy of the function above. The check calls it with the address
# of a fresh database.


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
from contextlib import asynccontextmanager

from course_app.exercises.connection_pooling.reference import create_app

# end solution
# %%
from course_app.learn import check

check("04_connection_pooling", create_app)

# %% [markdown]
# Stuck? Write `hint("04_connection_pooling")` into a cell (`from course_app.learn import hint`);
# each call says a little more. `solution("04_connection_pooling")` shows our answer.
