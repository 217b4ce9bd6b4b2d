"""A good answer; ``solution(...)`` shows its source."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, HTTPException


def create_app(postgres_dsn: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(postgres_dsn, min_size=10, max_size=10) as app.state.pool:
            yield

    app = FastAPI(lifespan=lifespan)

    async def connection() -> AsyncIterator[asyncpg.Connection]:
        try:
            conn = await app.state.pool.acquire(timeout=1)
        except TimeoutError:
            raise HTTPException(503, "Busy, try again", {"Retry-After": "1"}) from None
        try:
            yield conn
        finally:
            await app.state.pool.release(conn)

    # Back in the pool before the answer is sent: a slow client keeps no connection.
    Connection = Annotated[asyncpg.Connection, Depends(connection, scope="function")]

    @app.get("/users/{user_id}")
    async def read_user(user_id: int, conn: Connection) -> dict[str, Any]:
        row = await conn.fetchrow("SELECT id, name, email FROM users WHERE id = $1", user_id)
        if row is None:
            raise HTTPException(404, "No such user")
        return dict(row)

    @app.get("/posts/{post_id}")
    async def read_post(post_id: int, conn: Connection) -> dict[str, Any]:
        row = await conn.fetchrow("SELECT id, title, author_id FROM posts WHERE id = $1", post_id)
        if row is None:
            raise HTTPException(404, "No such post")
        author = await conn.fetchval("SELECT name FROM users WHERE id = $1", row["author_id"])
        return {"id": row["id"], "title": row["title"], "author": author}

    return app
