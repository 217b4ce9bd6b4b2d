# %% [markdown]
# # Exercise 14 - The fastest blog that is never wrong
#
# This is the guide's blog, with one thing mended already: it pages by cursor
# (`/posts?before=ID&limit=N`). The rest is as you know it from
# [the lesson](../notebooks/14_blog_api.ipynb): no index, a stopwatch that costs more than what it
# times, JSON text that is parsed and checked on every hit, one key deleted after a write.
#
# Make it as fast as you can. There is one condition: no list may ever be older than the last
# answered write. The blog runs in several workers, and while one of them writes, others read.

# %%
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from course_app.exercises.blog_api.baseline import NewPost, Post

# %%
from course_app.exercises.blog_api.baseline import slow_blog

# %% [markdown]
# See what it costs before you change it. The traffic is the lesson's: single posts, pages, and 5 %
# new posts.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()
pages = get("/posts?before={post_id}&limit=10", post_id=uniform(1, lab.posts))
lab.measure(slow_blog(lab.postgres_dsn, lab.valkey_url), pages, concurrency=4, name="as it is")

# %% [markdown]
# ## When is it done?
#
# - **Contract** (4 points). Posts and pages are as before, also 404; the header `X-Process-Time`
#   may go. After a POST was answered, every list shows the new post, whatever its `limit`, and so
#   does `/posts/ID`. That is looked at in 1500 requests that you do not know beforehand, with two
#   workers, and with a reader whose answer from PostgreSQL is overtaken by a write. A `limit`
#   outside of 1 to 100 is a 422.
# - **Mechanism** (3 points). A page that is not in the cache takes at most 200 buffers. With
#   popular posts and pages, 4 requests take at most 3 SQL statements. When 50 clients miss the
#   same page at once, one query answers them all.
# - **Speed** (2 points). On cache hits, at least half of what our own solution gains in CPU.
# - **Hygiene** (1 point). Posts and pages are kept in Valkey, and every key there expires.
#
# Write `create_app`. The check calls it with the addresses of a fresh database and an empty
# Valkey, which is there at all times (exercise 09 was about the other case). The app may create an
# index in its lifespan (elsewhere, a migration would).


# %%
# blank:
def create_app(postgres_dsn: str, valkey_url: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Query, Response
from pydantic import Field, TypeAdapter

from course_app.exercises.blog_api.reference import (
    INDEX,
    NEWEST,
    OLDER,
    POSTS,
    BigInt,
    as_json,
    create_app,
)

# end solution
# %%
from course_app.learn import check

check("14_blog_api", create_app)

# %% [markdown]
# Every attempt is kept. `leaderboard` shows yours, the fastest first (only those whose answers were
# right), so you see whether the last idea was one.

# %%
from course_app.learn import leaderboard

leaderboard("14_blog_api")

# %% [markdown]
# Stuck? Write `hint("14_blog_api")` into a cell (`from course_app.learn import hint`); each call
# says a little more. `solution("14_blog_api")` shows our answer.
