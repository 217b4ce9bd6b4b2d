"""A good answer; ``solution(...)`` shows its source."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from cachetools import TTLCache
from fastapi import FastAPI, HTTPException

from course_app.exercises.in_memory_cache.baseline import TAG, TOP_AUTHORS, Limit, Report


def create_app(postgres_dsn: str) -> FastAPI:
    reports: TTLCache[tuple[int, int], Report] = TTLCache(maxsize=20, ttl=1)
    under_way: dict[tuple[int, int], asyncio.Task[Report]] = {}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # A fetch takes milliseconds. One that hangs would hold all who wait for its report, and
        # all who come later.
        pool = asyncpg.create_pool(postgres_dsn, min_size=8, max_size=8, command_timeout=2)
        async with pool as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    async def load(tag_id: int, limit: int) -> Report:
        try:
            name = await app.state.pool.fetchval(TAG, tag_id)
            authors = await app.state.pool.fetch(TOP_AUTHORS, tag_id, limit)
        except (asyncpg.PostgresError, TimeoutError):
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
