"""A service to be run by worker processes: it computes, it waits, and it asks PostgreSQL.

Settings come from the environment, as in a deployment: ``POSTGRES_DSN``, ``POOL_SIZE``
(connections of each worker, none by default) and ``SERVICE``, its name to PostgreSQL.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException

SIZE = int(os.environ.get("POOL_SIZE", "0"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if not SIZE:
        app.state.pool = None
        yield
        return
    async with asyncpg.create_pool(
        os.environ["POSTGRES_DSN"],
        min_size=SIZE,
        max_size=SIZE,
        server_settings={"application_name": os.environ.get("SERVICE", "service")},
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/computes")
async def computes() -> dict[str, int]:
    return {"sum of squares": sum(number * number for number in range(30_000))}


@app.get("/waits")
async def waits() -> dict[str, str]:
    await asyncio.sleep(0.05)  # another service takes its time
    return {"the other service": "has answered"}


@app.get("/users/{user_id}")
async def read_user(user_id: int) -> dict[str, Any]:
    return await _user("SELECT id, name FROM users WHERE id = $1", user_id)


@app.get("/reports/{user_id}")
async def report(user_id: int) -> dict[str, Any]:
    # Waits for 25 ms while it holds a connection: for a lock, a disk, a replica.
    query = "SELECT u.id, u.name FROM users AS u, pg_sleep(0.025) WHERE u.id = $1"
    return await _user(query, user_id)


@app.get("/pid")
async def pid() -> dict[str, int]:
    return {"pid": os.getpid()}


async def _user(query: str, user_id: int) -> dict[str, Any]:
    if app.state.pool is None:
        raise HTTPException(503, "This service has no connection to PostgreSQL")
    try:
        async with app.state.pool.acquire(timeout=1) as connection:
            row = await connection.fetchrow(query, user_id)
    except TimeoutError:
        raise HTTPException(503, "Every connection is in use") from None
    if row is None:
        raise HTTPException(404, "No such user")
    return dict(row)
