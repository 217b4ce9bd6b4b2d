"""The summary is kept for a quarter of a second, with a lock around the cache, so that nothing can
go wrong. Why does the database still get the same heavy query twenty times at once?"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI

ROUTES = [{"method": "GET", "path": "/summary", "values": {}}]

SUMMARY = (
    "SELECT count(*) AS comments, sum(length(body)) AS letters FROM comments WHERE body LIKE '%a%'"
)
KEPT_SECONDS = 0.25


def build(postgres_dsn: str, *, waits: bool) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=16, max_size=16) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)
    cache: dict[str, tuple[float, dict[str, Any]]] = {}
    lock, turn = asyncio.Lock(), asyncio.Lock()

    async def kept() -> dict[str, Any] | None:
        async with lock:
            until, value = cache.get("summary", (0.0, {}))
            return value if until > time.monotonic() else None

    async def load() -> dict[str, Any]:
        value = dict(await app.state.pool.fetchrow(SUMMARY))
        async with lock:
            cache["summary"] = time.monotonic() + KEPT_SECONDS, value
        return value

    @app.get("/summary")
    async def summary() -> dict[str, Any]:
        if (value := await kept()) is not None:
            return value
        if not waits:
            return await load()
        async with turn:
            return await kept() or await load()

    return app


def create_app(postgres_dsn: str) -> FastAPI:
    return build(postgres_dsn, waits=False)


def create_cured(postgres_dsn: str) -> FastAPI:
    """One loads, and who has waited for that looks once more."""
    return build(postgres_dsn, waits=True)
