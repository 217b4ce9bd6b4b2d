"""Before somebody signs up we look whether the address is known, whatever its capitals. There is an
index on the address, and yet this is the slowest query that we have."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI

ROUTES = [{"method": "GET", "path": "/known/{user}", "values": {"user": [1, 100000]}}]

TABLE = """
    DROP TABLE IF EXISTS {table};
    CREATE TABLE {table} AS SELECT id, email FROM users;
    CREATE INDEX ON {table} ({column});
    ANALYZE {table}
"""


def build(postgres_dsn: str, table: str, column: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=4, max_size=8) as pool:
            app.state.pool = pool
            await pool.execute(TABLE.format(table=table, column=column))
            yield
            await pool.execute(f"DROP TABLE {table}")

    app = FastAPI(lifespan=lifespan)

    @app.get("/known/{user}")
    async def known(user: int) -> dict[str, bool]:
        address = f"User{user}@Example.com"
        found = await app.state.pool.fetchval(
            f"SELECT id FROM {table} WHERE lower(email) = lower($1)", address
        )
        return {"known": found is not None}

    return app


def create_app(postgres_dsn: str) -> FastAPI:
    return build(postgres_dsn, "addresses", "email")


def create_cured(postgres_dsn: str) -> FastAPI:
    """An index on what is asked for: CREATE INDEX ON addresses (lower(email))."""
    return build(postgres_dsn, "addresses_lower", "lower(email)")
