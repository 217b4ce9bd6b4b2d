"""A time limit around the query, not only around the wait for a connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, HTTPException


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=10, max_size=10) as pool:
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    async def fetchrow(query: str, *args: Any) -> Any:
        try:
            async with asyncio.timeout(1):
                return await app.state.pool.fetchrow(query, *args)
        except TimeoutError:
            raise HTTPException(503, "Too busy") from None

    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> dict[str, Any]:
        row = await fetchrow("SELECT id, name, email FROM users WHERE id = $1", user_id)
        if row is None:
            raise HTTPException(404, "No such user")
        return dict(row)

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int) -> dict[str, Any]:
        row = await fetchrow("SELECT id, title, author_id FROM posts WHERE id = $1", post_id)
        if row is None:
            raise HTTPException(404, "No such post")
        author = await fetchrow("SELECT name FROM users WHERE id = $1", row["author_id"])
        return {"id": row["id"], "title": row["title"], "author": author and author["name"]}

    return app
