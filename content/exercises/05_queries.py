# %% [markdown]
# # Exercise 05 - A report in one query
#
# `GET /report` lists the newest posts with the name of the author and the tags, page by page:
# `next` of an answer is the `cursor` of the following page. It was quick with a hundred posts. Now
# there are 100,000: every page takes long, deep pages take longer, and readers complain that posts
# come twice.
#
# Make it fast and right. Everything that you need is in
# [the lesson](../notebooks/05_queries.ipynb).

# %%
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI

from course_app.exercises.queries.baseline import PAGE, AUTHOR, TAGS, slow_report

# %% [markdown]
# Look at the statements and at the buffers of one request before you change anything.

# %%
from course_app.lab import Lab

lab = Lab()
lab.measure(slow_report(lab.postgres_dsn), "/report?limit=20", concurrency=2, name="as it is")

# %% [markdown]
# ## When is it done?
#
# - **Contract** (3 points). The same posts in the same order, newest first (by `created_at`, then
#   `id`), with the same fields, and as they are in the database now. Who turns the page meets no
#   post twice and misses none, although others write and delete posts meanwhile. What a cursor
#   looks like is up to you, as long as it is text; best is one that can stand in a URL as it is
#   (a `+` is a space there).
# - **Mechanism** (4 points). At most **2** statements a request, however many posts. At most
#   **300** buffers for a page of five, on the first page and a thousand posts further down. Long
#   bodies of posts cost nothing. Your app may create an index when it starts (elsewhere, a
#   migration would).
# - **Speed** (2 points). At least half of what our own solution gains.
# - **Hygiene** (1 point). A `limit` outside of 1 to 100 is refused with status 422, and so is a
#   `cursor` that is none. `next` is null if the page was not full; after a full last page an empty
#   one may come, with status 200.
#
# Write `create_app`. Begin with a copy of the function above. The check calls it with the address
# of a fresh database.


# %%
# blank:
def create_app(postgres_dsn: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
from datetime import UTC, datetime
from typing import Annotated

from fastapi import HTTPException, Query

from course_app.exercises.queries.reference import (
    INDEX,
    REPORT,
    place_of,
    cursor_of,
    create_app,
)

# end solution
# %%
from course_app.learn import check

check("05_queries", create_app)

# %% [markdown]
# Stuck? Write `hint("05_queries")` into a cell (`from course_app.learn import hint`); each call
# says a little more. `solution("05_queries")` shows our answer.
