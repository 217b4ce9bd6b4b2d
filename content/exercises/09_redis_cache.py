# %% [markdown]
# # Exercise 09 - A shared cache that is never wrong
#
# A blog shows a summary of each tag: how many posts, how many comments, when the last one was
# written. PostgreSQL has the indices that it needs and still reads thousands of rows for it, again
# and again. Users are looked up by their number; a colleague has given *these* a cache.
#
# Give the summaries a cache in Valkey, and find out whether the users' cache is worth having. You
# find everything that you need in [the lesson](../notebooks/09_redis_cache.ipynb).

# %%
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

import asyncpg
import redis.asyncio as redis
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel


class Summary(BaseModel):
    id: int
    name: str
    posts: int
    comments: int
    newest: datetime | None


class User(BaseModel):
    id: int
    name: str
    email: str


class Name(BaseModel):
    name: str


class Comment(BaseModel):
    author_id: int
    body: str


# %%
INDICES = """
CREATE INDEX IF NOT EXISTS post_tags_tag ON post_tags (tag_id);
CREATE INDEX IF NOT EXISTS comments_post ON comments (post_id)"""
SUMMARY = """
SELECT t.id, t.name, count(DISTINCT p.post_id) AS posts, count(c.id) AS comments,
    max(c.created_at) AS newest
FROM tags AS t LEFT JOIN post_tags AS p ON p.tag_id = t.id LEFT JOIN comments AS c USING (post_id)
WHERE t.id = $1 GROUP BY t.id"""
COMMENT = """
INSERT INTO comments (post_id, author_id, body)
SELECT id, $2, $3 FROM posts WHERE id = $1 RETURNING id"""


def new_app(postgres_dsn: str, valkey_url: str, **options: Any) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            asyncpg.create_pool(postgres_dsn, min_size=8, max_size=8) as app.state.pool,
            redis.from_url(valkey_url, **options) as app.state.valkey,
        ):
            await app.state.pool.execute(INDICES)
            yield

    return FastAPI(lifespan=lifespan)


# %% [markdown]
# The users, with a cache or without one:


# %%
def add_users(app: FastAPI, cached: bool) -> None:
    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> User:
        if cached and (body := await app.state.valkey.get(f"user:{user_id}")):
            return User.model_validate_json(body)
        query = "SELECT id, name, email FROM users WHERE id = $1"
        row = await app.state.pool.fetchrow(query, user_id)
        if row is None:
            raise HTTPException(404, "No such user")
        user = User(**row)
        if cached:
            await app.state.valkey.set(f"user:{user_id}", user.model_dump_json(), ex=60)
        return user


# %% [markdown]
# The writes may stay as they are. After each of them they call `changed`, which does nothing yet.


# %%
class Changed(Protocol):
    """Is told, after each write, which tag has changed, or on which post there is a comment."""

    async def __call__(self, *, tag_id: int | None = None, post_id: int | None = None) -> None: ...


async def tell_nobody(*, tag_id: int | None = None, post_id: int | None = None) -> None: ...


def add_writes(app: FastAPI, changed: Changed) -> None:
    @app.post("/tags", status_code=201)
    async def add_tag(tag: Name) -> dict[str, int]:
        query = "INSERT INTO tags (name) VALUES ($1) RETURNING id"
        tag_id = await app.state.pool.fetchval(query, tag.name)
        await changed(tag_id=tag_id)
        return {"id": tag_id}

    @app.put("/tags/{tag_id}", status_code=204)
    async def rename_tag(tag_id: int, tag: Name) -> Response:
        query = "UPDATE tags SET name = $2 WHERE id = $1 RETURNING id"
        if await app.state.pool.fetchval(query, tag_id, tag.name) is None:
            raise HTTPException(404, "No such tag")
        await changed(tag_id=tag_id)
        return Response(status_code=204)

    @app.post("/posts/{post_id}/comments", status_code=201)
    async def add_comment(post_id: int, comment: Comment) -> dict[str, int]:
        values = (post_id, comment.author_id, comment.body)
        comment_id = await app.state.pool.fetchval(COMMENT, *values)
        if comment_id is None:
            raise HTTPException(404, "No such post")
        await changed(post_id=post_id)
        return {"id": comment_id}


# %% [markdown]
# And this is the app:


