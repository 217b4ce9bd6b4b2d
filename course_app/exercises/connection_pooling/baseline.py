"""The app that the learner starts from: right, and slow."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, HTTPException


def connect_per_request(postgres_dsn: str) -> FastAPI:
    app = FastAPI()

    async def connection() -> AsyncIterator[asyncpg.Connection]:
        conn = await asyncpg.connect(postgres_dsn)
        try:
            yield conn
        finally:
            await conn.close()

    Connection = Annotated[asyncpg.Connection, Depends(connection)]

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
