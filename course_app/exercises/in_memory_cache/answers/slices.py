"""One report for each tag, of which an answer takes as much as it was asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from weakref import WeakValueDictionary

import asyncpg
from cachetools import TTLCache
from fastapi import FastAPI, HTTPException, Query

Limit = Annotated[int, Query(ge=1, le=50)]
Report = dict[str, Any]

TAG = "SELECT name FROM tags WHERE id = $1"
TOP_AUTHORS = """
SELECT users.id, users.name, count(*) AS posts
FROM post_tags JOIN posts ON posts.id = post_id JOIN users ON users.id = posts.author_id
WHERE tag_id = $1 GROUP BY users.id ORDER BY posts DESC, users.id LIMIT 50
"""


def marked(report: Report, limit: int, reader: int | None) -> Report:
    first = report["authors"][:limit]
    authors = [a | {"you": True} if a["id"] == reader else a for a in first]
    return {"tag": report["tag"], "authors": authors}


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=8, max_size=8) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    cache: TTLCache[int, Report] = TTLCache(maxsize=20, ttl=1.0)
    locks: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def load(tag_id: int) -> Report:
        try:
            name = await app.state.pool.fetchval(TAG, tag_id)
            authors = await app.state.pool.fetch(TOP_AUTHORS, tag_id)
        except asyncpg.PostgresError:
            raise HTTPException(503, "The database has a problem") from None
        if name is None:
            raise HTTPException(404, "No such tag")
        return {"tag": name, "authors": [dict(author) for author in authors]}

    async def cached(tag_id: int) -> Report:
        if (found := cache.get(tag_id)) is not None:
            return found
        lock = locks.get(tag_id)
        if lock is None:
            lock = locks[tag_id] = asyncio.Lock()
        async with lock:
            if (found := cache.get(tag_id)) is None:
                found = cache[tag_id] = await load(tag_id)
        return found

    @app.get("/tags/{tag_id}/authors")
    async def top_authors(tag_id: int, limit: Limit = 10, reader: int | None = None) -> Report:
        return marked(await cached(tag_id), limit, reader)

    return app
