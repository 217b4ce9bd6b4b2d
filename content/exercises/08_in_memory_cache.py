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

Limit = Annotated[int, Query(ge=1, le=50)]
Report = dict[str, Any]

TAG = "SELECT name FROM tags WHERE id = $1"
TOP_AUTHORS = """
SELECT users.id, users.name, count(*) AS posts
FROM post_tags JOIN posts ON posts.id = post_id JOIN users ON users.id = posts.author_id
WHERE tag_id = $1 GROUP BY users.id ORDER BY posts DESC, users.id LIMIT $2
"""


def report_for_each_request(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=8, max_size=8) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    async def load(tag_id: int, limit: int) -> Report:
        try:
            name = await app.state.pool.fetchval(TAG, tag_id)
            authors = await app.state.pool.fetch(TOP_AUTHORS, tag_id, limit)
        except asyncpg.PostgresError:
            raise HTTPException(503, "The database has a problem") from None
        if name is None:
            raise HTTPException(404, "No such tag")
        return {"tag": name, "authors": [dict(author) for author in authors]}

    @app.get("/tags/{tag_id}/authors")
    async def top_authors(tag_id: int, limit: Limit = 10, reader: int | None = None) -> Report:
        report = await load(tag_id, limit)
        for author in report["authors"]:
            if author["id"] == reader:
                author["you"] = True
        return report

    return app


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
#   reader is, and however many other reports were asked for. When 50 clients come upon a report
#   that has expired, one of them fetches it; different reports are fetched side by side.
# - **Speed** (1 point). At least half of what our own solution gains.
# - **Hygiene** (2 points). An error is not kept: when its cause is gone, so is the error. At most
#   **20** reports are kept.
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


def create_app(postgres_dsn: str) -> FastAPI:
    reports: TTLCache[tuple[int, int], Report] = TTLCache(maxsize=20, ttl=1)
    under_way: dict[tuple[int, int], asyncio.Task[Report]] = {}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=8, max_size=8) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    async def load(tag_id: int, limit: int) -> Report:
        try:
            name = await app.state.pool.fetchval(TAG, tag_id)
            authors = await app.state.pool.fetch(TOP_AUTHORS, tag_id, limit)
        except asyncpg.PostgresError:
            raise HTTPException(503, "The database has a problem") from None
        if name is None:
            raise HTTPException(404, "No such tag")
        return {"tag": name, "authors": [dict(author) for author in authors]}

    async def load_once(key: tuple[int, int]) -> Report:
        try:
            report = reports[key] = await load(*key)
            return report
        finally:
            del under_way[key]

    async def cached(key: tuple[int, int]) -> Report:
        if (report := reports.get(key)) is not None:
            return report
        if key not in under_way:
            under_way[key] = asyncio.create_task(load_once(key))
        return await asyncio.shield(under_way[key])

    @app.get("/tags/{tag_id}/authors")
    async def top_authors(tag_id: int, limit: Limit = 10, reader: int | None = None) -> Report:
        shared = await cached((tag_id, limit))
        authors = [
            {**author, "you": True} if author["id"] == reader else author
            for author in shared["authors"]
        ]
        return {**shared, "authors": authors}

    return app


# end solution
# %%
from course_app.learn import check

check("08_in_memory_cache", create_app)

# %% [markdown]
# Stuck? Write `hint("08_in_memory_cache")` into a cell (`from course_app.learn import hint`);
# each call says a little more. `solution("08_in_memory_cache")` shows our answer.
