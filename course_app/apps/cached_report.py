"""A report behind a cache in memory, to be run by worker processes: each has a cache of its own.

The address of PostgreSQL comes from the environment, as in a deployment: ``POSTGRES_DSN``.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from cachetools import TTLCache
from fastapi import FastAPI

#: The authors who write most about a tag. There is no index on ``tag_id``, so it reads a table.
TOP_AUTHORS = """
SELECT users.id, users.name, count(*) AS posts
FROM post_tags JOIN posts ON posts.id = post_id JOIN users ON users.id = posts.author_id
WHERE tag_id = $1 GROUP BY users.id ORDER BY posts DESC, users.id LIMIT 10
"""

cache: TTLCache[int, list[dict[str, Any]]] = TTLCache(maxsize=1000, ttl=60)
one_fetch_at_a_time = asyncio.Lock()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["POSTGRES_DSN"], min_size=1, max_size=4
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/read/{tag}")
async def read(tag: int) -> dict[str, Any]:
    """The report, and the process that answers."""
    async with one_fetch_at_a_time:
        if tag not in cache:
            cache[tag] = [dict(row) for row in await app.state.pool.fetch(TOP_AUTHORS, tag)]
        return {"worker": os.getpid(), "authors": cache[tag]}
