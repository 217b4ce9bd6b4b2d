# %% [markdown]
# # Exercise 09 - A shared cache that is never wrong
#
# A blog shows a summary of each tag: how many posts, how many comments, when the last one was
# written. PostgreSQL has the indices that it needs and still reads thousands of rows for it, again
# and again. Users are looked up by their number; a colleague has given *these* a cache.
#
# Give the summaries a cache in Valkey, and find out whether the users' cache is worth having. [The
# lesson](../notebooks/09_redis_cache.ipynb) has what you need, but for one thing, which is yours to
# find: what becomes of a write while Valkey is away.

# %%
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel

from course_app.exercises.redis_cache.baseline import Summary, User, Name, Comment

# %%
from course_app.exercises.redis_cache.baseline import INDICES, SUMMARY, COMMENT, new_app

# %% [markdown]
# The users, with a cache or without one:

# %%
from course_app.exercises.redis_cache.baseline import add_users

# %% [markdown]
# The writes may stay as they are. After each of them they call `changed`, which does nothing yet.

# %%
from course_app.exercises.redis_cache.baseline import Changed, tell_nobody, add_writes

# %% [markdown]
# And this is the app:

# %%
from course_app.exercises.redis_cache.baseline import as_it_is

# %% [markdown]
# See what it costs before you change it.

# %%
from course_app.lab import Lab, get, uniform

lab = Lab()
slow = as_it_is(lab.postgres_dsn, lab.valkey_url)
lab.measure(slow, get("/tags/{id}/summary", id=uniform(1, 200)), concurrency=4, name="summaries")

# %%
all_users = get("/users/{id}", id=uniform(1, lab.users))
lab.measure(slow, all_users, name="users")

# %% [markdown]
# ## When is it done?
#
# - **Contract** (2 points). Every answer is as before, 404 and 422 too, whether it comes from the
#   cache or not. After a write, the next answer shows it.
# - **Mechanism** (3 points). A summary that was asked for before costs no SQL statement, also
#   after the app was restarted: the cache is Valkey's alone. Users, all of them asked for alike,
#   are cached only if that helps, and `measured` says why.
# - **Speed** (1 point). At least half of what our own solution gains.
# - **Hygiene** (4 points). Summaries are kept in Valkey, and every key there expires, within an
#   hour. When Valkey is cut off or silent, reads and writes go on and are right; in silence an
#   answer comes within a second. When Valkey is back with its old entries, it is used again within
#   three seconds, and a write during the outage is seen, by the process that wrote; others may show
#   old entries until they expire. And a write is seen although a slow read was under way meanwhile.
#
# What the given app does already counts once your answer does something that it does not.
#
# The first two points of hygiene are daily bread, the last two are hard. Eight points without them
# are a good result.
#
# ## Your answer
#
# First the users. Compare the app as it is with one whose users are not cached, and write the
# numbers down as numbers: hits per request for the app as it is, and how many times as fast the
# other one is, with its interval. The lab asks for the same users each time, and an entry lives for
# a minute: empty the cache before you measure again.

# %%
from redis import Redis

Redis.from_url(lab.valkey_url).flushdb()

# %%
# blank:
measured = None  # {"hits_per_request": ..., "times_as_fast_without": [low, estimate, high]}


# solution:
def without_users_cache(postgres_dsn: str, valkey_url: str) -> FastAPI:
    app = new_app(postgres_dsn, valkey_url)
    add_users(app, cached=False)
    return app


direct = without_users_cache(lab.postgres_dsn, lab.valkey_url)
users = lab.compare({"with the cache": slow, "without": direct}, all_users, most_rounds=6)
print(users)

# What it said on our machine.
measured = {"hits_per_request": 0.0, "times_as_fast_without": [1.65, 1.79, 1.94]}


# end solution
# %% [markdown]
# Then the summaries. Write `create_app`; begin with a copy of `as_it_is`. `new_app` passes options
# on to the client of Valkey. The check calls `create_app` with the addresses of fresh databases.


# %%
# blank:
def create_app(postgres_dsn: str, valkey_url: str) -> FastAPI:
    raise NotImplementedError("your answer")


# solution:
import secrets
import time
from collections.abc import Awaitable, Callable

from course_app.exercises.redis_cache.reference import Cache, create_app

# end solution
# %%
from course_app.learn import check

check("09_redis_cache", create_app, measured=measured)

# %% [markdown]
# Stuck? Write `hint("09_redis_cache")` into a cell (`from course_app.learn import hint`); each
# call says a little more. `solution("09_redis_cache")` shows our answer.
