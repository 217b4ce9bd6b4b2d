"""SQLAlchemy Core, and a lock for each report."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from weakref import WeakValueDictionary

from cachetools import TTLCache
from fastapi import FastAPI, HTTPException, Query
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

Limit = Annotated[int, Query(ge=1, le=50)]
Report = dict[str, Any]

TAG = text("SELECT name FROM tags WHERE id = :tag")
TOP_AUTHORS = text("""
SELECT users.id, users.name, count(*) AS posts
FROM post_tags JOIN posts ON posts.id = post_id JOIN users ON users.id = posts.author_id
WHERE tag_id = :tag GROUP BY users.id ORDER BY posts DESC, users.id LIMIT :limit
""")


def marked(report: Report, reader: int | None) -> Report:
    authors = [a | {"you": True} if a["id"] == reader else a for a in report["authors"]]
    return {"tag": report["tag"], "authors": authors}


def create_app(postgres_dsn: str) -> FastAPI:
    engine = create_async_engine(
        make_url(postgres_dsn).set(drivername="postgresql+asyncpg"), pool_size=8, max_overflow=0
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    cache: TTLCache[tuple[int, int], Report] = TTLCache(maxsize=20, ttl=1.0)
    locks: WeakValueDictionary[tuple[int, int], asyncio.Lock] = WeakValueDictionary()

    async def load(tag_id: int, limit: int) -> Report:
        try:
            async with engine.connect() as conn:
                name = await conn.scalar(TAG, {"tag": tag_id})
                authors = (
                    (await conn.execute(TOP_AUTHORS, {"tag": tag_id, "limit": limit}))
                    .mappings()
                    .all()
                )
        except DBAPIError:
            raise HTTPException(503, "The database has a problem") from None
        if name is None:
            raise HTTPException(404, "No such tag")
        return {"tag": name, "authors": [dict(author) for author in authors]}

    async def cached(tag_id: int, limit: int) -> Report:
        key = tag_id, limit
        if (found := cache.get(key)) is not None:
            return found
        lock = locks.get(key)
        if lock is None:
            lock = locks[key] = asyncio.Lock()
        async with lock:
            if (found := cache.get(key)) is None:
                found = cache[key] = await load(tag_id, limit)
        return found

    @app.get("/tags/{tag_id}/authors")
    async def top_authors(tag_id: int, limit: Limit = 10, reader: int | None = None) -> Report:
        report = await cached(tag_id, limit)
        return marked(report, reader)

    return app
