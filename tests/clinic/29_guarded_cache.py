"""A colleague says that the lock around our cache makes everybody wait for everybody, and wants to
take it out. Is it true?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException

ROUTES = [{"method": "GET", "path": "/members/{member}", "values": {"member": [1, 100000]}}]

MOST = 500


class NoLock:
    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *_error: object) -> None:
        pass


def build(postgres_dsn: str, lock: Any) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=8, max_size=8) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)
    cache: dict[int, dict[str, Any]] = {}

    @app.get("/members/{member}")
    async def read_member(member: int) -> dict[str, Any]:
        async with lock:
            found = cache.get(member)
        if found is not None:
            return found
        row = await app.state.pool.fetchrow("SELECT id, name FROM users WHERE id = $1", member)
        if row is None:
            raise HTTPException(404, "No such member")
        async with lock:
            while len(cache) >= MOST:
                del cache[next(iter(cache))]
            cache[member] = dict(row)
        return dict(row)

    return app


def create_app(postgres_dsn: str) -> FastAPI:
    return build(postgres_dsn, asyncio.Lock())


def create_cured(postgres_dsn: str) -> FastAPI:
    """Nothing is awaited while it is held, so nobody ever waits for it: the lock costs nothing."""
    return build(postgres_dsn, NoLock())