# %%
def as_it_is(postgres_dsn: str, valkey_url: str) -> FastAPI:
    app = new_app(postgres_dsn, valkey_url)
    add_users(app, cached=True)
    add_writes(app, tell_nobody)

    @app.get("/tags/{tag_id}/summary")
    async def summary(tag_id: int) -> Summary:
        row = await app.state.pool.fetchrow(SUMMARY, tag_id)
        if row is None:
            raise HTTPException(404, "No such tag")
        return Summary(**row)

    return app


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
# - **Hygiene** (4 points). Every key expires, within an hour. When Valkey is cut off, answers stay
#   right; when it is silent, they come within a second. A write during an outage is seen also when
#   Valkey is back with its old entries, by the process that wrote; others may show them until they
#   expire. And a write is seen although a slow read was under way meanwhile.
#
# The first two points of hygiene are daily bread, the last two are hard. Eight points without them
# are a good result.
#
# ## Your answer
#
# First the users. Compare the app as it is with one whose users are not cached, and write the
# numbers down as numbers: hits per request for the app as it is, and how many times as fast the
# other one is, with its interval.

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

# What it said on our machine; the hits are the same everywhere.
measured = {"hits_per_request": 0.0, "times_as_fast_without": [1.2, 1.5, 1.9]}


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


class Cache:
    """Entries that bear a stamp, and count only while it is the stamp of now.

    A write sets a new one. If Valkey is away then, that is made up for before anything else is
    asked of it by the process that wrote. Another process cannot know: until the writer is asked
    again it may show an old entry, for as long as entries live.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.unsettled_here: dict[int, str] = {}
        self.away_until = 0.0

    async def find(self, tag_id: int) -> tuple[bytes | None, bytes | None]:
        """The stamp of now and the body under it; no stamp while Valkey is away."""
        await self.settle()
        keys = (f"stamp:{tag_id}", f"summary:{tag_id}")
        found = None if self.unsettled_here else await self.ask(self.app.state.valkey.mget, keys)
        if found is None:
            return None, None
        stamp, entry = found[0] or b"none", found[1] or b""
        return stamp, entry.removeprefix(stamp) if entry.startswith(stamp) else None

    async def keep(self, tag_id: int, stamp: bytes | None, body: bytes) -> None:
        if stamp is not None:
            await self.ask(self.app.state.valkey.set, f"summary:{tag_id}", stamp + body, ex=60)

    async def changed(self, *, tag_id: int | None = None, post_id: int | None = None) -> None:
        tags = [tag_id] if tag_id is not None else await self.tags_of(post_id)
        self.unsettled_here.update((tag, secrets.token_hex(8)) for tag in tags)
        await self.settle()

    async def tags_of(self, post_id: int | None) -> list[int]:
        query = "SELECT tag_id FROM post_tags WHERE post_id = $1"
        return [row["tag_id"] for row in await self.app.state.pool.fetch(query, post_id)]

    async def settle(self) -> None:
        """Stamp what was written to; a stamp lives longer than all entries from before it."""
        pending = dict(self.unsettled_here)
        if not pending:
            return
        pipeline = self.app.state.valkey.pipeline(transaction=False)
        for tag, stamp in pending.items():
            pipeline.set(f"stamp:{tag}", stamp, ex=3600)
        if await self.ask(pipeline.execute) is not None:
            for tag, stamp in pending.items():
                if self.unsettled_here.get(tag) == stamp:
                    del self.unsettled_here[tag]

    async def ask(self, command: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        """Valkey's answer, or None while it is away; it is not asked again for half a second."""
        if time.monotonic() < self.away_until:
            return None
        try:
            return await command(*args, **options)
        except redis.RedisError:
            self.away_until = time.monotonic() + 0.5
            return None


def create_app(postgres_dsn: str, valkey_url: str) -> FastAPI:
    app = new_app(postgres_dsn, valkey_url, socket_timeout=0.1, socket_connect_timeout=0.1)
    cache = Cache(app)
    add_users(app, cached=False)
    add_writes(app, cache.changed)

    @app.get("/tags/{tag_id}/summary", response_model=Summary)
    async def summary(tag_id: int) -> Response:
        stamp, body = await cache.find(tag_id)
        if body is None:
            row = await app.state.pool.fetchrow(SUMMARY, tag_id)
            body = Summary(**row).model_dump_json().encode() if row else b""
            await cache.keep(tag_id, stamp, body)
        if not body:
            raise HTTPException(404, "No such tag")
        return Response(body, media_type="application/json")

    return app


# end solution
# %%
from course_app.learn import check

check("09_redis_cache", create_app, measured=measured)

# %% [markdown]
# Stuck? Write `hint("09_redis_cache")` into a cell (`from course_app.learn import hint`); each
# call says a little more. `solution("09_redis_cache")` shows our answer.
