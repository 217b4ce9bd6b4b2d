"""The best sellers of the year, without a month of your choice. The query is heavy, so we keep its
rows for half a second, which should leave two runs a second and month. The statistics of PostgreSQL
show many more, and the page stalls in waves. A longer time to live only makes the waves rarer."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI

ROUTES = [{"method": "GET", "path": "/best?without={month}", "values": {"month": [1, 3]}}]

SET_UP = """
    SELECT pg_advisory_xact_lock(70110);
    CREATE TABLE IF NOT EXISTS best_sales (id int PRIMARY KEY, month int, item int, euros numeric);
    INSERT INTO best_sales SELECT n, n % 12 + 1, n * 7 % 500, (n * 31 % 90000) / 100.0
        FROM generate_series(1, 200000) n WHERE NOT EXISTS (SELECT 1 FROM best_sales);
    ANALYZE best_sales
"""
BEST = (
    "SELECT item, count(*) AS sold, sum(euros)::float8 AS total, "
    "round(stddev(euros), 4)::float8 AS spread FROM best_sales WHERE month <> $1 "
    "GROUP BY item ORDER BY total DESC, item LIMIT 10"
)

Rows = list[dict[str, Any]]
Load = Callable[[], Awaitable[Rows]]


class TimedStore:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.rows: dict[int, tuple[float, Rows]] = {}

    def fresh(self, key: int) -> Rows | None:
        until, rows = self.rows.get(key, (0.0, []))
        return rows if until > time.monotonic() else None

    async def get(self, key: int, load: Load) -> Rows:
        if (rows := self.fresh(key)) is not None:
            return rows
        rows = await load()
        self.rows[key] = time.monotonic() + self.seconds, rows
        return rows


class SharedStore(TimedStore):
    """Whoever comes while a key is being loaded waits for that load."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.loading: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, key: int, load: Load) -> Rows:
        if (rows := self.fresh(key)) is not None:
            return rows
        async with self.loading[key]:
            return await super().get(key, load)


def _build(dsn: str, store: TimedStore) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=32, max_size=32) as app.state.pool:
            await app.state.pool.execute(SET_UP)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/best")
    async def best(without: int) -> Rows:
        async def load() -> Rows:
            return [dict(row) for row in await app.state.pool.fetch(BEST, without)]

        return await store.get(without, load)

    return app


def create_app(postgres_dsn: str) -> FastAPI:
    return _build(postgres_dsn, TimedStore(0.5))


def create_cured(postgres_dsn: str) -> FastAPI:
    return _build(postgres_dsn, SharedStore(0.5))
