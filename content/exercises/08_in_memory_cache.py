# %% [markdown]
# # Exercise 08 - Make the report once, for all who ask
#
# Which authors write most about a tag? A colleague's service answers that, and tells a reader who
# is among the authors so: `"you": true`. Every answer is right. But each of them makes PostgreSQL
# read a table, and the page has become popular.
#
# Give it a cache. You find everything that you need in
# [the lesson](../notebooks/08_in_memory_cache.ipynb).

# %%
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, HTTPException, Query

from course_app.exercises.in_memory_cache.baseline import (
    Limit,
    Report,
    TAG,
    TOP_AUTHORS,
    report_for_each_request,
)

# %% [markdown]
# Count before you change it: statements and buffers per request.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()
popular = get("/tags/{tag}/authors", tag=uniform(1, 3))
lab.measure(report_for_each_request(lab.postgres_dsn), popular, concurrency=4, name="as it is")

# %% [markdown]
# ## When is it done?
#
# - **Contract** (3 points). Every answer is as before, also 404 and 422. The mark `you` stands in
#   the answer of that reader and in no other. No answer is older than **one second** (and
#   the moment that a fetch takes).
# - **Mechanism** (4 points). A report that was made a moment ago costs no statement, whoever the
#   reader is. That holds also after many other reports were asked for: a full cache makes room.
#   When 50 clients come upon a report that has expired, one of them fetches it; different reports
#   are fetched side by side.
# - **Speed** (1 point). At least half of what our own solution gains.
# - **Hygiene** (2 points). An error is not kept: when its cause is gone, so is the error. At most
#   **20** reports are kept.
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
import asyncio

from cachetools import TTLCache

from course_app.exercises.in_memory_cache.reference import create_app

# end solution
# %%
from course_app.learn import check

check("08_in_memory_cache", create_app)

# %% [markdown]
# Stuck? Write `hint("08_in_memory_cache")` into a cell (`from course_app.learn import hint`);
# each call says a little more. `solution("08_in_memory_cache")` shows our answer.
